/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "qemu/postcopy.h"

/* "QEVM", version 3. */
static uint8_t head[] = {'Q', 'E', 'V', 'M', 0, 0, 0, 3};
static uint8_t full[] = {4, 0, 0, 0, 9, 1, 'd',  0, 0, 0, 0,
                         0, 0, 0, 1, 7, 8, 0x7e, 0, 0, 0, 9};

static void make(struct devices *d, struct ram_block blocks[2],
                 struct device_section list[2])
{
        memset(blocks, 0, 2 * sizeof *blocks);
        strcpy(blocks[0].name, "a");
        blocks[0].size = 0x200000;
        strcpy(blocks[1].name, "b");
        blocks[1].size = 0x1000;
        memset(list, 0, 2 * sizeof *list);
        strcpy(list[0].idstr, "ram");
        list[0].live = true;
        strcpy(list[1].idstr, "d");
        list[1].item = full;
        list[1].payload = full + 15;
        list[1].len = 2;
        *d = (struct devices){
                .head = head,
                .head_len = sizeof head,
                .list = list,
                .count = 2,
                .footers = true,
                .ram = {.blocks = blocks,
                        .count = 2,
                        .total = 0x201000,
                        .section_id = 2},
        };
}

static void what_is_sent_is_qemus_language(void **state)
{
        static const char opening[] =
                "QEVM\0\0\0\3"
                "\10\0\1\0\0"         /* OPEN_RETURN_PATH */
                "\10\0\2\0\4\0\0\0\1" /* PING 1 */
                "\10\0\3\0\20\0\0\0\0\0\x20\x10\0\0\0\0\0\0\0\x10\0"
                "\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4"
                "\0\0\0\0\0\x20\x10\4"
                "\1a\0\0\0\0\0\x20\0\0\0\0\0\0\0\x20\0\0" /* 2 MiB pages */
                "\1b\0\0\0\0\0\0\x10\0"
                "\0\0\0\0\0\0\0\x10"
                "\x7e\0\0\0\2"
                "\10\0\6\0\x14\0\1a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x20\0\0"
                "\10\0\6\0\x14\0\1b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0";
        static const char package[] = "\10\0\7\0\4\0\0\0\x20"
                                      "\10\0\4\0\0"
                                      "\4\0\0\0\11\1d\0\0\0\0\0\0\0\1\7\10"
                                      "\x7e\0\0\0\11"
                                      "\10\0\5\0\0";
        static const char end[] = "\3\0\0\0\2\0\0\0\0\0\0\0\x10\x7e\0\0\0\2\0";
        const uint64_t pages[] = {0x200000, 0x1000};
        struct device_section list[2];
        struct ram_block blocks[2];
        struct devices d;
        uint8_t bytes[512];
        struct emit e;

        (void)state;
        make(&d, blocks, list);
        emit_init(&e, bytes, sizeof bytes);
        assert_int_equal(postcopy_opening(&d, pages, 4096, &e),
                         sizeof opening - 1);
        assert_int_equal(postcopy_opening(&d, pages, 4096, NULL), e.len);
        assert_memory_equal(bytes, opening, sizeof opening - 1);
        emit_init(&e, bytes, sizeof bytes);
        assert_int_equal(postcopy_package(&d, &e), sizeof package - 1);
        assert_int_equal(postcopy_package(&d, NULL), e.len);
        assert_memory_equal(bytes, package, sizeof package - 1);
        emit_init(&e, bytes, sizeof bytes);
        assert_int_equal(postcopy_end(&d, &e), sizeof end - 1);
        assert_memory_equal(bytes, end, sizeof end - 1);
        emit_init(&e, bytes, sizeof bytes);
        postcopy_ask_bitmap("pc", &e);
        assert_int_equal(e.len, 8);
        assert_memory_equal(bytes, "\10\0\12\0\3\2pc", 8);
        emit_init(&e, bytes, sizeof bytes);
        postcopy_resume(&e);
        assert_memory_equal(bytes, "\10\0\11\0\0", POSTCOPY_RESUME_SIZE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_sent_is_qemus_language),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
