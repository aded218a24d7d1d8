/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/endpoint.h"

#include "base/test.h"

#include <sys/socket.h>

#define PONG "\0\2\0\4\0\0\0\1"

/* What a destination that says just this has decided. */
static enum status hear(const char *bytes, size_t len, bool leave,
                        enum verdict *out)
{
        struct err err = ERR_INIT;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(write(pair[1], bytes, len), len);
        if (leave)
                close(pair[1]);
        endpoint_verdict(pair[0], 100, out, &err);
        if (!leave)
                close(pair[1]);
        close(pair[0]);
        return err.status;
}

#define HEAR(s, leave, out) hear(s, sizeof(s) - 1, leave, out)

static void shut_tells_the_verdict(void **state)
{
        enum verdict v;

        (void)state;
        assert_int_equal(HEAR(PONG "\0\1\0\4\0\0\0\0", false, &v), ERR_NONE);
        assert_int_equal(v, VERDICT_LOADED);
        assert_int_equal(HEAR("\0\1\0\4\0\0\0\1", false, &v), ERR_NONE);
        assert_int_equal(v, VERDICT_FAILED);
}

static void hanging_up_is_no_verdict(void **state)
{
        enum verdict v;

        (void)state;
        assert_int_equal(HEAR(PONG, true, &v), ERR_NONE);
        assert_int_equal(v, VERDICT_NONE);
        assert_int_equal(HEAR("\0\1\0\4\0\0", true, &v), ERR_NONE);
        assert_int_equal(v, VERDICT_NONE);
        assert_int_equal(HEAR("", true, &v), ERR_NONE);
        assert_int_equal(v, VERDICT_NONE);
}

static void silence_and_nonsense_are_failures(void **state)
{
        enum verdict v;

        (void)state;
        assert_int_equal(HEAR(PONG, false, &v), ERR_QEMU);
        assert_int_equal(HEAR("\0\1\0\2\0\0", false, &v), ERR_TRUNCATED);
}

static void other_uris_are_refused(void **state)
{
        static const char *const uris[] = {"",          "exec:true", "tcp:host",
                                           "tcp:host:", "fd:",       "fd:x",
                                           "fd:-1"};
        bool answers;
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
                struct err err = ERR_INIT;

                assert_false(endpoint_open(uris[i], &fd, &answers, &err));
                assert_int_equal(err.status, ERR_USAGE);
        }
}

static void sockets_answer_and_pipes_do_not(void **state)
{
        struct err err = ERR_INIT;
        int pair[2], pipes[2], fd;
        char uri[32];
        bool answers;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(pipe(pipes), 0);
        snprintf(uri, sizeof uri, "fd:%d", pair[0]);
        assert_done(endpoint_open(uri, &fd, &answers, &err), &err);
        assert_true(answers);
        close(fd);
        snprintf(uri, sizeof uri, "fd:%d", pipes[1]);
        assert_done(endpoint_open(uri, &fd, &answers, &err), &err);
        assert_false(answers);
        close(fd);
        for (int i = 0; i < 2; i++) {
                close(pair[i]);
                close(pipes[i]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(shut_tells_the_verdict),
                cmocka_unit_test(hanging_up_is_no_verdict),
                cmocka_unit_test(silence_and_nonsense_are_failures),
                cmocka_unit_test(other_uris_are_refused),
                cmocka_unit_test(sockets_answer_and_pipes_do_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
