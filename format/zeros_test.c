/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/zeros.h"

#include "base/limits.h"
#include "base/test.h"

#include <string.h>

static bool next(const char *text, size_t *pos, uint64_t *end, uint64_t *offset,
                 uint64_t *length, struct err *err)
{
        return zeros_next((const uint8_t *)text, strlen(text), pos, end, offset,
                          length, err);
}

static void what_is_added_is_read_again_and_neighbours_are_one(void **state)
{
        static const uint64_t in[][2] = {
                {0, 512}, {512, 512}, {4096, 1u << 20}, {1ull << 40, 512}};
        static const uint64_t out[][2] = {
                {0, 1024}, {4096, 1u << 20}, {1ull << 40, 512}, {0, 0}};
        struct err err = ERR_INIT;
        struct zeros z = {0};
        uint64_t offset, length, end = 0;
        const char *text;
        size_t len, pos = 0;
        bool taken;

        (void)state;
        for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
                assert_true(zeros_add(&z, in[i][0], in[i][1], &taken, &err));
                assert_true(taken);
        }
        assert_true(zeros_text(&z, &text, &len, &err));
        assert_int_equal(len, 3 * ZEROS_LINE);
        for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
                assert_true(zeros_next((const uint8_t *)text, len, &pos, &end,
                                       &offset, &length, &err));
                assert_int_equal(offset, out[i][0]);
                assert_int_equal(length, out[i][1]);
        }
        zeros_fini(&z);
}

static void a_full_list_takes_no_more_but_what_touches_its_end(void **state)
{
        struct err err = ERR_INIT;
        struct zeros z = {0};
        uint64_t offset = 0;
        const char *text;
        bool taken = true;
        size_t len;

        (void)state;
        while (taken) {
                offset += 1024;
                assert_true(zeros_add(&z, offset, 512, &taken, &err));
        }
        assert_true(zeros_add(&z, offset - 512, 512, &taken, &err));
        assert_true(taken);
        assert_true(zeros_text(&z, &text, &len, &err));
        assert_in_range(len, LIMIT_ZEROS - ZEROS_LINE, LIMIT_ZEROS);
        zeros_fini(&z);
}

static void anything_else_than_the_one_spelling_is_refused(void **state)
{
        static const char *const bad[] = {
                "0000000000000000 0000000000000200",
                "000000000000000 00000000000000200\n",
                "0000000000000000\t0000000000000200\n",
                "000000000000000A 0000000000000200\n",
                "0000000000000000 0000000000000000\n",
                "ffffffffffffffff 0000000000000200\n",
                "0000000000000000 0000000000000200\n\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;
                uint64_t offset, length, end = 0;
                size_t pos = 0;
                bool ok = next(bad[i], &pos, &end, &offset, &length, &err) &&
                          next(bad[i], &pos, &end, &offset, &length, &err);

                assert_false(ok);
                assert_int_equal(err.status, ERR_CORRUPT);
        }
}

static void extents_that_touch_or_go_back_are_refused(void **state)
{
        static const char *const second[] = {
                "0000000000000000 0000000000000200\n",
                "0000000000000600 0000000000000200\n",
        };

        (void)state;
        for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
                struct err err = ERR_INIT;
                uint64_t offset, length, end = 0;
                size_t pos = 0;
                char text[2 * ZEROS_LINE + 1] =
                        "0000000000000400 0000000000000200\n";

                strcat(text, second[i]);
                assert_true(next(text, &pos, &end, &offset, &length, &err));
                assert_false(next(text, &pos, &end, &offset, &length, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        what_is_added_is_read_again_and_neighbours_are_one),
                cmocka_unit_test(
                        a_full_list_takes_no_more_but_what_touches_its_end),
                cmocka_unit_test(
                        anything_else_than_the_one_spelling_is_refused),
                cmocka_unit_test(extents_that_touch_or_go_back_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
