/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live: a VM that a QEMU runs becomes a snapshot.
 *
 * We play the destination of a migration over a socketpair and withhold the
 * verdict.  QEMU stops the guest by itself, sends everything and waits; when
 * we refuse, or die, the migration has failed for it and it resumes the guest.
 * So nothing that can happen to us leaves the VM stopped.  With `quit` we
 * confirm instead, once the file is durable, and the VM ends.
 *
 * What becomes of a VM that was not running: spec/run-states.md.
 */
#ifndef STASIS_SAVE_LIVE_H
#define STASIS_SAVE_LIVE_H

#include "save/capture.h"
#include "save/disks.h"

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
        bool no_argv; /* leave the command line out                 */
        struct disks_options disks;
        struct progress *progress;
};

struct live_report {
        struct capture_report capture;
        char id[64];            /* the snapshot's                         */
        char before[32];        /* run state                              */
        char after[32];         /* run state; "" when the VM has ended    */
        double stopped_seconds; /* a running guest stood still; 0 if not  */
        unsigned disks;         /* stored                                 */
        uint64_t disk_bytes;    /* in their chunks, raw                   */
};

/* path: a file, or "-" for standard output.  After a failure there is no new
 * file; the one exception, a VM that would not end after the file was durable,
 * is told as that. */
bool live_save(const char *path, const struct live_options *options,
               struct live_report *report, struct err *err);

#endif
