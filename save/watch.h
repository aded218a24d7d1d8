/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch: which memory a running guest writes to, found out without a save and
 * without stopping it.  (spec/live-saves.md, "Watching")
 *
 * QEMU is given a precopy migration that it cannot end: from 8.1 to 10 because
 * it waits for the destination to agree to a switchover, otherwise because
 * there is a dirty bitmap of a terabyte, on a node that holds nothing, which it
 * could send only later.  Then the migration fails, for want of a destination.
 */
#ifndef STASIS_SAVE_WATCH_H
#define STASIS_SAVE_WATCH_H

#include "base/progress.h"
#include "save/passes.h"

struct qmp;

struct watch_options {
        const char *qmp;    /* the monitor's socket                  */
        unsigned seconds;   /* how long                              */
        uint64_t bandwidth; /* that QEMU sends with, bytes a second; 0: all */
        bool log;           /* for passes_write_log                  */
        const char *spool_dir; /* NULL: default                         */
};

/* *out: owned by the caller.  ERR_QEMU also when QEMU stopped the guest after
 * all, for a moment. */
bool watch_run(const struct watch_options *options, struct passes **out,
               struct err *err);

/* Takes away what one that was killed left in QEMU. */
bool watch_recover(struct qmp *q, struct err *err);

#endif
