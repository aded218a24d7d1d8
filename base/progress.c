/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/progress.h"

#include "base/text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TTY_SECONDS  0.2
#define JSON_SECONDS 0.5

struct progress {
        int fd;   /* JSON lines; -1: none */
        bool tty; /* draw on stderr       */
        bool drawn;
        char phase[32];
        uint64_t done, total;
        double begun, told; /* seconds, of the monotonic clock */
};

static volatile sig_atomic_t caught;

static double now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool progress_new(int fd, struct progress **out, struct err *err)
{
        struct progress *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        p->fd = fd;
        p->tty = fd < 0 && isatty(STDERR_FILENO);
        *out = p;
        return true;
}

static void draw(struct progress *p)
{
        double seconds = now() - p->begun;
        double rate = seconds > 0 ? (double)p->done / seconds : 0;
        char done[32], total[32], speed[32];

        text_bytes(p->done, done, sizeof done);
        text_bytes((uint64_t)rate, speed, sizeof speed);
        fprintf(stderr, "\r\033[K%s: %s", p->phase, done);
        if (p->total)
                fprintf(stderr, " of %s (%.0f %%)",
                        text_bytes(p->total, total, sizeof total),
                        100.0 * (double)p->done / (double)p->total);
        fprintf(stderr, ", %s/s", speed);
        if (p->total > p->done && rate > 0)
                fprintf(stderr, ", %.0f s left",
                        (double)(p->total - p->done) / rate);
        p->drawn = true;
}

static void write_json(struct progress *p)
{
        char line[256], total[32] = "null";
        int len;

        if (p->total)
                snprintf(total, sizeof total, "%" PRIu64, p->total);
        len = snprintf(line, sizeof line,
                       "{\"phase\":\"%s\",\"done\":%" PRIu64
                       ",\"total\":%s,\"seconds\":%.3f}\n",
                       p->phase, p->done, total, now() - p->begun);
        /* Who listens may have gone; the work goes on. */
        if (write(p->fd, line, (size_t)len) < 0)
                p->fd = -1;
}

static void tell(struct progress *p)
{
        p->told = now();
        if (p->fd >= 0)
                write_json(p);
        else if (p->tty)
                draw(p);
}

void progress_pause(struct progress *p)
{
        if (p && p->drawn)
                fputs("\r\033[K", stderr);
        if (p)
                p->drawn = false;
}

void progress_free(struct progress *p)
{
        if (!p)
                return;
        if (p->phase[0] && p->fd >= 0)
                write_json(p);
        progress_pause(p);
        free(p);
}

void progress_phase(struct progress *p, const char *phase, uint64_t total)
{
        if (!p)
                return;
        if (p->phase[0] && p->fd >= 0)
                write_json(p);
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        p->done = 0;
        p->total = total;
        p->begun = now();
        tell(p);
}

bool progress_add(struct progress *p, uint64_t bytes, struct err *err)
{
        if (progress_cancelled(err))
                return false;
        if (!p)
                return true;
        p->done += bytes;
        if (now() - p->told >= (p->fd >= 0 ? JSON_SECONDS : TTY_SECONDS))
                tell(p);
        return true;
}

static void on_signal(int sig)
{
        caught = sig;
}

void progress_catch_signals(void)
{
        static const int sigs[] = {SIGINT, SIGTERM, SIGHUP};
        /* SA_RESETHAND: the second one kills at once. */
        struct sigaction a = {.sa_handler = on_signal,
                              .sa_flags = (int)SA_RESETHAND};

        for (size_t i = 0; i < sizeof sigs / sizeof *sigs; i++)
                sigaction(sigs[i], &a, NULL);
        signal(SIGPIPE, SIG_IGN);
}

int progress_signal(void)
{
        return caught;
}

bool progress_cancelled(struct err *err)
{
        if (!caught)
                return false;
        err_set(err, ERR_CANCELLED, "interrupted by signal %d (%s)",
                (int)caught, strsignal(caught));
        return true;
}
