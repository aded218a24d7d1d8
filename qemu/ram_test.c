/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/ram.h"

#include "qemu/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool apply(const char *delta, size_t len, uint8_t page[16])
{
        struct err err = ERR_INIT;
        bool ok;

        memset(page, 0, 16);
        /* exact heap copy: ASan sees a byte read too far */
        uint8_t *copy = malloc(len ? len : 1);

        memcpy(copy, delta, len);
        ok = xbzrle_apply(page, 16, copy, len, &err);
        free(copy);
        assert_true(ok || err.status == ERR_CORRUPT);
        return ok;
}

static void delta_follows_qemus_rules(void **state)
{
        uint8_t page[16];

        (void)state;
        assert_true(apply("", 0, page));
        assert_true(apply("\0\2ab\3\1c", 7, page));
        assert_memory_equal(page, "ab\0\0\0c", 6);
        assert_true(apply("\x0f\1z", 3, page));
        assert_int_equal(page[15], 'z');
        assert_false(apply("\x10\1z", 3, page));     /* past the page     */
        assert_false(apply("\0\2a", 3, page));       /* literal cut short */
        assert_false(apply("\1", 1, page));          /* no literal run    */
        assert_false(apply("\1\0", 2, page));        /* empty literal     */
        assert_false(apply("\0\1a\0\1b", 6, page));  /* empty zero run    */
        assert_false(apply("\x80\x80\1a", 4, page)); /* bad ULEB128       */
        assert_false(apply("\x80", 1, page));        /* cut ULEB128       */
        assert_false(apply("\xff\x7f\1a", 4, page)); /* 16383 unchanged   */
}

static void setup_is_read_and_written_alike(void **state)
{
        static struct fixture f;
        struct ram_blocks b;
        struct err err = ERR_INIT;
        struct cursor c;
        uint8_t out[512];
        struct emit e;
        size_t head = 1 + 4 + 4 + 8;

        (void)state;
        fixture_begin(&f, false, NULL);
        fixture_ram_start(&f);
        cursor_init(&c, f.bytes + 8 + head, f.e.len - 8 - head, 0, "ram", &err);
        assert_true(ram_parse_start(&c, false, &b));
        assert_true(cursor_done(&c));
        assert_int_equal(b.total, 10 * FIXTURE_PAGE);
        assert_int_equal(ram_blocks_find(&b, "rom"), 1);
        assert_int_equal(ram_blocks_find(&b, "ro"), -1);
        emit_init(&e, out, sizeof out);
        assert_int_equal(ram_emit_start(&b, NULL), f.e.len - 8 - head);
        ram_emit_start(&b, &e);
        assert_int_equal(e.len, f.e.len - 8 - head);
        assert_memory_equal(out, f.bytes + 8 + head, e.len);
        ram_blocks_fini(&b);
}

static enum status setup_status(const void *bytes, size_t len)
{
        struct err err = ERR_INIT;
        struct ram_blocks b;
        struct cursor c;

        cursor_init(&c, bytes, len, 0, "ram", &err);
        assert_false(ram_parse_start(&c, false, &b));
        ram_blocks_fini(&b);
        return err.status;
}

static void hostile_setup_is_refused(void **state)
{
        static uint8_t bytes[256];
        struct emit e;

        (void)state;
        emit_init(&e, bytes, sizeof bytes);
        emit_u64be(&e, UINT64_C(0xffffffffffff0004));
        assert_int_equal(setup_status(bytes, e.len), ERR_LIMIT);

        emit_init(&e, bytes, sizeof bytes);
        emit_u64be(&e, 0x2004);
        emit_str8(&e, "a");
        emit_u64be(&e, UINT64_C(0xfffffffffffff000)); /* sum would wrap */
        assert_int_equal(setup_status(bytes, e.len), ERR_CORRUPT);

        emit_init(&e, bytes, sizeof bytes);
        emit_u64be(&e, 0x2004);
        emit_str8(&e, "a");
        emit_u64be(&e, 0x1000);
        emit_str8(&e, "a");
        emit_u64be(&e, 0x1000);
        emit_u64be(&e, 0x10);
        assert_int_equal(setup_status(bytes, e.len), ERR_CORRUPT);

        emit_init(&e, bytes, sizeof bytes);
        emit_u64be(&e, 0x1008);
        assert_int_equal(setup_status(bytes, e.len), ERR_CORRUPT);
        assert_int_equal(setup_status(bytes, 5), ERR_TRUNCATED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(delta_follows_qemus_rules),
                cmocka_unit_test(setup_is_read_and_written_alike),
                cmocka_unit_test(hostile_setup_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
