/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "restore/keeper.h"

#include <poll.h>
#include <sys/socket.h>

/* A monitor: [0] is ours, [1] QEMU's. */
static void make(int monitor[2])
{
        assert_int_equal(
                socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor), 0);
        close(open("note", O_CREAT | O_WRONLY, 0600));
}

static bool gone(const char *path)
{
        for (int i = 0; i < 500; i++) {
                if (access(path, F_OK) != 0)
                        return true;
                usleep(10000);
        }
        return false;
}

/* QEMU sees the monitor close: nobody has it any more. */
static bool closed(int fd)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char byte;

        return poll(&p, 1, 5000) == 1 && read(fd, &byte, 1) == 0;
}

static void the_monitor_outlives_its_server(void **state)
{
        struct err err = ERR_INIT;
        struct keeper *k;
        char byte = 0;
        int monitor[2], adopted;

        (void)state;
        make(monitor);
        assert_done(keeper_start(monitor[0], "sock", "note", &k, &err), &err);
        close(monitor[0]);
        keeper_free(k);
        assert_done(keeper_ask("sock", &adopted, &err), &err);
        assert_int_equal(write(adopted, "x", 1), 1);
        assert_int_equal(read(monitor[1], &byte, 1), 1);
        assert_int_equal(byte, 'x');
        /* The note is now another's business. */
        assert_int_equal(access("note", F_OK), 0);
        close(adopted);
        assert_true(closed(monitor[1]));
        assert_false(keeper_ask("sock", &adopted, &err));
        close(monitor[1]);
}

/* As long as the server lives nobody else gets it. */
static void one_that_is_dismissed_goes(void **state)
{
        struct err err = ERR_INIT;
        struct keeper *k;
        int monitor[2];

        (void)state;
        make(monitor);
        assert_done(keeper_start(monitor[0], "sock", "note", &k, &err), &err);
        close(monitor[0]);
        keeper_dismiss(k);
        assert_true(closed(monitor[1]));
        assert_true(gone("sock"));
        assert_int_equal(access("note", F_OK), 0);
        keeper_free(k);
        close(monitor[1]);
}

static void it_ends_with_its_qemu(void **state)
{
        struct err err = ERR_INIT;
        struct keeper *k;
        int monitor[2];

        (void)state;
        make(monitor);
        assert_done(keeper_start(monitor[0], "sock", "note", &k, &err), &err);
        close(monitor[0]);
        keeper_free(k);
        close(monitor[1]);
        assert_true(gone("note"));
        assert_true(gone("sock"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(the_monitor_outlives_its_server),
                IN_DIR(one_that_is_dismissed_goes),
                IN_DIR(it_ends_with_its_qemu),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
