/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flag that a signal sets is the one thing here that the process has only
 * once, as it has its signals only once.
 */
#include "base/clock.h"
#include "base/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/text.h"

#define TERMINAL_INTERVAL 0.2 /* seconds */
#define JSON_INTERVAL     0.5

struct progress {
        int fd; /* < 0: the terminal, if `terminal` */
        bool terminal, drawn;
        char phase[32]; /* "": none yet */
        uint64_t done, total;
        double began, shown; /* seconds on the monotonic clock */
};

static volatile sig_atomic_t caught;

bool progress_new(int fd, struct progress **out, struct err *err)
{
        struct progress *p = calloc(1, sizeof *p);
        const char *term = getenv("TERM");

        if (!p)
                return err_nomem(err);
        p->fd = fd;
        p->terminal = fd < 0 && isatty(STDERR_FILENO) &&
                      !(term && !strcmp(term, "dumb"));
        *out = p;
        return true;
}

static void show_json(struct progress *p, double seconds)
{
        char line[256], total[32] = "null";
        ssize_t n;

        if (p->total)
                snprintf(total, sizeof total, "%llu",
                         (unsigned long long)p->total);
        snprintf(line, sizeof line,
                 "{\"phase\":\"%s\",\"done\":%llu,\"total\":%s,"
                 "\"seconds\":%.3f}\n",
                 p->phase, (unsigned long long)p->done, total, seconds);
        do
                n = write(p->fd, line, strlen(line));
        while (n < 0 && errno == EINTR);
        /* Nobody listens any more: the work matters, its display does not. */
        if (n < 0 && errno != EAGAIN)
                p->fd = -1;
}

static void show_terminal(struct progress *p, double seconds)
{
        char done[32], total[32], rate[32], rest[96] = "";
        double per_second = seconds > 0 ? (double)p->done / seconds : 0;

        text_bytes(p->done, done, sizeof done);
        text_bytes((uint64_t)per_second, rate, sizeof rate);
        if (p->total) {
                uint64_t left = p->total > p->done ? p->total - p->done : 0;

                text_bytes(p->total, total, sizeof total);
                snprintf(
                        rest, sizeof rest, " of %s (%u %%)", total,
                        (unsigned)(100.0 * (double)p->done / (double)p->total));
                if (per_second > 0 && seconds > 1)
                        snprintf(rest + strlen(rest),
                                 sizeof rest - strlen(rest), ", %.0f s left",
                                 (double)left / per_second);
        }
        fprintf(stderr, "\r\033[K%s: %s%s, %s/s", p->phase, done, rest, rate);
        fflush(stderr);
        p->drawn = true;
}

static void show(struct progress *p, double at)
{
        p->shown = at;
        if (p->fd >= 0)
                show_json(p, at - p->began);
        else if (p->terminal)
                show_terminal(p, at - p->began);
}

void progress_pause(struct progress *p)
{
        if (p && p->drawn) {
                fputs("\r\033[K", stderr);
                fflush(stderr);
                p->drawn = false;
        }
}

void progress_hide(struct progress *p)
{
        progress_pause(p);
        if (p)
                p->terminal = false;
}

static void end_phase(struct progress *p)
{
        if (p->phase[0])
                show(p, clock_now());
}

void progress_free(struct progress *p)
{
        if (!p)
                return;
        end_phase(p);
        progress_pause(p);
        free(p);
}

void progress_phase(struct progress *p, const char *phase, uint64_t total)
{
        if (!p)
                return;
        end_phase(p);
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        p->done = 0;
        p->total = total;
        p->began = clock_now();
        show(p, p->began);
}

bool progress_add(struct progress *p, uint64_t bytes, struct err *err)
{
        double at;

        if (!p)
                return true;
        if (progress_cancelled(err))
                return false;
        p->done += bytes;
        if (p->fd < 0 && !p->terminal)
                return true;
        at = clock_now();
        if (at - p->shown >= (p->fd >= 0 ? JSON_INTERVAL : TERMINAL_INTERVAL))
                show(p, at);
        return true;
}

/* A signal may come just before a read or write that blocks for ever, or be
 * swallowed by one that was partly done: from the first signal on, an alarm ten
 * times a second ends every such wait. */
static void on_alarm(int sig)
{
        (void)sig;
}

static void on_signal(int sig)
{
        static const struct itimerval often = {{0, 100000}, {0, 100000}};

        if (caught) {
                /* Asked twice. */
                signal(sig, SIG_DFL);
                raise(sig);
                return;
        }
        caught = sig;
        setitimer(ITIMER_REAL, &often, NULL);
}

void progress_catch_signals(void)
{
        static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
        struct sigaction old, sa = {.sa_handler = on_signal};

        sigemptyset(&sa.sa_mask);
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
                /* nohup, and jobs in the background of a script. */
                if (sigaction(signals[i], NULL, &old) == 0 &&
                    old.sa_handler == SIG_IGN)
                        continue;
                sigaction(signals[i], &sa, NULL);
        }
        sa.sa_handler = on_alarm;
        sigaction(SIGALRM, &sa, NULL);
        signal(SIGPIPE, SIG_IGN);
}

int progress_signal(void)
{
        return caught;
}

bool progress_cancelled(struct err *err)
{
        int sig = caught;

        if (!sig)
                return false;
        err_set(err, ERR_CANCELLED, "cancelled by %s",
                sig == SIGINT    ? "SIGINT"
                : sig == SIGTERM ? "SIGTERM"
                                 : "SIGHUP");
        return true;
}
