/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/local.h"

#include <sys/socket.h>

static void who_listens_is_reached(void **state)
{
        struct err err = ERR_INIT;
        int listener, ours, theirs;
        char byte = 0;

        (void)state;
        assert_done(local_listen("sock", 1, &listener, &err), &err);
        assert_done(local_connect("sock", &ours, &err), &err);
        theirs = accept(listener, NULL, NULL);
        assert_int_equal(write(ours, "x", 1), 1);
        assert_int_equal(read(theirs, &byte, 1), 1);
        assert_int_equal(byte, 'x');
        assert_int_equal(fcntl(ours, F_GETFD), FD_CLOEXEC);
        assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
        close(ours);
        close(theirs);
        close(listener);
}

static void who_does_not_is_not(void **state)
{
        struct err err = ERR_INIT;
        char path[200];
        int fd;

        (void)state;
        assert_false(local_connect("none", &fd, &err));
        assert_int_equal(err.status, ERR_IO);
        err_clear(&err);
        memset(path, 'x', sizeof path);
        path[sizeof path - 1] = '\0';
        assert_false(local_connect(path, &fd, &err));
        assert_int_equal(err.status, ERR_USAGE);
        err_clear(&err);
        assert_false(local_listen(path, 1, &fd, &err));
        assert_int_equal(err.status, ERR_USAGE);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(who_listens_is_reached),
                IN_DIR(who_does_not_is_not),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
