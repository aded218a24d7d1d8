/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/answer_times.h"

#define CLASSES (sizeof((struct answer_times *)0)->classes / sizeof(uint64_t))

static unsigned class_of(uint32_t us)
{
        unsigned power;

        if (us < 4)
                return us;
        power = 31 - (unsigned)__builtin_clz(us);
        return 4 * power + (us >> (power - 2) & 3);
}

/* The largest that belongs to it. */
static unsigned class_end(unsigned class)
{
        unsigned power = class / 4;

        if (class < 8)
                return class < 4 ? class : 3;
        return (1U << power) + ((class % 4 + 1) << (power - 2)) - 1;
}

void answer_times_add(struct answer_times *t, uint64_t us)
{
        uint32_t capped = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;

        t->count++;
        t->classes[class_of(capped)]++;
        if (capped > t->max_us)
                t->max_us = capped;
}

unsigned answer_times_percentile(const struct answer_times *t, unsigned percent)
{
        uint64_t want = (t->count * percent + 99) / 100, have = 0;

        for (unsigned i = 0; i < CLASSES; i++) {
                have += t->classes[i];
                if (have >= want)
                        return class_end(i) < t->max_us ? class_end(i)
                                                        : t->max_us;
        }
        return t->max_us;
}
