/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* clock: time that only ever goes on, for deadlines and for what took how long.
 */
#ifndef STASIS_BASE_CLOCK_H
#define STASIS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Seconds. */
static inline double clock_now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int64_t clock_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#endif
