/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inquiry: how QEMU is, asked without waiting for it while it sends a stream.
 */
#ifndef STASIS_SAVE_INQUIRY_H
#define STASIS_SAVE_INQUIRY_H

#include "qemu/qmp.h"

struct inquiry {
        struct qmp *q; /* borrowed; all else 0 at first */
        bool asked, asks_migration;
        unsigned long question;
        unsigned silences;
};

/* As capture_options.quiet has it. */
bool inquiry_quiet(struct inquiry *i, bool *at_end, struct err *err);

#endif
