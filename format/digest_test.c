/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/digest.h"

/* Printed by xxh128sum and xxhsum -H3 of 0.8.1: others must find the same. */
static void digests_are_those_of_the_stock_tools(void **state)
{
        static const struct {
                const char *bytes, *hex;
        } rows[] = {
                {"", "99aa06d3014798d86001c324468d497f"},
                {"abc", "06b05ab6733a618578af5f94892f3950"},
        };
        uint8_t digest[DIGEST_SIZE];
        char hex[DIGEST_HEX];

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                digest_of(rows[i].bytes, strlen(rows[i].bytes), digest);
                assert_string_equal(digest_hex(digest, hex), rows[i].hex);
        }
        assert_true(digest_short("abc", 3) == 0x78af5f94892f3950ULL);
}

static void pieces_give_the_digest_of_the_whole(void **state)
{
        static uint8_t bytes[5000];
        uint8_t whole[DIGEST_SIZE], sum[DIGEST_SIZE];
        struct digest *d = digest_new();
        size_t step = 1;

        (void)state;
        assert_non_null(d);
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)(i * 31 + i / 256);
        digest_update(d, "other", 5);
        digest_reset(d);
        for (size_t at = 0; at < sizeof bytes;
             at += step, step = step * 2 + 1) {
                if (step > sizeof bytes - at)
                        step = sizeof bytes - at;
                digest_update(d, bytes + at, step);
        }
        digest_update(d, NULL, 0);
        digest_result(d, sum);
        digest_of(bytes, sizeof bytes, whole);
        assert_memory_equal(whole, sum, DIGEST_SIZE);
        digest_free(d);
}

static void hex_has_one_spelling(void **state)
{
        uint8_t digest[DIGEST_SIZE], back[DIGEST_SIZE];
        char hex[DIGEST_HEX];

        (void)state;
        digest_of("abc", 3, digest);
        digest_hex(digest, hex);
        assert_true(digest_parse(hex, back));
        assert_memory_equal(back, digest, DIGEST_SIZE);
        for (size_t i = 0; i < 32; i++) {
                static const char bad[] = {'G', 'A', ' ', '/', ':', '`', 'g'};
                char was = hex[i];

                for (size_t b = 0; b < sizeof bad; b++) {
                        hex[i] = bad[b];
                        assert_false(digest_parse(hex, back));
                }
                hex[i] = was;
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(digests_are_those_of_the_stock_tools),
                cmocka_unit_test(pieces_give_the_digest_of_the_whole),
                cmocka_unit_test(hex_has_one_spelling),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
