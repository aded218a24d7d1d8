/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/source.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOTAL 5000000U

static uint8_t byte_at(size_t i)
{
        return (uint8_t)(i * 31 + i / 251);
}

/* Writes a known sequence in pieces of many sizes. */
static void *sender(void *arg)
{
        int fd = *(int *)arg;
        uint8_t piece[70000];
        size_t at = 0, len = 1;

        while (at < TOTAL) {
                if (len > TOTAL - at)
                        len = TOTAL - at;
                for (size_t i = 0; i < len; i++)
                        piece[i] = byte_at(at + i);
                if (write(fd, piece, len) != (ssize_t)len)
                        break;
                at += len;
                len = len * 7 % sizeof piece + 1;
        }
        close(fd);
        return NULL;
}

static void views_are_contiguous_and_in_order(void **state)
{
        size_t at = 0, want = 1, len;
        struct err err = ERR_INIT;
        struct source *s;
        const uint8_t *p;
        pthread_t t;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(pthread_create(&t, NULL, sender, &fds[1]), 0);
        assert_true(source_new(fds[0], "pipe", NULL, NULL, &s, &err));
        while (at < TOTAL) {
                size_t take;

                want = want * 13 % SOURCE_VIEW_MAX + 1;
                if (want > TOTAL - at)
                        want = TOTAL - at;
                assert_true(source_need(s, want, &p, &len, &err));
                assert_true(len >= want);
                for (size_t i = 0; i < want; i += 97)
                        assert_int_equal(p[i], byte_at(at + i));
                take = want - want / 3;
                source_take(s, take);
                at += take;
                assert_int_equal(source_offset(s), at);
        }
        assert_false(source_need(s, 1, &p, &len, &err));
        assert_int_equal(err.status, ERR_TRUNCATED);
        assert_int_equal(err.offset, TOTAL);
        err_clear(&err);
        assert_true(source_some(s, &p, &len, &err));
        assert_int_equal(len, 0);
        pthread_join(t, NULL);
        source_free(s);
        close(fds[0]);
}

struct copied {
        size_t begin, len;
};

static bool copy(void *arg, const uint8_t *bytes, size_t len, struct err *err)
{
        struct copied *c = arg;

        (void)err;
        for (size_t i = 0; i < len; i++)
                assert_int_equal(bytes[i], byte_at(c->begin + c->len + i));
        c->len += len;
        return true;
}

static void what_is_taken_is_copied_once(void **state)
{
        struct copied c = {.begin = 1000};
        struct err err = ERR_INIT;
        size_t want = 1, len;
        struct source *s;
        const uint8_t *p;
        pthread_t t;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(pthread_create(&t, NULL, sender, &fds[1]), 0);
        assert_true(source_new(fds[0], "pipe", NULL, NULL, &s, &err));
        assert_true(source_need(s, 1000, &p, &len, &err));
        source_take(s, 1000);
        source_copy_to(s, copy, &c);
        while (source_offset(s) < TOTAL - SOURCE_VIEW_MAX) {
                want = want * 13 % SOURCE_VIEW_MAX + 1;
                assert_true(source_need(s, want, &p, &len, &err));
                source_take(s, want - want / 3);
        }
        assert_true(source_copy_end(s, &err));
        assert_int_equal(c.begin + c.len, source_offset(s));
        assert_true(source_need(s, 10, &p, &len, &err));
        source_take(s, 10);
        assert_true(source_copy_end(s, &err));
        assert_int_equal(c.begin + c.len + 10, source_offset(s));
        close(fds[0]);
        pthread_join(t, NULL);
        source_free(s);
}

static bool refuse(void *arg, const uint8_t *bytes, size_t len, struct err *err)
{
        (void)arg;
        (void)bytes;
        (void)len;
        return err_set(err, ERR_QEMU, "full");
}

static void a_copy_that_fails_ends_a_wait(void **state)
{
        struct err err = ERR_INIT;
        struct source *s;
        const uint8_t *p;
        size_t len;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(write(fds[1], "abcd", 4), 4);
        assert_true(source_new(fds[0], "pipe", NULL, NULL, &s, &err));
        source_copy_to(s, refuse, NULL);
        assert_true(source_need(s, 4, &p, &len, &err));
        source_take(s, 3);
        assert_false(source_need(s, 2, &p, &len, &err));
        assert_int_equal(err.status, ERR_QEMU);
        source_free(s);
        close(fds[0]);
        close(fds[1]);
}

static bool give_up(void *arg, struct err *err)
{
        ++*(unsigned *)arg;
        return err_set(err, ERR_QEMU, "gone");
}

static void idle_callback_ends_a_wait(void **state)
{
        struct err err = ERR_INIT;
        unsigned asked = 0;
        struct source *s;
        const uint8_t *p;
        size_t len;
        int fds[2];

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_true(source_new(fds[0], "pipe", give_up, &asked, &s, &err));
        assert_false(source_need(s, 1, &p, &len, &err));
        assert_int_equal(err.status, ERR_QEMU);
        assert_int_equal(asked, 1);
        source_free(s);
        close(fds[0]);
        close(fds[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(views_are_contiguous_and_in_order),
                cmocka_unit_test(what_is_taken_is_copied_once),
                cmocka_unit_test(a_copy_that_fails_ends_a_wait),
                cmocka_unit_test(idle_callback_ends_a_wait),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
