/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/spool.h"

#define BYTES 100000

static void fill(struct spool *s, uint8_t *want)
{
        struct err err = ERR_INIT;
        size_t done = 0, step = 1;

        for (size_t i = 0; i < BYTES; i++)
                want[i] = (uint8_t)(i * 7 + i / 256);
        while (done < BYTES) {
                size_t n = step < BYTES - done ? step : BYTES - done;

                assert_done(spool_append(s, want + done, n, &err), &err);
                done += n;
                step = step * 3 % 5000 + 1;
        }
        assert_int_equal(spool_size(s), BYTES);
}

/* Bounds that keep all in memory, move on the way, and move at once. */
static void what_goes_in_comes_out_whatever_the_bound(void **state)
{
        static const size_t bounds[] = {BYTES, BYTES - 1, 5000, 1, 0};
        static uint8_t want[BYTES], got[BYTES];
        struct err err = ERR_INIT;

        (void)state;
        for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
                const uint8_t *view;
                struct spool *s;

                assert_done(spool_new(".", bounds[i], &s, &err), &err);
                fill(s, want);
                assert_done(spool_read(s, 0, got, BYTES, &err), &err);
                assert_memory_equal(got, want, BYTES);
                assert_done(spool_read(s, 777, got, 5, &err), &err);
                assert_memory_equal(got, want + 777, 5);
                assert_done(spool_view(s, &view, &err), &err);
                assert_memory_equal(view, want, BYTES);
                spool_free(s);
        }
}

static void a_reset_spool_is_empty_and_usable(void **state)
{
        static uint8_t want[BYTES];
        struct err err = ERR_INIT;
        const uint8_t *view;
        struct spool *s;
        uint8_t got[4];

        (void)state;
        assert_done(spool_new(".", 100, &s, &err), &err);
        fill(s, want);
        assert_done(spool_reset(s, &err), &err);
        assert_int_equal(spool_size(s), 0);
        assert_done(spool_view(s, &view, &err), &err);
        assert_done(spool_append(s, "next", 4, &err), &err);
        assert_done(spool_read(s, 0, got, 4, &err), &err);
        assert_memory_equal(got, "next", 4);
        spool_free(s);
}

static void its_file_has_no_name(void **state)
{
        static uint8_t want[BYTES];
        struct err err = ERR_INIT;
        struct spool *s;

        (void)state;
        assert_done(spool_new(".", 0, &s, &err), &err);
        fill(s, want);
        assert_int_equal(test_count_files(), 0);
        spool_free(s);
}

static void a_missing_directory_is_named(void **state)
{
        struct err err = ERR_INIT;
        struct spool *s;

        (void)state;
        assert_done(spool_new("./none", 1, &s, &err), &err);
        assert_false(spool_append(s, "ab", 2, &err));
        assert_int_equal(err.status, ERR_IO);
        assert_string_equal(err.file, "./none");
        spool_free(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(what_goes_in_comes_out_whatever_the_bound),
                IN_DIR(a_reset_spool_is_empty_and_usable),
                IN_DIR(its_file_has_no_name),
                IN_DIR(a_missing_directory_is_named),
        };

        return cmocka_run_group_tests_name("base/spool", tests, NULL, NULL);
}
