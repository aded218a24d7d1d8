/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The other end is played here, byte for byte, where a QEMU would be too
 * polite to send what matters. */
#include "qemu/qmp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"

#define GREETING                                                               \
        "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, "    \
        "\"major\": 7}, \"package\": \"\"}, \"capabilities\": []}}\r\n"
#define OK1 "{\"return\": {}, \"id\": 1}\r\n"

static void say(int fd, const char *text)
{
        struct err err = ERR_INIT;

        assert_true(io_write_all(fd, text, strlen(text), "peer", &err));
}

/* A client whose peer has greeted, accepted capabilities, and then sent all
 * of `more` in advance. */
static struct qmp *client(int *peer_out, const char *more)
{
        struct err err = ERR_INIT;
        struct qmp *q = NULL;
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        say(fds[1], GREETING OK1);
        say(fds[1], more);
        assert_true(qmp_attach(fds[0], "test", 1000, &q, &err));
        *peer_out = fds[1];
        return q;
}

static void events_before_a_reply_are_kept_in_order(void **state)
{
        struct err err = ERR_INIT;
        int peer;
        struct qmp *q =
                client(&peer, "{\"event\": \"STOP\"}\r\n{\"event\": \"RESUME\"}"
                              "{\"return\": {\"n\": 5}, \"id\": 2}\r\n");
        json_auto_t *result = NULL, *a = NULL, *b = NULL, *c = NULL;

        (void)state;
        assert_true(qmp_command(q, "x", NULL, &result, NULL, &err));
        assert_int_equal(json_integer_value(json_object_get(result, "n")), 5);
        assert_true(qmp_event(q, 0, &a, &err));
        assert_true(qmp_event(q, 0, &b, &err));
        assert_true(qmp_event(q, 0, &c, &err));
        assert_string_equal(json_string_value(json_object_get(a, "event")),
                            "STOP");
        assert_string_equal(json_string_value(json_object_get(b, "event")),
                            "RESUME");
        assert_null(c);
        qmp_close(q);
        close(peer);
}

static void an_error_keeps_its_class_and_its_text_is_made_printable(void **st)
{
        struct err err = ERR_INIT;
        struct qmp_error qerr;
        int peer;
        struct qmp *q = client(
                &peer, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": "
                       "\"no \\u001b[31mx\"}, \"id\": 2}\r\n");

        (void)st;
        assert_false(qmp_command(q, "x", NULL, NULL, &qerr, &err));
        assert_int_equal(err.status, ERR_QEMU);
        assert_string_equal(qerr.class, "CommandNotFound");
        assert_null(strchr(err.why, 27));
        assert_non_null(strstr(err.why, "x: no "));
        qmp_close(q);
        close(peer);
}

static void a_late_reply_to_another_command_is_dropped(void **state)
{
        struct err err = ERR_INIT;
        int peer;
        struct qmp *q = client(&peer, "{\"return\": 1, \"id\": 77}\r\n"
                                      "{\"return\": 2, \"id\": 2}\r\n");
        json_auto_t *result = NULL;

        (void)state;
        assert_true(qmp_command(q, "x", NULL, &result, NULL, &err));
        assert_int_equal(json_integer_value(result), 2);
        qmp_close(q);
        close(peer);
}

static void a_pretty_printed_reply_is_understood(void **state)
{
        struct err err = ERR_INIT;
        int peer;
        struct qmp *q = client(&peer, "{\r\n    \"return\": {\r\n    },\r\n"
                                      "    \"id\": 2\r\n}\r\n");

        (void)state;
        assert_true(qmp_command(q, "x", NULL, NULL, NULL, &err));
        qmp_close(q);
        close(peer);
}

static void an_unsigned_64_bit_value_does_not_break_the_reply(void **state)
{
        struct err err = ERR_INIT;
        int peer;
        struct qmp *q = client(
                &peer,
                "{\"return\": {\"a\": 18446744073709551552, \"b\": 7, \"c\": "
                "\"\\\"18446744073709551552\", \"d\": 9223372036854775807}, "
                "\"id\": 2}\r\n");
        json_auto_t *r = NULL;

        (void)state;
        assert_true(qmp_command(q, "x", NULL, &r, NULL, &err));
        assert_true(json_integer_value(json_object_get(r, "a")) == INT64_MAX);
        assert_int_equal(json_integer_value(json_object_get(r, "b")), 7);
        assert_string_equal(json_string_value(json_object_get(r, "c")),
                            "\"18446744073709551552");
        assert_true(json_integer_value(json_object_get(r, "d")) == INT64_MAX);
        qmp_close(q);
        close(peer);
}

static void a_reply_may_be_collected_later(void **state)
{
        struct err err = ERR_INIT;
        int peer;
        struct qmp *q = client(&peer, "");
        json_auto_t *result = NULL;
        unsigned long id;

        (void)state;
        assert_true(qmp_send(q, "x", NULL, &id, &err));
        assert_true(qmp_reply(q, id, 0, &result, &err));
        assert_null(result);
        say(peer, "{\"return\": 7, \"id\": 2}\r\n");
        assert_true(qmp_reply(q, id, 1000, &result, &err));
        assert_int_equal(json_integer_value(result), 7);
        qmp_close(q);
        close(peer);
}

