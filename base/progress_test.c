/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/io.h"
#include "base/progress.h"

static void each_phase_is_told_at_its_begin_and_end(void **state)
{
        unsigned long long done[4], total;
        struct err err = ERR_INIT;
        struct progress *p;
        char got[1024];
        double seconds;
        int fds[2], at = 0, len;
        size_t n;

        (void)state;
        assert_int_equal(pipe(fds), 0);
        assert_done(progress_new(fds[1], &p, &err), &err);
        progress_phase(p, "ram", 4096);
        for (int i = 0; i < 4096; i++)
                assert_done(progress_add(p, 1, &err), &err);
        progress_phase(p, "devices", 0);
        assert_done(progress_add(p, 5, &err), &err);
        progress_free(p);
        close(fds[1]);
        assert_done(io_read_some(fds[0], got, sizeof got - 1, &n, "p", &err),
                    &err);
        got[n] = '\0';
        /* Two lines a phase: thousands of steps add none within half a
         * second. */
        assert_int_equal(
                sscanf(got,
                       "{\"phase\":\"ram\",\"done\":%llu,\"total\":4096,"
                       "\"seconds\":%lf}\n"
                       "{\"phase\":\"ram\",\"done\":%llu,\"total\":%llu,"
                       "\"seconds\":%*f}\n%n",
                       &done[0], &seconds, &done[1], &total, &len),
                4);
        at += len;
        assert_int_equal(
                sscanf(got + at,
                       "{\"phase\":\"devices\",\"done\":%llu,\"total\":null,"
                       "\"seconds\":%*f}\n"
                       "{\"phase\":\"devices\",\"done\":%llu,\"total\":null,"
                       "\"seconds\":%*f}\n%n",
                       &done[2], &done[3], &len),
                2);
        assert_int_equal(strlen(got), (size_t)(at + len));
        assert_int_equal(done[0], 0);
        assert_int_equal(done[1], 4096);
        assert_int_equal(total, 4096);
        assert_int_equal(done[2], 0);
        assert_int_equal(done[3], 5);
        close(fds[0]);
}

static void a_listener_that_left_does_not_stop_the_work(void **state)
{
        struct err err = ERR_INIT;
        struct progress *p;
        int fds[2];

        (void)state;
        signal(SIGPIPE, SIG_IGN);
        assert_int_equal(pipe(fds), 0);
        close(fds[0]);
        assert_done(progress_new(fds[1], &p, &err), &err);
        progress_phase(p, "ram", 10);
        assert_done(progress_add(p, 10, &err), &err);
        progress_free(p);
        close(fds[1]);
}

static void nothing_asked_for_nothing_shown(void **state)
{
        struct err err = ERR_INIT;

        (void)state;
        progress_phase(NULL, "ram", 1);
        assert_true(progress_add(NULL, 1, &err));
        progress_pause(NULL);
        progress_free(NULL);
}

/* Signals belong to a process: each case gets its own. */
static int in_child(void (*body)(void))
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                body();
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

static void signal_unwinds(void)
{
        struct err err = ERR_INIT;
        struct progress *p;

        progress_catch_signals();
        if (progress_cancelled(&err) || !progress_new(0, &p, &err))
                _exit(1);
        raise(SIGTERM);
        if (progress_add(p, 1, &err) || err.status != ERR_CANCELLED ||
            progress_signal() != SIGTERM)
                _exit(2);
        progress_free(p);
}

static void stalled_read_ends(void)
{
        struct err err = ERR_INIT;
        int fds[2];
        char c;
        size_t n;

        progress_catch_signals();
        signal(SIGALRM, SIG_IGN);
        if (pipe(fds) < 0)
                _exit(1);
        if (fork() == 0) {
                usleep(100000);
                kill(getppid(), SIGINT);
                _exit(0);
        }
        if (io_read_some(fds[0], &c, 1, &n, "p", &err) ||
            err.status != ERR_CANCELLED)
                _exit(2);
}

/* The write that the signal meets is partly done, the next one would block. */
static void stalled_write_ends(void)
{
        struct err err = ERR_INIT;
        char *bytes = calloc(1, 1 << 20);
        int fds[2];

        progress_catch_signals();
        if (!bytes || pipe(fds) < 0)
                _exit(1);
        if (fork() == 0) {
                usleep(100000);
                kill(getppid(), SIGTERM);
                _exit(0);
        }
        if (io_write_all(fds[1], bytes, 1 << 20, "p", &err) ||
            err.status != ERR_CANCELLED)
                _exit(2);
        free(bytes);
}

static void asked_twice(void)
{
        progress_catch_signals();
        raise(SIGINT);
        raise(SIGTERM);
}

static void ignored_stays_ignored(void)
{
        struct err err = ERR_INIT;

        signal(SIGHUP, SIG_IGN);
        progress_catch_signals();
        raise(SIGHUP);
        if (progress_cancelled(&err))
                _exit(1);
}

static void a_signal_cancels(void **state)
{
        (void)state;
        assert_int_equal(in_child(signal_unwinds), 0);
}

static void a_signal_ends_a_stalled_read(void **state)
{
        (void)state;
        assert_int_equal(in_child(stalled_read_ends), 0);
}

static void a_signal_ends_a_stalled_write(void **state)
{
        (void)state;
        assert_int_equal(in_child(stalled_write_ends), 0);
}

static void a_second_signal_kills(void **state)
{
        int status = in_child(asked_twice);

        (void)state;
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void what_nohup_ignores_stays_ignored(void **state)
{
        (void)state;
        assert_int_equal(in_child(ignored_stays_ignored), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_phase_is_told_at_its_begin_and_end),
                cmocka_unit_test(a_listener_that_left_does_not_stop_the_work),
                cmocka_unit_test(nothing_asked_for_nothing_shown),
                cmocka_unit_test(a_signal_cancels),
                cmocka_unit_test(a_signal_ends_a_stalled_read),
                cmocka_unit_test(a_signal_ends_a_stalled_write),
                cmocka_unit_test(a_second_signal_kills),
                cmocka_unit_test(what_nohup_ignores_stays_ignored),
        };

        return cmocka_run_group_tests_name("base/progress", tests, NULL, NULL);
}
