/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/iterable.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Walks a payload; its length, or 0 with a status. */
static size_t walk(const char *idstr, enum item_type type, const void *bytes,
                   size_t len, enum status *status)
{
        struct iterable_state state = {0};
        struct err err = ERR_INIT;
        struct cursor c;
        uint64_t body;
        bool done = false;

        cursor_init(&c, bytes, len, 0, idstr, &err);
        while (!done && iterable_record(iterable_of(idstr), type, &c, &state,
                                        &body, &done))
                if (!cursor_skip(&c, "body", body))
                        break;
        *status = err.status;
        return err.status == ERR_NONE && done ? c.pos : 0;
}

#define WALK(idstr, type, s) walk(idstr, type, s, sizeof(s) - 1, &status)

static void bitmaps_end_at_their_eos(void **state)
{
        static const char start[] =
                "\x1c\4drv0\3bm1\0\1\0\0\3\1"; /* as QEMU 7.2 wrote it */
        static const char bits[] = "\x4c\1n\1b\0\0\0\0\0\0\0\0\0\0\0\7"
                                   "\0\0\0\0\0\0\0\4abcd\x42\0\0\0\0\0\0\0\0"
                                   "\0\0\0\7\x20\1";
        enum status status;

        (void)state;
        assert_int_equal(WALK("dirty-bitmap", ITEM_START, start),
                         sizeof start - 1);
        assert_int_equal(WALK("dirty-bitmap", ITEM_END, bits), sizeof bits - 1);
        assert_int_equal(WALK("dirty-bitmap", ITEM_END, "\x80"), 0);
        assert_int_equal(status, ERR_UNSUPPORTED);
        assert_int_equal(WALK("dirty-bitmap", ITEM_END,
                              "\x40\0\0\0\0\0\0\0\0\0\0\0\7\377\0\0\0\0\0\0\0"),
                         0);
        assert_int_equal(status, ERR_CORRUPT);
}

static void hash_tables_end_at_the_empty_chunk(void **state)
{
        static const char part[] = "\0\0\0\0\0\0\0\5\0\1\0\0"
                                   "0123456789abcdef\0\0\0\0\0\0\0\0";
        enum status status;

        (void)state;
        assert_int_equal(WALK("spapr/htab", ITEM_START, "\0\0\0\x18"), 4);
        assert_int_equal(WALK("spapr/htab", ITEM_END, "\377\377\377\377"), 4);
        assert_int_equal(WALK("spapr/htab", ITEM_PART, part), sizeof part - 1);
        assert_int_equal(WALK("spapr/htab", ITEM_PART, "\0\0\0\1"), 0);
        assert_int_equal(status, ERR_CORRUPT);
}

static void storage_attributes_end_at_eos(void **state)
{
        static const char more[] = "\0\0\0\0\0\0\x10\2\0\0\0\0\0\0\0\3abc"
                                   "\0\0\0\0\0\0\0\10"
                                   "\0\0\0\0\0\0\0\1";
        enum status status;

        (void)state;
        assert_int_equal(
                WALK("s390-storage_attributes", ITEM_START, "\0\0\0\0\0\0\0\1"),
                8);
        assert_int_equal(WALK("s390-storage_attributes", ITEM_END, more),
                         sizeof more - 1);
        assert_int_equal(
                WALK("s390-storage_attributes", ITEM_END, "\0\0\0\0\0\0\0\x40"),
                0);
        assert_int_equal(status, ERR_UNSUPPORTED);
}

static void others_are_not_known(void **state)
{
        (void)state;
        assert_int_equal(iterable_of("0000:00:05.0/vfio"), ITERABLE_NONE);
        assert_int_equal(iterable_of("ram"), ITERABLE_NONE);
        assert_int_equal(iterable_of("block"), ITERABLE_NONE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bitmaps_end_at_their_eos),
                cmocka_unit_test(hash_tables_end_at_the_empty_chunk),
                cmocka_unit_test(storage_attributes_end_at_eos),
                cmocka_unit_test(others_are_not_known),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
