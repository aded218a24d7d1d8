/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lazy: a target runs as soon as its device state is loaded; RAM follows, on
 * demand and in the background, by QEMU's postcopy.
 * (spec/lazy-restore.md)
 *
 * From the moment on in which the guest runs, the target is left to itself
 * should anything fail: it waits wherever it touches what it lacks, and a
 * session (restore/session.h) is there for another process to go on with.
 */
#ifndef STASIS_RESTORE_LAZY_H
#define STASIS_RESTORE_LAZY_H

#include "restore/serve.h"
#include "restore/session.h"
#include "restore/target.h"

struct lazy_options {
        struct reader *reader;     /* of a file, not read yet                */
        const struct state *saved; /* of the same                            */
        const char *file;          /* its path, for the working set; NULL:
                                      it has none                            */
        struct session *session;
        bool run;    /* the guest is to run                                  */
        bool record; /* its working set                                      */
        /* A signal is the target's, which is in the foreground with us. */
        bool foreground;
        unsigned threads;
        struct progress *progress;
        /* Called when the guest runs, or is paused, with the run state. */
        void (*loaded)(void *arg, const char *run_state, pid_t pid,
                       uint64_t stream_bytes, double seconds);
        void *arg;
        double begun; /* by CLOCK_MONOTONIC, seconds */
};

struct lazy_report {
        double loaded_seconds, resident_seconds; /* since begun              */
        struct serve_counts counts;
};

/* What happened when it did not. */
enum lazy_outcome {
        LAZY_RESIDENT, /* all of RAM is there                                */
        LAZY_REFUSED,  /* not by this snapshot, or not by this target, which is
                          as it was: why                                     */
        LAZY_SPOILED,  /* the target broke it off before the guest ran, and is
                          of no use any more: why                            */
};

bool lazy_load(struct target *t, const struct lazy_options *options,
               enum lazy_outcome *outcome, char why[600],
               struct lazy_report *report, struct err *err);

/* Goes on with a lazy restore whose server is gone.  pid: of its QEMU; 0: there
 * is only one. */
bool lazy_resume(struct reader *reader, const struct state *saved, pid_t pid,
                 unsigned threads, struct progress *progress,
                 struct lazy_report *report, struct err *err);

#endif
