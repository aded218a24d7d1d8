/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fill: units of a snapshot are read, checked and unpacked ahead of whoever
 * sends them, by threads that give way to everybody else.
 *
 * All calls from one thread.
 */
#ifndef STASIS_RESTORE_FILL_H
#define STASIS_RESTORE_FILL_H

#include "restore/unit.h"

struct fill_item {
        unsigned block;
        bool first; /* of those that were asked for first: told twice, the
                       other time among all                                */
        uint64_t unit;
        uint8_t *bytes; /* unit_len of them */
        size_t at;      /* the holder's: how far it has come                */
};

struct fill_options {
        const struct layout *layout; /* borrowed */
        /* Units to be told before all others, in order; borrowed. */
        const struct fill_item *first;
        size_t first_count;
        /* Set by the caller for a unit that need not be read any more. */
        uint8_t *const *done; /* of each block a byte a unit, atomic */
        int wake;             /* an eventfd, written to when there is news  */
        unsigned threads;     /* at least 1 */
};

struct fill;

bool fill_start(const struct fill_options *options, struct fill **out,
                struct err *err);
/* Ends the threads; NULL is fine. */
void fill_free(struct fill *f);

/* The next unit that is ready; *out = NULL: none yet, or (*ended_out) none any
 * more.  Fails when one cannot be read or is damaged. */
bool fill_take(struct fill *f, struct fill_item **out, bool *ended_out,
               struct err *err);
void fill_done(struct fill *f, struct fill_item *item);

#endif
