/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inquiry: how QEMU is, asked without waiting for it while it sends a stream.
 */
#ifndef STASIS_SAVE_INQUIRY_H
#define STASIS_SAVE_INQUIRY_H

#include "qemu/qmp.h"

enum inquiry_question {
        INQUIRY_NONE,
        INQUIRY_MIGRATION,
        INQUIRY_STATUS,
        INQUIRY_LIFT,
};

struct inquiry {
        struct qmp *q; /* borrowed; all else 0 at first */
        enum inquiry_question asked, last;
        unsigned long question;
        unsigned silences;
        double asked_at;         /* seconds                                  */
        bool wants_lift;         /* set by the caller                        */
        bool lifted;             /* QEMU may take any downtime now           */
        unsigned syncs;          /* of RAM's dirty bitmap, as QEMU said last */
        double expected_seconds; /* of downtime, as QEMU said last; 0: never */
};

/* As capture_options.quiet has it. */
bool inquiry_quiet(struct inquiry *i, bool *at_end, struct err *err);
/* While much comes: called often, it asks now and then. */
bool inquiry_tick(struct inquiry *i, struct err *err);

#endif
