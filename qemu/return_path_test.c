/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "qemu/return_path.h"

#include <sys/socket.h>

struct peer {
        int fds[2];
        struct return_path r;
};

static void meet(struct peer *p)
{
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fds), 0);
        return_path_init(&p->r, p->fds[0]);
}

static void part(struct peer *p)
{
        close(p->fds[0]);
        close(p->fds[1]);
}

static void says(struct peer *p, const void *bytes, size_t len)
{
        assert_int_equal(write(p->fds[1], bytes, len), len);
}

#define SAYS(p, text) says(p, text, sizeof(text) - 1)

static void requests_are_heard(void **state)
{
        struct err err = ERR_INIT;
        struct return_message m;
        struct peer p;

        (void)state;
        meet(&p);
        assert_done(return_path_next(&p.r, 0, &m, &err), &err);
        assert_int_equal(m.type, RETURN_NONE);
        SAYS(&p, "\0\2\0\4\0\0\0\1"
                 "\0\3\0\17\0\0\0\0\0\x12\0\0\0\0\x10\0\2pc"
                 "\0\4\0\14\0\0\0\0\0\0\x30\0\0\0\x10\0"
                 "\0\4\0"); /* a half one */
        assert_done(return_path_next(&p.r, 0, &m, &err), &err);
        assert_int_equal(m.type, RETURN_PONG);
        assert_int_equal(m.value, 1);
        assert_done(return_path_next(&p.r, 0, &m, &err), &err);
        assert_int_equal(m.type, RETURN_REQUEST);
        assert_int_equal(m.start, 0x120000);
        assert_int_equal(m.len, 0x1000);
        assert_string_equal(m.block, "pc");
        assert_done(return_path_next(&p.r, 0, &m, &err), &err);
        assert_int_equal(m.start, 0x3000);
        assert_string_equal(m.block, "pc"); /* as before */
        assert_done(return_path_next(&p.r, 0, &m, &err), &err);
        assert_int_equal(m.type, RETURN_NONE);
        SAYS(&p, "\14\0\0\0\0\0\0\x40\0\0\0\x10\0");
        assert_done(return_path_next(&p.r, 1000, &m, &err), &err);
        assert_int_equal(m.start, 0x4000);
        SAYS(&p, "\0\1\0\4\0\0\0\0");
        shutdown(p.fds[1], SHUT_WR);
        assert_done(return_path_next(&p.r, 1000, &m, &err), &err);
        assert_int_equal(m.type, RETURN_SHUT);
        assert_done(return_path_next(&p.r, 1000, &m, &err), &err);
        assert_int_equal(m.type, RETURN_ENDED);
        part(&p);
}

static void what_is_no_message_is_refused(void **state)
{
        static const struct {
                const char *bytes;
                size_t len;
        } bad[] = {
                {"\0\3\20\1", 4},      /* too long             */
                {"\0\4\0\3\0\0\0", 7}, /* too short            */
                {"\0\3\0\15\0\0\0\0\0\0\0\0\0\0\x10\0\5", 17},    /* no name */
                {"\0\3\0\17\0\0\0\0\0\0\0\0\0\0\x10\0\2a\0", 19}, /* NUL */
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;
                struct return_message m;
                struct peer p;

                meet(&p);
                says(&p, bad[i].bytes, bad[i].len);
                assert_false(return_path_next(&p.r, 0, &m, &err));
                part(&p);
        }
}

static void bitmaps_are_bounded(void **state)
{
        static const char good[] = "\0\5\0\2\1a"
                                   "\0\0\0\0\0\0\0\10"
                                   "\3\0\0\0\0\0\0\0"
                                   "\1\x23\x45\x67\x89\xab\xcd\xef";
        uint8_t bits[8];
        struct return_message m;
        struct err err = ERR_INIT;
        struct peer p;

        (void)state;
        meet(&p);
        SAYS(&p, good);
        assert_done(return_path_next(&p.r, 0, &m, &err), &err);
        assert_int_equal(m.type, RETURN_BITMAP);
        assert_string_equal(m.block, "a");
        assert_done(return_path_bits(&p.r, 0, bits, 60, &err), &err);
        assert_int_equal(bits[0], 3);
        part(&p);
        for (int i = 0; i < 3; i++) {
                char bytes[sizeof good];

                /* a size of another block, an end that is none, too little */
                memcpy(bytes, good, sizeof good);
                if (i < 2)
                        bytes[i == 0 ? 13 : 29] ^= 8;
                meet(&p);
                says(&p, bytes, sizeof good - 1 - (i == 2));
                assert_done(return_path_next(&p.r, 0, &m, &err), &err);
                assert_false(return_path_bits(&p.r, 0, bits, 60, &err));
                err_clear(&err);
                part(&p);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_are_heard),
                cmocka_unit_test(what_is_no_message_is_refused),
                cmocka_unit_test(bitmaps_are_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
