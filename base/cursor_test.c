/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/cursor.h"
#include "base/emit.h"

/* One of each, so that every length and truncation is met. */
static size_t write_all(uint8_t *out, size_t size)
{
        struct emit e;

        emit_init(&e, out, size);
        emit_u8(&e, 0x01);
        emit_u16be(&e, 0x0203);
        emit_u32be(&e, 0x04050607);
        emit_u64be(&e, 0x08090a0b0c0d0e0fULL);
        emit_u32le(&e, 0x04050607);
        emit_u64le(&e, 0x08090a0b0c0d0e0fULL);
        emit_str8(&e, "pc.ram");
        emit_zero(&e, 3);
        emit_bytes(&e, "tail", 4);
        return e.len;
}

static bool read_all(struct cursor *c)
{
        const uint8_t *tail;
        uint64_t u64, u64le;
        uint32_t u32, u32le;
        uint16_t u16;
        uint8_t u8;
        char name[256];

        TRY(cursor_u8(c, "u8", &u8));
        TRY(cursor_u16be(c, "u16", &u16));
        TRY(cursor_u32be(c, "u32", &u32));
        TRY(cursor_u64be(c, "u64", &u64));
        TRY(cursor_u32le(c, "u32le", &u32le));
        TRY(cursor_u64le(c, "u64le", &u64le));
        TRY(cursor_str8(c, "name", name));
        TRY(cursor_zero(c, "reserved", 3));
        TRY(cursor_view(c, "tail", 4, &tail));
        TRY(cursor_done(c));
        assert_int_equal(u8, 0x01);
        assert_int_equal(u16, 0x0203);
        assert_int_equal(u32, 0x04050607);
        assert_int_equal(u32le, 0x04050607);
        assert_true(u64 == 0x08090a0b0c0d0e0fULL && u64le == u64);
        assert_string_equal(name, "pc.ram");
        assert_memory_equal(tail, "tail", 4);
        return true;
}

static void what_emit_writes_cursor_reads(void **state)
{
        struct err err = ERR_INIT;
        struct cursor c;
        uint8_t bytes[64];
        size_t len = write_all(bytes, sizeof bytes);

        (void)state;
        /* Byte order is part of formats: pinned, not only symmetric. */
        assert_memory_equal(bytes, "\x01\x02\x03\x04\x05\x06\x07", 7);
        assert_memory_equal(bytes + 15, "\x07\x06\x05\x04\x0f\x0e", 6);
        cursor_init(&c, bytes, len, 0, "all", &err);
        assert_done(read_all(&c), &err);
}

static void each_truncation_is_found_and_points_into_the_input(void **state)
{
        uint8_t bytes[64];
        size_t len = write_all(bytes, sizeof bytes);

        (void)state;
        for (size_t cut = 0; cut < len; cut++) {
                /* On the heap, so that reading too far is seen. */
                uint8_t *copy = malloc(cut ? cut : 1);
                struct err err = ERR_INIT;
                struct cursor c;

                memcpy(copy, bytes, cut);
                cursor_init(&c, copy, cut, 1000, "all", &err);
                assert_false(read_all(&c));
                assert_int_equal(err.status, ERR_TRUNCATED);
                assert_in_range(err.offset, 1000, 1000 + cut);
                free(copy);
        }
}

static void errors_point_at_where_the_field_began(void **state)
{
        struct err err = ERR_INIT;
        struct cursor c;
        uint32_t v;
        char line[256];

        (void)state;
        cursor_init(&c, "\0\0\0\1\0\0\0\2", 8, 0x100, "header", &err);
        assert_true(cursor_u32be(&c, "magic", &v));
        assert_true(cursor_u32be(&c, "version", &v));
        assert_false(cursor_bad(&c, ERR_UNSUPPORTED, "%u is not 1", v));
        assert_string_equal(err_line(&err, line, sizeof line),
                            "header at 0x104: version: 2 is not 1");
}

static void a_length_near_the_top_does_not_wrap(void **state)
{
        struct err err = ERR_INIT;
        const uint8_t *p;
        struct cursor c;

        (void)state;
        cursor_init(&c, "abcd", 4, 0, "s", &err);
        assert_true(cursor_skip(&c, "two", 2));
        assert_false(cursor_view(&c, "huge", UINT64_MAX, &p));
        assert_int_equal(err.status, ERR_TRUNCATED);
        assert_int_equal(cursor_left(&c), 2);
}

static void names_with_nul_are_refused(void **state)
{
        struct err err = ERR_INIT;
        struct cursor c;
        char name[256];

        (void)state;
        cursor_init(&c, "\3a\0b", 4, 0, "s", &err);
        assert_false(cursor_str8(&c, "name", name));
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_int_equal(err.offset, 0);
}

static void reserved_bytes_must_be_zero(void **state)
{
        struct err err = ERR_INIT;
        struct cursor c;

        (void)state;
        cursor_init(&c, "\0\0\1", 3, 0, "s", &err);
        assert_false(cursor_zero(&c, "reserved", 3));
        assert_int_equal(err.status, ERR_CORRUPT);
}

static void a_child_cannot_leave_its_window(void **state)
{
        struct err err = ERR_INIT;
        struct cursor c, child;
        uint32_t v;
        uint8_t b;

        (void)state;
        cursor_init(&c, "abcdef", 6, 10, "s", &err);
        assert_true(cursor_u8(&c, "first", &b));
        assert_true(cursor_sub(&c, "child", 3, &child));
        assert_int_equal(cursor_offset(&child), 11);
        assert_int_equal(cursor_offset(&c), 14);
        assert_false(cursor_u32be(&child, "v", &v));
        assert_int_equal(err.status, ERR_TRUNCATED);
}

static void leftovers_are_damage(void **state)
{
        struct err err = ERR_INIT;
        struct cursor c;

        (void)state;
        cursor_init(&c, "x", 1, 0, "s", &err);
        assert_false(cursor_done(&c));
        assert_int_equal(err.status, ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_emit_writes_cursor_reads),
                cmocka_unit_test(
                        each_truncation_is_found_and_points_into_the_input),
                cmocka_unit_test(errors_point_at_where_the_field_began),
                cmocka_unit_test(a_length_near_the_top_does_not_wrap),
                cmocka_unit_test(names_with_nul_are_refused),
                cmocka_unit_test(reserved_bytes_must_be_zero),
                cmocka_unit_test(a_child_cannot_leave_its_window),
                cmocka_unit_test(leftovers_are_damage),
        };

        return cmocka_run_group_tests_name("base/cursor", tests, NULL, NULL);
}
