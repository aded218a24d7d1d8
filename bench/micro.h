/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of `micro` share: clocks, errors that end it, its table. */
#ifndef STASIS_BENCH_MICRO_H
#define STASIS_BENCH_MICRO_H

#include "base/err.h"
#include "base/limits.h"

#include <time.h>

/* Ends the program: a measurement that failed is none. */
_Noreturn void micro_die(const char *what, const struct err *err);

static inline double micro_clock(clockid_t id)
{
        struct timespec t;

        clock_gettime(id, &t);
        return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline double micro_wall(void)
{
        return micro_clock(CLOCK_MONOTONIC);
}

/* malloc that does not fail, 64-byte aligned, every page of it touched. */
uint8_t *micro_alloc(size_t size);

/* Of one run: what is measured with real content. */
#define MICRO_CONTENT (128 * MiB)

struct micro_row {
        char what[80];
        double median, least, most; /* bytes a second                       */
        double each;                /* seconds; 0: nothing is counted        */
        char of[48];                /* what it is held against               */
        double ratio, goal;         /* goal 0: none                          */
};

struct micro {
        struct micro_row rows[64];
        unsigned count;
        double memcpy;    /* the run's own yardstick, bytes a second          */
        double unpacking; /* zstd:1, one thread, raw bytes a CPU second       */
        uint8_t *content; /* MICRO_CONTENT                                    */
};

struct micro_case {
        double (*run)(void *arg); /* one time; returns seconds              */
        void *arg;
        double bytes; /* that one time handles                              */
        double items; /* that it counts; 0: none                            */
        double goal;  /* x memcpy; 0: none                                  */
};

/* Once to warm up, then the rounds; adds a row.  Bytes a second. */
double micro_add(struct micro *m, const struct micro_case *c, const char *fmt,
                 ...) __attribute__((format(printf, 3, 4)));
/* Holds the row added last against something else. */
void micro_against(struct micro *m, const char *of, double rate, double goal);

int micro_frames(const char *level, const char *path);
void micro_memory(struct micro *m);
void micro_codec(struct micro *m);
void micro_stream(struct micro *m);

#endif
