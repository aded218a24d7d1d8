/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/digest.h"
#include "format/index.h"

#define LINE                                                                   \
        "0000000000000600 00000000000001f4 0000000000100000 "                  \
        "06b05ab6733a618578af5f94892f3950 99aa06d3014798d86001c324468d497f "   \
        "ram/pc.ram/0000000000000000.zst"

static void a_line_is_spelled_as_the_spec_says(void **state)
{
        struct index_entry e = {.name = "ram/pc.ram/0000000000000000.zst",
                                .data_offset = 0x600,
                                .stored_len = 500,
                                .raw_len = CHUNK_SIZE};
        struct index_entry back;
        struct err err = ERR_INIT;
        char line[LIMIT_INDEX_LINE];
        size_t len;

        (void)state;
        digest_of("abc", 3, e.stored_digest);
        digest_of("", 0, e.raw_digest);
        len = index_line(&e, line);
        assert_int_equal(len, strlen(LINE "\n"));
        assert_memory_equal(line, LINE "\n", len);
        assert_done(index_parse(line, len - 1, &back, &err), &err);
        assert_string_equal(back.name, e.name);
        assert_int_equal(back.data_offset, e.data_offset);
        assert_int_equal(back.stored_len, e.stored_len);
        assert_int_equal(back.raw_len, e.raw_len);
        assert_memory_equal(back.stored_digest, e.stored_digest, DIGEST_SIZE);
        assert_memory_equal(back.raw_digest, e.raw_digest, DIGEST_SIZE);
}

/* What parses prints back as it was: there is one spelling.  Each byte of the
 * fixed part is replaced by each byte that there is. */
static void nothing_but_the_one_spelling_parses(void **state)
{
        char line[] = LINE, again[LIMIT_INDEX_LINE];
        struct index_entry e;

        (void)state;
        for (size_t i = 0; i < INDEX_FIXED; i++) {
                char was = line[i];

                for (int c = 0; c < 256; c++) {
                        struct err err = ERR_INIT;
                        size_t len;

                        line[i] = (char)c;
                        if (!index_parse(line, strlen(LINE), &e, &err)) {
                                assert_int_equal(err.status, ERR_CORRUPT);
                                continue;
                        }
                        len = index_line(&e, again);
                        assert_int_equal(len, strlen(LINE) + 1);
                        assert_memory_equal(line, again, len - 1);
                }
                line[i] = was;
        }
}

static void refused(const char *line, size_t len)
{
        struct err err = ERR_INIT;
        struct index_entry e;

        assert_false(index_parse(line, len, &e, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
}

static void lines_of_other_lengths_are_refused(void **state)
{
        char line[2048];

        (void)state;
        for (size_t len = 0; len <= INDEX_FIXED; len++)
                refused(LINE, len);
        memset(line, 'x', sizeof line);
        memcpy(line, LINE, strlen(LINE));
        refused(line, LIMIT_INDEX_LINE);
        refused(line, sizeof line);
        memcpy(line + INDEX_FIXED, "a\0b", 3);
        refused(line, INDEX_FIXED + 3);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_is_spelled_as_the_spec_says),
                cmocka_unit_test(nothing_but_the_one_spelling_parses),
                cmocka_unit_test(lines_of_other_lengths_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
