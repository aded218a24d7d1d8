/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/phrase.h"

#include "base/test.h"

#include <string.h>

static void literals_match_without_case_and_blanks_stretch(void **state)
{
        struct phrase p;

        (void)state;
        assert_true(phrase_find("x: NOT a \t stream", "Not a stream", &p));
        assert_int_equal(p.count, 0);
        assert_string_equal(p.begin, "NOT a \t stream");
        assert_int_equal(*p.end, '\0');
        assert_false(phrase_find("not astream", "not a stream", &p));
        assert_false(phrase_find("not a\nstream", "not a stream", &p));
}

static void a_phrase_begins_where_a_word_begins(void **state)
{
        struct phrase p;

        (void)state;
        assert_false(phrase_find("cannot load", "not load", &p));
        assert_true(phrase_find("(not load)", "not load", &p));
        assert_false(phrase_find("0x12: x", "%d: x", &p));
        assert_true(phrase_find("0x 12: x", "%d: x", &p));
        assert_int_equal(p.captures[0].low, 12);
}

static void quotes_of_any_kind_or_none(void **state)
{
        static const char *const said[] = {
                "device 'a b' is", "device \"a b\" is", "device `a b' is"};
        struct phrase p;

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                assert_true(phrase_find(said[i], "device %q is", &p));
                assert_string_equal(p.captures[0].text, "a b");
        }
        assert_true(phrase_find("device ab is", "device %q is", &p));
        assert_string_equal(p.captures[0].text, "ab");
        assert_false(phrase_find("device 'a\nb' is", "device %q is", &p));
        assert_false(phrase_find("device 'ab", "device %q", &p));
}

static void a_word_is_as_short_as_the_rest_allows(void **state)
{
        struct phrase p;

        (void)state;
        assert_true(phrase_find("0000:00:03.0/e1000.rom: 0x1", "%w: %x", &p));
        assert_string_equal(p.captures[0].text, "0000:00:03.0/e1000.rom");
        assert_int_equal(p.captures[1].low, 1);
        assert_int_equal(p.count, 2);
        assert_true(phrase_find("at abc def", "at %w", &p));
        assert_string_equal(p.captures[0].text, "abc");
}

static void hexadecimal_numbers_up_to_128_bits(void **state)
{
        struct phrase p;

        (void)state;
        assert_true(phrase_find("v=0x100000000000000ff;", "v=%x", &p));
        assert_int_equal(p.captures[0].high, 1);
        assert_int_equal(p.captures[0].low, 0xff);
        assert_true(phrase_find("v=9a,", "v=%x", &p));
        assert_int_equal(p.captures[0].low, 0x9a);
        assert_false(phrase_find("v=0x", "v=%x", &p));
        assert_false(phrase_find("v=12k", "v=%x", &p));
}

static void the_rest_of_a_line_ends_with_it(void **state)
{
        struct phrase p;

        (void)state;
        assert_true(phrase_find("why: no such\nmore", "why: %l", &p));
        assert_string_equal(p.captures[0].text, "no such");
        assert_false(phrase_find("why:", "why:%l", &p));
}

static void long_captures_are_cut(void **state)
{
        char said[600];
        struct phrase p;

        (void)state;
        memset(said, 'a', sizeof said);
        memcpy(said, "x ", 2);
        said[sizeof said - 1] = '\0';
        assert_true(phrase_find(said, "x %w", &p));
        assert_int_equal(strlen(p.captures[0].text),
                         sizeof p.captures[0].text - 1);
        assert_int_equal(*p.end, '\0');
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        literals_match_without_case_and_blanks_stretch),
                cmocka_unit_test(a_phrase_begins_where_a_word_begins),
                cmocka_unit_test(quotes_of_any_kind_or_none),
                cmocka_unit_test(a_word_is_as_short_as_the_rest_allows),
                cmocka_unit_test(hexadecimal_numbers_up_to_128_bits),
                cmocka_unit_test(the_rest_of_a_line_ends_with_it),
                cmocka_unit_test(long_captures_are_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
