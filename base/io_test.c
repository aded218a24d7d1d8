/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/io.h"

static void put(const char *name, const char *text)
{
        FILE *f = fopen(name, "w");

        fputs(text, f);
        fclose(f);
}

static void assert_file(const char *name, const char *want)
{
        struct err err = ERR_INIT;
        size_t len;
        char *got;

        assert_done(io_read_file(name, 1000, &got, &len, &err), &err);
        assert_string_equal(got, want);
        free(got);
}

static void reads_tell_an_early_end_from_a_failure(void **state)
{
        struct err err = ERR_INIT;
        char got[8];
        int fd;

        (void)state;
        put("f", "hello");
        assert_done(io_open_read("f", &fd, &err), &err);
        assert_done(io_pread_all(fd, got, 4, 1, "f", &err), &err);
        assert_memory_equal(got, "ello", 4);
        assert_false(io_pread_all(fd, got, 5, 1, "f", &err));
        assert_int_equal(err.status, ERR_TRUNCATED);
        assert_int_equal(err.offset, 1);
        err_clear(&err);
        assert_false(io_read_all(fd, got, 6, "f", &err));
        assert_int_equal(err.status, ERR_TRUNCATED);
        close(fd);
        err_clear(&err);
        assert_false(io_pread_all(fd, got, 1, 0, "f", &err));
        assert_int_equal(err.os, EBADF);
}

static void whole_files_have_a_limit(void **state)
{
        struct err err = ERR_INIT;
        size_t len;
        char *got;

        (void)state;
        put("f", "12345");
        assert_done(io_read_file("f", 5, &got, &len, &err), &err);
        assert_int_equal(len, 5);
        free(got);
        assert_false(io_read_file("f", 4, &got, &len, &err));
        assert_int_equal(err.status, ERR_LIMIT);
}

/* More than a socket holds, through non-blocking ends. */
static void nonblocking_descriptors_are_waited_for(void **state)
{
        enum { SIZE = 4 << 20 };
        struct err err = ERR_INIT;
        char *bytes = calloc(1, SIZE);
        int s[2], status;
        pid_t pid;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
        assert_done(io_set_nonblock(s[0], true, &err), &err);
        assert_done(io_set_nonblock(s[1], true, &err), &err);
        pid = fork();
        if (pid == 0) {
                close(s[1]);
                _exit(!io_write_all(s[0], bytes, SIZE, "s", &err));
        }
        close(s[0]);
        assert_done(io_read_all(s[1], bytes, SIZE, "s", &err), &err);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        close(s[1]);
        free(bytes);
}

static struct publish *begin(const char *name, unsigned flags)
{
        struct err err = ERR_INIT;
        struct publish *p;

        assert_done(publish_open(name, flags, &p, &err), &err);
        assert_done(io_write_all(publish_fd(p), "new", 3, name, &err), &err);
        return p;
}

static void a_file_appears_whole_and_private_at_commit(void **state)
{
        struct err err = ERR_INIT;
        struct publish *p;
        struct stat st;

        (void)state;
        umask(0);
        p = begin("out", 0);
        assert_int_equal(access("out", F_OK), -1);
        assert_done(publish_commit(p, &err), &err);
        publish_close(p);
        assert_file("out", "new");
        assert_int_equal(stat("out", &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(test_count_files(), 1);
}

static void without_commit_nothing_is_left(void **state)
{
        (void)state;
        publish_close(begin("out", 0));
        assert_int_equal(test_count_files(), 0);
        put("out", "old");
        publish_close(begin("out", PUBLISH_REPLACE));
        assert_file("out", "old");
        assert_int_equal(test_count_files(), 1);
}

static void an_older_file_is_replaced_only_if_asked(void **state)
{
        struct err err = ERR_INIT;
        struct publish *p;

        (void)state;
        put("out", "old");
        assert_false(publish_open("out", 0, &p, &err));
        assert_int_equal(err.status, ERR_USAGE);
        err_clear(&err);
        p = begin("out", PUBLISH_REPLACE);
        assert_file("out", "old");
        assert_done(publish_commit(p, &err), &err);
        publish_close(p);
        assert_file("out", "new");
        assert_int_equal(test_count_files(), 1);
}

static void a_file_that_came_meanwhile_stays(void **state)
{
        struct err err = ERR_INIT;
        struct publish *p = begin("out", 0);

        (void)state;
        put("out", "theirs");
        assert_false(publish_commit(p, &err));
        assert_int_equal(err.status, ERR_IO);
        publish_close(p);
        assert_file("out", "theirs");
        assert_int_equal(test_count_files(), 1);
}

static void only_regular_files_are_replaced(void **state)
{
        static const char *const names[] = {"fifo", "link", ".", "a/..", ""};
        struct publish *p;

        (void)state;
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_int_equal(symlink("elsewhere", "link"), 0);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                struct err err = ERR_INIT;

                assert_false(publish_open(names[i], PUBLISH_REPLACE, &p, &err));
                assert_int_equal(err.status, ERR_USAGE);
        }
}

static void a_missing_directory_fails_before_any_work(void **state)
{
        struct err err = ERR_INIT;
        struct publish *p;

        (void)state;
        assert_false(publish_open("none/out", 0, &p, &err));
        assert_int_equal(err.status, ERR_IO);
        assert_string_equal(err.file, "none");
}

static void a_killed_writer_leaves_nothing_under_the_name(void **state)
{
        int status;
        pid_t pid;

        (void)state;
        put("out", "old");
        pid = fork();
        if (pid == 0) {
                begin("out", PUBLISH_REPLACE);
                raise(SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_file("out", "old");
        /* What a file system without O_TMPFILE would have left, and what
         * only looks like it. */
        put(".out.stasis-0123456789ab", "dead");
        put(".out.stasis-backup", "keep");
        publish_close(begin("out", PUBLISH_REPLACE));
        assert_int_equal(access(".out.stasis-0123456789ab", F_OK), -1);
        assert_file(".out.stasis-backup", "keep");
}

static void unlinked_files_have_no_name(void **state)
{
        struct err err = ERR_INIT;
        struct stat st;
        int fd;

        (void)state;
        assert_done(io_open_unlinked(".", &fd, &err), &err);
        assert_int_equal(test_count_files(), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(reads_tell_an_early_end_from_a_failure),
                IN_DIR(whole_files_have_a_limit),
                cmocka_unit_test(nonblocking_descriptors_are_waited_for),
                IN_DIR(a_file_appears_whole_and_private_at_commit),
                IN_DIR(without_commit_nothing_is_left),
                IN_DIR(an_older_file_is_replaced_only_if_asked),
                IN_DIR(a_file_that_came_meanwhile_stays),
                IN_DIR(only_regular_files_are_replaced),
                IN_DIR(a_missing_directory_fails_before_any_work),
                IN_DIR(a_killed_writer_leaves_nothing_under_the_name),
                IN_DIR(unlinked_files_have_no_name),
        };

        return cmocka_run_group_tests_name("base/io", tests, NULL, NULL);
}