static void a_closed_monitor_is_noticed_at_once(void **state)
{
        struct err err = ERR_INIT;
        time_t before = time(NULL);
        int peer;
        struct qmp *q = client(&peer, "");

        (void)state;
        shutdown(peer, SHUT_RDWR);
        assert_false(qmp_command(q, "x", NULL, NULL, NULL, &err));
        assert_int_equal(err.status, ERR_QEMU);
        assert_non_null(strstr(err.why, "closed its monitor"));
        assert_true(time(NULL) - before < 5);
        qmp_close(q);
        close(peer);
}

static void what_is_not_json_is_refused(void **state)
{
        struct err err = ERR_INIT;
        int peer;
        struct qmp *q = client(&peer, "220 mail.example ESMTP\r\n");

        (void)state;
        assert_false(qmp_command(q, "x", NULL, NULL, NULL, &err));
        assert_int_equal(err.status, ERR_QEMU);
        qmp_close(q);
        close(peer);
}

static void a_greeting_of_something_else_is_refused(void **state)
{
        struct err err = ERR_INIT;
        struct qmp *q = NULL;
        int fds[2];

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        say(fds[1], "{\"QMP\": {\"version\": 7}}\r\n");
        assert_false(qmp_attach(fds[0], "test", 1000, &q, &err));
        assert_null(q);
        close(fds[1]);
}

static void the_version_is_that_of_the_greeting(void **state)
{
        int peer;
        struct qmp *q = client(&peer, "");

        (void)state;
        assert_string_equal(qmp_version(q), "7.2.22");
        assert_int_equal(qmp_version_number(q), 70222);
        qmp_close(q);
        close(peer);
}

static void a_descriptor_goes_along_with_its_command(void **state)
{
        struct err err = ERR_INIT;
        int peer, pipes[2], got = -1;
        struct qmp *q = client(&peer, "{\"return\": {}, \"id\": 2}\r\n");
        char text[256], control[CMSG_SPACE(sizeof(int))], byte;
        struct iovec iov = {.iov_base = text, .iov_len = sizeof text};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};

        (void)state;
        assert_int_equal(pipe(pipes), 0);
        assert_true(
                qmp_command_fd(q, "getfd", NULL, pipes[0], NULL, NULL, &err));
        for (int i = 0; i < 4 && got < 0; i++) {
                m.msg_controllen = sizeof control;
                assert_true(recvmsg(peer, &m, MSG_DONTWAIT) > 0);
                if (CMSG_FIRSTHDR(&m))
                        memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof got);
        }
        assert_true(got >= 0);
        assert_int_equal(write(pipes[1], "!", 1), 1);
        assert_int_equal(read(got, &byte, 1), 1);
        close(got);
        close(pipes[0]);
        close(pipes[1]);
        qmp_close(q);
        close(peer);
}

/* A monitor that is taken connects a second client, and never greets it. */
static void a_taken_socket_is_told_with_its_holder(void **state)
{
        char dir[] = "/tmp/qmp_test-XXXXXX";
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        struct err err = ERR_INIT;
        struct qmp *q = NULL;
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), ready[2], served;
        char expected[64], byte;
        pid_t holder;

        (void)state;
        assert_non_null(mkdtemp(dir));
        snprintf(a.sun_path, sizeof a.sun_path, "%s/qmp", dir);
        assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(listen(listener, 4), 0);
        assert_int_equal(pipe(ready), 0);
        holder = fork();
        if (holder == 0) {
                int fd = socket(AF_UNIX, SOCK_STREAM, 0);

                close(listener);
                if (connect(fd, (struct sockaddr *)&a, sizeof a) ||
                    write(ready[1], "!", 1) != 1)
                        _exit(1);
                pause();
                _exit(0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        served = accept(listener, NULL, NULL);
        assert_true(served >= 0);
        assert_false(qmp_connect(a.sun_path, 100, &q, &err));
        snprintf(expected, sizeof expected, "process %ld (", (long)holder);
        assert_non_null(strstr(err.why, expected));
        assert_non_null(strstr(err.why, "-qmp unix:"));
        kill(holder, SIGKILL);
        waitpid(holder, NULL, 0);
        close(ready[0]);
        close(ready[1]);
        close(served);
        close(listener);
        unlink(a.sun_path);
        rmdir(dir);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(events_before_a_reply_are_kept_in_order),
                cmocka_unit_test(
                        an_error_keeps_its_class_and_its_text_is_made_printable),
                cmocka_unit_test(a_late_reply_to_another_command_is_dropped),
                cmocka_unit_test(a_pretty_printed_reply_is_understood),
                cmocka_unit_test(
                        an_unsigned_64_bit_value_does_not_break_the_reply),
                cmocka_unit_test(a_reply_may_be_collected_later),
                cmocka_unit_test(a_closed_monitor_is_noticed_at_once),
                cmocka_unit_test(what_is_not_json_is_refused),
                cmocka_unit_test(a_greeting_of_something_else_is_refused),
                cmocka_unit_test(the_version_is_that_of_the_greeting),
                cmocka_unit_test(a_descriptor_goes_along_with_its_command),
                cmocka_unit_test(a_taken_socket_is_told_with_its_holder),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
