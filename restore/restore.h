/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* restore: a snapshot goes into a target; the engine behind the command. */
#ifndef STASIS_RESTORE_RESTORE_H
#define STASIS_RESTORE_RESTORE_H

#include "base/err.h"
#include "base/progress.h"
#include "restore/disks.h"
#include "restore/lazy.h"

#include <stdint.h>
#include <sys/types.h>

struct restore_options {
        /* One of these four says where to. */
        char *const *command; /* a QEMU to start: NULL-terminated            */
        bool recorded;        /* the command that the snapshot recorded      */
        const char *qmp;      /* a QEMU that waits behind this socket        */
        const char *to;       /* a bare endpoint (qemu/endpoint.h)           */
        const char *qemu;     /* binary for `recorded`; NULL: as recorded    */
        /* For `to`: qemu/endpoint.h. */
        const char *tls_dir, *tls_hostname;
        bool paused; /* never set the guest running                 */
        bool detach; /* return when the guest runs                  */
        /* With `command`, `recorded` or `qmp`, and from a file: the guest runs
         * before its RAM is there (restore/lazy.h). */
        bool lazy;
        bool record; /* with lazy: its working set                           */
        /* Goes on with a lazy restore whose server is gone, in the QEMU of
         * process resume_pid (0: the only one); none of the four says where. */
        bool resume;
        pid_t resume_pid;
        const char *const *force;
        unsigned force_count;
        /* Stored disks that are made before the QEMU starts; with `command` or
         * `recorded` only. threads and progress: those below. */
        struct disks_wanted disks;
        unsigned threads;
        const char *spool_dir;
        struct progress *progress;
        /* Called when the target is loaded, and runs if it shall; before we
         * stay with it as its parent. */
        void (*loaded)(void *arg, const char *run_state, pid_t pid,
                       uint64_t stream_bytes, double seconds);
        /* With lazy or resume: all of RAM is there. */
        void (*resident)(void *arg, const struct lazy_report *report);
        void *arg;
};

/* in_fd: borrowed.  *exit_code_out: of a QEMU that we stayed with, else 0. */
bool restore_run(int in_fd, const char *in_name,
                 const struct restore_options *options, int *exit_code_out,
                 struct err *err);

#endif
