/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/tail.h"

#include "qemu/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum tail_result split(struct fixture *f, bool at_end, struct tail *t,
                              struct err *err)
{
        memset(t, 0, sizeof *t);
        return tail_parse(f->bytes, f->e.len, f->footers, at_end, NULL, 0, 0, t,
                          err);
}

static void start(struct fixture *f, bool footers)
{
        memset(f, 0, sizeof *f);
        emit_init(&f->e, f->bytes, sizeof f->bytes);
        f->footers = footers;
}

static void vmdesc_gives_lengths(void **state)
{
        static struct fixture f;
        struct err err = ERR_INIT;
        struct tail t;

        (void)state;
        for (int footers = 0; footers < 2; footers++) {
                start(&f, footers);
                fixture_device(&f, 1, "a", 0, 100, 0x04, 100);
                fixture_device(&f, 2, "a", 1, 0, 0, 0);
                fixture_eof(&f, true);
                assert_int_equal(split(&f, false, &t, &err), TAIL_COMPLETE);
                assert_int_equal(t.count, 3);
                assert_int_equal(t.items[0].payload_len, 100);
                assert_int_equal(t.items[1].payload_len, 0);
                assert_int_equal(t.items[1].instance_id, 1);
                assert_string_equal(t.split, "vmdesc");
                assert_int_equal(t.end, f.e.len);
                assert_int_equal(t.page_size, 4096);
                tail_fini(&t);
        }
}

/* An array whose elements differ in length is described by its first. */
static void wrong_length_in_vmdesc_is_mended_by_what_follows(void **state)
{
        static struct fixture f;
        struct err err = ERR_INIT;
        struct tail t;

        (void)state;
        start(&f, true);
        fixture_device(&f, 1, "a", 0, 100, 0x55, 60);
        fixture_device(&f, 2, "b", 0, 7, 0x55, 7);
        fixture_eof(&f, true);
        assert_int_equal(split(&f, false, &t, &err), TAIL_COMPLETE);
        assert_int_equal(t.items[0].payload_len, 100);
        tail_fini(&t);
}

/* As that of an EEPROM is, in a network card of 82550 kind. */
static void a_version_may_be_a_date(void **state)
{
        static struct fixture f;
        struct section_header h;

        (void)state;
        start(&f, true);
        fixture_section(&f, 4, 1, "eeprom", 0, 20061113);
        assert_true(section_header_parse(f.bytes, f.e.len, &h));
        assert_int_equal(h.version_id, 20061113);
}

static void footers_alone_split_when_there_is_one_way(void **state)
{
        static struct fixture f;
        struct err err = ERR_INIT;
        struct tail t;

        (void)state;
        start(&f, true);
        fixture_device(&f, 1, "a", 0, 100, 0x7e, 100);
        fixture_device(&f, 2, "b", 0, 7, 0x04, 7);
        fixture_eof(&f, false);
        assert_int_equal(split(&f, true, &t, &err), TAIL_COMPLETE);
        assert_int_equal(t.count, 3);
        assert_string_equal(t.split, "footers");
        assert_int_equal(t.items[0].payload_len, 100);
        tail_fini(&t);
}

/* A payload that holds its own footer and a section header behind it. */
static void two_ways_to_split_are_refused(void **state)
{
        static struct fixture f;
        struct err err = ERR_INIT;
        struct tail t;

        (void)state;
        start(&f, true);
        fixture_section(&f, 4, 1, "a", 0, 1);
        fixture_footer(&f, 1);
        fixture_section(&f, 4, 2, "fake", 0, 1);
        fixture_footer(&f, 2);
        fixture_section(&f, 4, 2, "fake", 0, 1);
        fixture_footer(&f, 2);
        fixture_eof(&f, false);
        assert_int_equal(split(&f, true, &t, &err), TAIL_BAD);
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_non_null(strstr(err.why, "more than one way"));
}

static void unfinished_tail_is_incomplete_then_truncated(void **state)
{
        static struct fixture f;
        struct tail t;
        size_t whole;

        (void)state;
        start(&f, true);
        fixture_device(&f, 1, "a", 0, 100, 0, 100);
        fixture_eof(&f, true);
        whole = f.e.len;
        for (f.e.len = 1; f.e.len < whole; f.e.len++) {
                struct err err = ERR_INIT;

                assert_int_equal(split(&f, false, &t, &err), TAIL_INCOMPLETE);
                if (f.bytes[f.e.len - 1] == 0 && f.bytes[f.e.len] == 6)
                        continue;
                assert_int_equal(split(&f, true, &t, &err), TAIL_BAD);
                assert_int_not_equal(err.status, ERR_NONE);
        }
}

static void quick_look_sees_the_end_and_nothing_else(void **state)
{
        static struct fixture f;

        (void)state;
        start(&f, true);
        fixture_device(&f, 1, "a", 0, 100, '}', 100);
        assert_false(tail_may_end(f.bytes, f.e.len - 5));
        fixture_eof(&f, true);
        for (size_t len = 0; len < f.e.len; len++)
                assert_false(tail_may_end(f.bytes, len));
        assert_true(tail_may_end(f.bytes, f.e.len));
}

static void bytes_behind_the_vmdesc_are_allowed_at_the_end_only(void **state)
{
        static struct fixture f;
        struct err err = ERR_INIT;
        struct tail t;
        size_t end;

        (void)state;
        start(&f, true);
        fixture_device(&f, 1, "a", 0, 100, 0, 100);
        fixture_eof(&f, true);
        end = f.e.len;
        emit_bytes(&f.e, "xyz", 3);
        assert_int_equal(split(&f, false, &t, &err), TAIL_INCOMPLETE);
        assert_int_equal(split(&f, true, &t, &err), TAIL_COMPLETE);
        assert_int_equal(t.end, end);
        tail_fini(&t);
}

/* Early sections are listed first, and their length is held to it. */
static void early_sections_are_proven(void **state)
{
        static struct fixture f;
        struct tail_early early = {.idstr = "early", .payload_len = 8};
        struct err err = ERR_INIT;
        struct tail t;
        size_t skip;

        (void)state;
        start(&f, true);
        fixture_device(&f, 9, "early", 0, 8, 1, 8);
        skip = f.e.len;
        fixture_device(&f, 1, "a", 0, 100, 0, 100);
        fixture_eof(&f, true);
        assert_int_equal(tail_parse(f.bytes + skip, f.e.len - skip, true, true,
                                    &early, 1, 0, &t, &err),
                         TAIL_COMPLETE);
        assert_int_equal(t.count, 2);
        assert_string_equal(t.split, "vmdesc");
        tail_fini(&t);
        early.payload_len = 9;
        assert_int_equal(tail_parse(f.bytes + skip, f.e.len - skip, true, false,
                                    &early, 1, 0, &t, &err),
                         TAIL_INCOMPLETE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(vmdesc_gives_lengths),
                cmocka_unit_test(
                        wrong_length_in_vmdesc_is_mended_by_what_follows),
                cmocka_unit_test(a_version_may_be_a_date),
                cmocka_unit_test(footers_alone_split_when_there_is_one_way),
                cmocka_unit_test(two_ways_to_split_are_refused),
                cmocka_unit_test(unfinished_tail_is_incomplete_then_truncated),
                cmocka_unit_test(quick_look_sees_the_end_and_nothing_else),
                cmocka_unit_test(
                        bytes_behind_the_vmdesc_are_allowed_at_the_end_only),
                cmocka_unit_test(early_sections_are_proven),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
