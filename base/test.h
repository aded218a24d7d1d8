/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What unit tests share: cmocka in the order it wants, and a directory that
 * is gone afterwards. */
#ifndef STASIS_BASE_TEST_H
#define STASIS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

/* Fails the test with the error's own line. */
#define assert_done(call, err)                                                 \
        do {                                                                   \
                char line_[1536];                                              \
                if (!(call))                                                   \
                        fail_msg("%s: %s", #call,                              \
                                 err_line(err, line_, sizeof line_));          \
        } while (0)

/* A fresh directory, made the working directory. */
static inline int test_enter_dir(void **state)
{
        const char *tmp = getenv("TMPDIR");
        char *dir;

        if (asprintf(&dir, "%s/stasis-test-XXXXXX", tmp ? tmp : "/tmp") < 0)
                return -1;
        *state = dir;
        return mkdtemp(dir) && chdir(dir) == 0 ? 0 : -1;
}

/* Its files and itself; tests make no directories in it. */
static inline int test_leave_dir(void **state)
{
        DIR *d = opendir(".");
        struct dirent *e;
        int bad;

        while (d && (e = readdir(d)))
                unlink(e->d_name);
        if (d)
                closedir(d);
        bad = chdir("/") | rmdir(*state);
        free(*state);
        return bad;
}

/* Files in the working directory, hidden ones too. */
static inline unsigned test_count_files(void)
{
        DIR *d = opendir(".");
        struct dirent *e;
        unsigned n = 0;

        while ((e = readdir(d)))
                n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
        closedir(d);
        return n;
}

#define IN_DIR(test)                                                           \
        cmocka_unit_test_setup_teardown(test, test_enter_dir, test_leave_dir)

#endif
