/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/fixture.h"

#include "restore/lazy_private.h"

/* What the manifest and the target say of pages, together. */
static bool lays_out(json_int_t page_size, uint64_t host_page, struct err *err)
{
        struct reader_options how = {.threads = 0};
        struct fixture f = {.again = 0};
        struct state saved;
        struct lazy l = {.devices = &saved.devices, .fd = -1};
        struct reader *r;
        int fd = fixture_new(&f);
        bool ok;

        assert_done(state_read(fd, "snapshot", &saved, err), err);
        assert_done(reader_open(fd, "snapshot", &how, &r, err), err);
        json_object_set_new((json_t *)(uintptr_t)reader_manifest(r),
                            "target_page_size", json_integer(page_size));
        assert_done(lazy_name_blocks(&l, err), err);
        for (unsigned i = 0; i < saved.devices.ram.count; i++)
                l.host_pages[i] = i == 0 ? host_page : 4096;
        ok = lazy_lay_out(&l, r, err);
        lazy_fini(&l);
        reader_close(r);
        state_fini(&saved);
        close(fd);
        return ok;
}

static void pages_of_any_size_are_checked(void **state)
{
        static const struct {
                json_int_t page;
                uint64_t host;
                enum status status;
        } cases[] = {
                {4096, 4096, ERR_NONE},
                {4096, 8192, ERR_NONE},
                {1024, 4096, ERR_NONE},
                {0, 4096, ERR_CORRUPT},
                {-4096, 4096, ERR_CORRUPT},
                {3000, 4096, ERR_CORRUPT},
                {128, 4096, ERR_CORRUPT},
                {INT64_MAX, 4096, ERR_CORRUPT},
                {8192, 4096, ERR_UNSUPPORTED},
                {4096, 0, ERR_UNSUPPORTED},
                {4096, 12288, ERR_UNSUPPORTED},
                {4096, 1 << 20, ERR_UNSUPPORTED}, /* RAM is not whole ones */
                {4096, 1 << 30, ERR_UNSUPPORTED},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct err err = ERR_INIT;

                assert_int_equal(lays_out(cases[i].page, cases[i].host, &err),
                                 cases[i].status == ERR_NONE);
                assert_int_equal(err.status, cases[i].status);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pages_of_any_size_are_checked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
