/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/channels.h"

#include "base/test.h"
#include "qemu/multifd.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PAGE   4096U
#define HEADER (320 + 8 * (MULTIFD_PAGES_BYTES / PAGE))
#define COUNT  2

static struct ram_block block = {.name = "r", .size = 1 << 20};
static const struct ram_blocks blocks = {.blocks = &block, .count = 1};

struct setup {
        struct channels *c;
        int main, sender, channel[COUNT];
        char told[64]; /* the first byte of each page, in order */
};

static int reach(const char *uri)
{
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        strcpy(a.sun_path, uri + strlen("unix:"));
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

static void greet(int fd, uint8_t id)
{
        uint8_t hello[MULTIFD_HELLO_SIZE] = {0x11, 0x22, 0x33, 0x44,
                                             0,    0,    0,    1};

        hello[24] = id;
        assert_int_equal(write(fd, hello, sizeof hello), sizeof hello);
}

/* pages: what each is filled with; "0": a page of zeros, told as such. */
static void send_numbered(int fd, uint8_t number, const char *pages, bool sync)
{
        bool zero = strcmp(pages, "0") == 0;
        size_t n = zero ? 0 : strlen(pages), len = HEADER + n * PAGE;
        uint8_t *p = calloc(1, len);

        memcpy(p, "\x11\x22\x33\x44\0\0\0\1", 8);
        p[11] = sync;
        p[19] = (uint8_t)n;
        p[31] = number;
        p[35] = zero;
        p[22] = (uint8_t)(n * PAGE >> 8);
        p[64] = 'r';
        for (size_t i = 0; i < n; i++) {
                p[320 + 8 * i + 6] = (uint8_t)(i * PAGE >> 8);
                memset(p + HEADER + i * PAGE, pages[i], PAGE);
        }
        assert_int_equal(write(fd, p, len), len);
        free(p);
}

static void send_packet(int fd, const char *pages, bool sync)
{
        send_numbered(fd, 0, pages, sync);
}

static bool page(void *arg, unsigned n, uint64_t offset, const uint8_t *bytes,
                 size_t len, struct err *err)
{
        struct setup *s = arg;

        (void)err;
        assert_int_equal(n, 0);
        assert_int_equal(offset % PAGE, 0);
        assert_int_equal(len, PAGE);
        if (bytes)
                assert_int_equal(bytes[0], bytes[PAGE - 1]);
        s->told[strlen(s->told)] = bytes ? (char)bytes[0] : '0';
        return true;
}

static void set_up(struct setup *s)
{
        struct channels_options o = {
                .count = COUNT, .dir = ".", .uid = geteuid()};
        struct err err = ERR_INIT;

        memset(s, 0, sizeof *s);
        assert_done(channels_listen(&o, &s->c, &err), &err);
        s->sender = reach(channels_uri(s->c));
        for (int i = 0; i < COUNT; i++)
                s->channel[i] = reach(channels_uri(s->c));
        for (int i = 0; i < COUNT; i++)
                greet(s->channel[i], (uint8_t)(COUNT - 1 - i));
        assert_done(channels_accept(s->c, &s->main, &err), &err);
        assert_int_equal(test_count_files(), 0);
        assert_done(channels_begin(s->c, &blocks, PAGE, page, s, &err), &err);
}

static void tear_down(struct setup *s)
{
        channels_free(s->c);
        close(s->main);
        close(s->sender);
        for (int i = 0; i < COUNT; i++)
                close(s->channel[i]);
}

static bool wait_some(struct setup *s, bool *came, struct err *err)
{
        return channels_wait(s->c, s->main, 50, came, err);
}

/* One channel is far ahead; its pages from behind the barrier may be the newer
 * ones of those that the other has before it. */
static void nothing_overtakes_a_barrier(void **state)
{
        struct err err = ERR_INIT;
        struct setup s;
        bool came;

        (void)state;
        set_up(&s);
        send_packet(s.channel[0], "ab", false);
        send_packet(s.channel[0], "", true);
        send_packet(s.channel[0], "x", false);
        send_packet(s.channel[0], "", true);
        assert_done(wait_some(&s, &came, &err), &err);
        assert_false(came);
        assert_string_equal(s.told, "ab");
        send_packet(s.channel[1], "c", true);
        assert_done(channels_barrier(s.c, &err), &err);
        assert_string_equal(s.told, "abc");
        send_packet(s.channel[1], "", true);
        assert_int_equal(write(s.sender, "!", 1), 1);
        assert_done(wait_some(&s, &came, &err), &err);
        assert_true(came);
        assert_done(channels_barrier(s.c, &err), &err);
        assert_string_equal(s.told, "abcx");
        tear_down(&s);
}

static void packets_are_told_in_their_order(void **state)
{
        struct err err = ERR_INIT;
        struct setup s;
        bool came;

        (void)state;
        set_up(&s);
        send_numbered(s.channel[0], 1, "0", false); /* the first to be whole */
        send_numbered(s.channel[0], 3, "d", false);
        send_numbered(s.channel[1], 0, "a", false);
        send_numbered(s.channel[1], 2, "c", false);
        /* Number 4 never comes. */
        send_numbered(s.channel[1], 5, "f", false);
        assert_done(wait_some(&s, &came, &err), &err);
        assert_string_equal(s.told, "a0cdf");
        tear_down(&s);
}

static void an_end_before_a_barrier_is_noticed(void **state)
{
        struct err err = ERR_INIT;
        struct setup s;

        (void)state;
        set_up(&s);
        send_packet(s.channel[0], "", true);
        shutdown(s.channel[1], SHUT_WR);
        assert_false(channels_barrier(s.c, &err));
        assert_int_equal(err.status, ERR_TRUNCATED);
        tear_down(&s);
}

static void an_end_in_a_packet_is_noticed(void **state)
{
        struct err err = ERR_INIT;
        struct setup s;
        bool came, ok = true;

        (void)state;
        set_up(&s);
        assert_int_equal(write(s.channel[1], "\x11\x22", 2), 2);
        shutdown(s.channel[1], SHUT_WR);
        for (int i = 0; ok && i < 3; i++)
                ok = wait_some(&s, &came, &err);
        assert_false(ok);
        assert_int_equal(err.status, ERR_TRUNCATED);
        tear_down(&s);
}

static void a_channel_that_comes_twice_is_refused(void **state)
{
        struct channels_options o = {
                .count = COUNT, .dir = ".", .uid = geteuid()};
        struct err err = ERR_INIT;
        struct channels *c;
        int fds[3], fd;

        (void)state;
        assert_done(channels_listen(&o, &c, &err), &err);
        for (int i = 0; i < 3; i++)
                fds[i] = reach(channels_uri(c));
        greet(fds[1], 1);
        greet(fds[2], 1);
        assert_false(channels_accept(c, &fd, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        channels_free(c);
        assert_int_equal(test_count_files(), 0);
        for (int i = 0; i < 3; i++)
                close(fds[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(nothing_overtakes_a_barrier),
                IN_DIR(packets_are_told_in_their_order),
                IN_DIR(an_end_before_a_barrier_is_noticed),
                IN_DIR(an_end_in_a_packet_is_noticed),
                IN_DIR(a_channel_that_comes_twice_is_refused),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
