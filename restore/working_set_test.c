/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "restore/unit.h"
#include "restore/working_set.h"

static struct ram_block blocks[] = {
        {.name = "pc.ram", .size = 0x100000000},
        {.name = "/rom@etc/acpi/tables", .size = 0x20000},
};
static const struct ram_blocks ram = {.blocks = blocks, .count = 2};
static const struct layout layout = {.ram = &ram, .page_size = 4096};

static void what_was_asked_for_comes_back_in_order(void **state)
{
        static const struct working_page pages[] = {
                {0, 0x12345}, {0, 0x12346}, {0, 0x12347}, {1, 3},
                {0, 0xfffff}, {0, 0},       {0, 1},
        };
        struct working_set w = {0}, back;
        struct err err = ERR_INIT;
        const size_t count = sizeof pages / sizeof *pages;

        (void)state;
        for (size_t i = 0; i < count; i++)
                working_set_add(&w, pages[i].block, pages[i].page);
        assert_done(working_set_write(&w, &layout, "w", "an-id", &err), &err);
        assert_done(working_set_read(&back, &layout, "w", "an-id", &err), &err);
        assert_int_equal(back.count, count);
        for (size_t i = 0; i < count; i++) {
                assert_int_equal(back.list[i].block, pages[i].block);
                assert_int_equal(back.list[i].page, pages[i].page);
        }
        working_set_fini(&back);
        assert_false(working_set_read(&back, &layout, "w", "other", &err));
        assert_int_equal(err.status, ERR_MISMATCH);
        working_set_fini(&back);
        working_set_fini(&w);
        err_clear(&err);
        assert_done(working_set_read(&back, &layout, "none", "an-id", &err),
                    &err);
        assert_int_equal(back.count, 0);
}

static void what_is_none_is_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "stasis-working-set 2 an-id 4096\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 0\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 0 0\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 10 1\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 0 1 x\n",
                "stasis-working-set 1 an-id 4096\nram/other 0 1\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 100000000 1\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 0 1048577\n",
                "stasis-working-set 1 an-id 4096\nram/pc.ram 0 "
                "99999999999999999999999\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;
                struct working_set w;
                FILE *f = fopen("w", "w");

                fputs(bad[i], f);
                fclose(f);
                if (working_set_read(&w, &layout, "w", "an-id", &err))
                        fail_msg("accepted: %s", bad[i]);
                assert_int_equal(err.status, ERR_CORRUPT);
                assert_string_equal(err.file, "w");
                working_set_fini(&w);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(what_was_asked_for_comes_back_in_order),
                IN_DIR(what_is_none_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
