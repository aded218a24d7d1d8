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

static enum verdict pong(const char *bytes, size_t len, uint32_t token)
{
        struct err err = ERR_INIT;
        enum verdict v;
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(write(pair[1], bytes, len), len);
        close(pair[1]);
        assert_done(endpoint_pong(pair[0], token, 100, &v, &err), &err);
        close(pair[0]);
        return v;
}

static void an_answer_is_waited_for_by_its_token(void **state)
{
        static const char both[] = PONG "\0\2\0\4\0\0\0\7";
        static const char shut[] = PONG "\0\1\0\4\0\0\0\0";

        (void)state;
        assert_int_equal(pong(both, sizeof both - 1, 7), VERDICT_LOADED);
        assert_int_equal(pong(both, sizeof both - 1, 8), VERDICT_NONE);
        assert_int_equal(pong(shut, sizeof shut - 1, 7), VERDICT_FAILED);
}

static void other_uris_are_refused(void **state)
{
        static const char *const uris[] = {"",          "exec:true", "tcp:host",
                                           "tcp:host:", "fd:",       "fd:x",
                                           "fd:-1"};
        struct endpoint_options o = {0};
        struct endpoint *e;

        (void)state;
        for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
                struct err err = ERR_INIT;

                assert_false(endpoint_open(uris[i], &o, &e, &err));
                assert_int_equal(err.status, ERR_USAGE);
        }
}

static bool answers(int fd)
{
        struct endpoint_options o = {0};
        struct err err = ERR_INIT;
        struct endpoint *e;
        char uri[32];
        bool does;

        snprintf(uri, sizeof uri, "fd:%d", fd);
        assert_done(endpoint_open(uri, &o, &e, &err), &err);
        does = endpoint_answers(e);
        endpoint_free(e);
        return does;
}

static void sockets_answer_and_pipes_do_not(void **state)
{
        int pair[2], pipes[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(pipe(pipes), 0);
        assert_true(answers(pair[0]));
        assert_false(answers(pipes[1]));
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
                cmocka_unit_test(an_answer_is_waited_for_by_its_token),
                cmocka_unit_test(other_uris_are_refused),
                cmocka_unit_test(sockets_answer_and_pipes_do_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
