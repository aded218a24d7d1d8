/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/sink.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "base/limits.h"

#define TOTAL (13 * MiB + 12345)

static uint8_t *bytes;

static int set_up(void **state)
{
        uint64_t x = 88172645463325252;

        (void)state;
        bytes = malloc(TOTAL);
        for (size_t i = 0; bytes && i < TOTAL; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                bytes[i] = (uint8_t)x;
        }
        return bytes ? 0 : -1;
}

static int tear_down(void **state)
{
        (void)state;
        free(bytes);
        return 0;
}

/* Pieces of all sizes, among them none and some larger than any block. */
static size_t piece(size_t at)
{
        static const size_t sizes[] = {512, 1,      4096,    0,   3 * MiB,
                                       100, 262144, 1048576, 511, 777777};
        static unsigned turn;
        size_t n = sizes[turn++ % 10];

        return n < TOTAL - at ? n : TOTAL - at;
}

static void write_all(struct sink *s)
{
        struct err err = ERR_INIT;

        for (size_t at = 0, n; at < TOTAL; at += n) {
                n = piece(at);
                assert_true(sink_write(s, bytes + at, n, &err));
        }
        assert_int_equal(sink_size(s), TOTAL);
}

static void is_all_there(int fd)
{
        uint8_t *back = malloc(TOTAL + 1);
        ssize_t n;

        n = pread(fd, back, TOTAL + 1, 0);
        assert_int_equal(n, TOTAL);
        assert_memory_equal(back, bytes, TOTAL);
        free(back);
}

static void file_in(const char *dir)
{
        struct err err = ERR_INIT;
        struct sink *s;
        int fd;

        assert_true(io_open_unlinked(dir, &fd, &err));
        assert_true(sink_new(fd, "file", &s, &err));
        assert_true(sink_is_file(s));
        write_all(s);
        assert_true(sink_flush(s, &err));
        is_all_there(fd);
        sink_free(s);
        is_all_there(fd);
        close(fd);
}

static void a_file_has_every_byte_in_its_place(void **state)
{
        (void)state;
        file_in(".");
}

static void so_it_has_where_there_are_no_direct_writes(void **state)
{
        (void)state;
        file_in("/dev/shm");
}

static void what_was_written_is_read_back_at_any_time(void **state)
{
        struct err err = ERR_INIT;
        uint8_t *back = malloc(TOTAL);
        struct sink *s;
        size_t at = 0;
        int fd;

        (void)state;
        assert_true(io_open_unlinked(".", &fd, &err));
        assert_true(sink_new(fd, "file", &s, &err));
        while (at < TOTAL) {
                size_t n = piece(at), from;

                assert_true(sink_write(s, bytes + at, n, &err));
                at += n;
                from = at > 300000 ? at - 300000 : 0;
                assert_true(sink_read(s, back, at - from, from, &err));
                assert_memory_equal(back, bytes + from, at - from);
                from = from / 2;
                if (at - from > 1000) {
                        assert_true(sink_read(s, back, 1000, from, &err));
                        assert_memory_equal(back, bytes + from, 1000);
                }
        }
        assert_true(sink_flush(s, &err));
        is_all_there(fd);
        sink_free(s);
        close(fd);
        free(back);
}

static void a_pipe_gets_every_byte_in_order(void **state)
{
        struct err err = ERR_INIT;
        struct sink *s;
        int fds[2], status;
        pid_t child;

        (void)state;
        assert_int_equal(pipe(fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                close(fds[0]);
                if (!sink_new(fds[1], "pipe", &s, &err) || sink_is_file(s))
                        _exit(1);
                write_all(s);
                _exit(sink_flush(s, &err) ? 0 : 1);
        }
        close(fds[1]);
        for (size_t at = 0; at < TOTAL;) {
                uint8_t got[65536];
                ssize_t n = read(fds[0], got, sizeof got);

                assert_true(n > 0 && at + (size_t)n <= TOTAL);
                assert_memory_equal(got, bytes + at, (size_t)n);
                at += (size_t)n;
        }
        assert_int_equal(read(fds[0], &status, 1), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        close(fds[0]);
}

/* Standard output may be sent to the middle of a file. */
static void a_file_that_is_not_at_its_beginning_is_appended_to(void **state)
{
        struct err err = ERR_INIT;
        uint8_t back[7];
        struct sink *s;
        int fd;

        (void)state;
        assert_true(io_open_unlinked(".", &fd, &err));
        assert_int_equal(write(fd, "abc", 3), 3);
        assert_true(sink_new(fd, "file", &s, &err));
        assert_false(sink_is_file(s));
        assert_true(sink_write(s, "defg", 4, &err));
        assert_true(sink_flush(s, &err));
        sink_free(s);
        assert_int_equal(pread(fd, back, sizeof back, 0), 7);
        assert_memory_equal(back, "abcdefg", 7);
        close(fd);
}

/* In a child: a limit of files cannot be lifted again by everybody. */
static int too_large(size_t limit)
{
        struct rlimit r = {limit, limit};
        struct err err = ERR_INIT;
        struct sink *s;
        bool ok = true;
        int fd;

        signal(SIGXFSZ, SIG_IGN);
        if (!io_open_unlinked(".", &fd, &err) ||
            setrlimit(RLIMIT_FSIZE, &r) != 0 || !sink_new(fd, "file", &s, &err))
                return 2;
        for (size_t at = 0, n; ok && at < TOTAL; at += n) {
                n = piece(at);
                ok = sink_write(s, bytes + at, n, &err);
        }
        ok = ok && sink_flush(s, &err);
        sink_free(s);
        return !ok && err.status == ERR_IO ? 0 : 1;
}

static void a_full_disk_is_told_wherever_it_strikes(void **state)
{
        static const size_t limits[] = {0,           5000,     2 * MiB,
                                        2 * MiB + 1, 8 * MiB,  12 * MiB + 4096,
                                        TOTAL - 100, TOTAL - 1};

        (void)state;
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
                pid_t child = fork();
                int status;

                assert_true(child >= 0);
                if (child == 0)
                        _exit(too_large(limits[i]));
                assert_int_equal(waitpid(child, &status, 0), child);
                assert_int_equal(status, 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_has_every_byte_in_its_place),
                cmocka_unit_test(so_it_has_where_there_are_no_direct_writes),
                cmocka_unit_test(what_was_written_is_read_back_at_any_time),
                cmocka_unit_test(a_pipe_gets_every_byte_in_order),
                cmocka_unit_test(
                        a_file_that_is_not_at_its_beginning_is_appended_to),
                cmocka_unit_test(a_full_disk_is_told_wherever_it_strikes),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
