/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/fingerprint.h"

#include "base/test.h"

#include <sys/time.h>

#define SIZE (40 * 1024 * 1024)

static void make(const char *path, off_t size)
{
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, size), 0);
        close(fd);
}

static void poke(const char *path, off_t at)
{
        int fd = open(path, O_RDWR);

        assert_int_equal(pwrite(fd, "x", 1, at), 1);
        close(fd);
}

static bool differs(const json_t *print, const char *path)
{
        struct err err = ERR_INIT;
        char why[160];

        assert_done(fingerprint_compare(print, path, why, &err), &err);
        return why[0] != '\0';
}

static void unchanged_file_is_the_same(void **state)
{
        struct err err = ERR_INIT;
        json_t *print;

        (void)state;
        make("disk", SIZE);
        assert_done(fingerprint_take("disk", &print, &err), &err);
        assert_false(differs(print, "disk"));
        json_decref(print);
}

static void any_write_shows(void **state)
{
        static const off_t places[] = {0, 5000, SIZE / 2 + 77, SIZE - 1};
        struct err err = ERR_INIT;
        json_t *print;

        (void)state;
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
                make("disk", SIZE);
                assert_done(fingerprint_take("disk", &print, &err), &err);
                poke("disk", places[i]);
                assert_true(differs(print, "disk"));
                json_decref(print);
        }
}

/* Who sets the time back is still found where samples are taken. */
static void write_with_its_time_set_back_shows_in_the_samples(void **state)
{
        struct timespec times[2];
        struct err err = ERR_INIT;
        struct stat st;
        json_t *print;

        (void)state;
        make("disk", SIZE);
        assert_int_equal(stat("disk", &st), 0);
        assert_done(fingerprint_take("disk", &print, &err), &err);
        poke("disk", SIZE - 100);
        times[0] = st.st_atim;
        times[1] = st.st_mtim;
        assert_int_equal(utimensat(AT_FDCWD, "disk", times, 0), 0);
        assert_true(differs(print, "disk"));
        json_decref(print);
}

static void other_size_and_missing_file_differ(void **state)
{
        struct err err = ERR_INIT;
        json_t *print;

        (void)state;
        make("disk", SIZE);
        assert_done(fingerprint_take("disk", &print, &err), &err);
        make("disk", SIZE + 512);
        assert_true(differs(print, "disk"));
        assert_int_equal(unlink("disk"), 0);
        assert_true(differs(print, "disk"));
        json_decref(print);
}

static void what_is_no_fingerprint_is_corrupt(void **state)
{
        json_t *bad[] = {json_object(), json_pack("{s:s}", "size", "big")};
        char why[160];

        (void)state;
        make("disk", 512);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;

                assert_false(fingerprint_compare(bad[i], "disk", why, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                json_decref(bad[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(unchanged_file_is_the_same),
                cmocka_unit_test(any_write_shows),
                cmocka_unit_test(
                        write_with_its_time_set_back_shows_in_the_samples),
                cmocka_unit_test(other_size_and_missing_file_differ),
                cmocka_unit_test(what_is_no_fingerprint_is_corrupt),
        };

        return cmocka_run_group_tests(tests, test_enter_dir, test_leave_dir);
}
