/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* answer_times: how long requests waited, in classes, four to a power of two of
 * microseconds: a percentile is at most a quarter too large. */
#ifndef STASIS_RESTORE_ANSWER_TIMES_H
#define STASIS_RESTORE_ANSWER_TIMES_H

#include <stdint.h>

struct answer_times {
        uint64_t count;
        unsigned max_us;
        uint64_t classes[128];
};

void answer_times_add(struct answer_times *t, uint64_t us);
/* So many percent took at most that long, us; 0 of none. */
unsigned answer_times_percentile(const struct answer_times *t,
                                 unsigned percent);

#endif
