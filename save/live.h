/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live: a VM that a QEMU runs becomes a snapshot.
 *
 * We play the destination of a migration over a socketpair and withhold the
 * verdict.  QEMU stops the guest by itself, sends everything and waits; when
 * we refuse, or die, the migration has failed for it and it resumes the guest.
 * With live modes it stops the guest late (precopy) or for a moment
 * (background-snapshot, which needs no verdict): spec/live-saves.md.
 * So nothing that can happen to us leaves the VM stopped.  With `quit` we
 * confirm instead, once the file is durable, and the VM ends.
 *
 * What becomes of a VM that was not running: spec/run-states.md.
 */
#ifndef STASIS_SAVE_LIVE_H
#define STASIS_SAVE_LIVE_H

#include "save/capture.h"
#include "save/disks.h"
#include "save/mode.h"
#include "save/passes.h"

struct endpoint_options;

struct live_options {
        const char *qmp; /* the monitor's socket                             */
        bool compress;
        int level;
        unsigned threads;
        const char *spool_dir; /* NULL: default                              */
        bool force;            /* replace an existing file                   */
        bool quit;             /* end the VM once the file is durable        */
        /* A waiting QEMU to which the VM goes as well (save/tee.h); NULL: none.
         */
        const char *tee;
        const struct endpoint_options *tee_options;
        enum live_mode live;
        struct live_limits limits;
        bool dirty_log; /* passes_write_log is wanted afterwards */
        bool no_argv;   /* leave the command line out                 */
        struct disks_options disks;
        struct progress *progress;
};

struct live_report {
        struct capture_report capture;
        char id[64];            /* the snapshot's                         */
        char before[32];        /* run state                              */
        char after[32];         /* run state; "" when the VM has ended    */
        double stopped_seconds; /* a running guest stood still; 0 if not  */
        enum live_mode mode;    /* as it was done                         */
        struct passes *passes;  /* of precopy; NULL: none; owned          */
        double downtime;        /* seconds, as QEMU says, in precopy what
                                   it expected last; 0: it did not say    */
        bool lifted;            /* max_passes was reached                 */
        unsigned disks;         /* stored                                 */
        uint64_t disk_bytes;    /* in their chunks, raw                   */
};

/* path: a file, or "-" for standard output.  After a failure there is no new
 * file; the one exception, a VM that would not end after the file was durable,
 * is told as that.  The caller calls live_report_fini, also after failure. */
bool live_save(const char *path, const struct live_options *options,
               struct live_report *report, struct err *err);
void live_report_fini(struct live_report *report);

#endif
