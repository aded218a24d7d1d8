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

int micro_frames(const char *level, const char *path);

#endif
