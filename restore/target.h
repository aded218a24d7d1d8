/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * target: a QEMU that waits for a migration and that we can ask and steer:
 * one that we started, or one behind a QMP socket.
 *
 *      target_start | target_attach, target_check, target_load, target_go
 *
 * The guest runs only in target_go.
 */
#ifndef STASIS_RESTORE_TARGET_H
#define STASIS_RESTORE_TARGET_H

#include "format/reader.h"
#include "restore/apply.h"
#include "restore/check.h"

struct target;

struct target_options {
        char *const *command; /* to start; NULL: attach to qmp               */
        const char *qmp;
        bool urgent; /* its monitor is for qmp_urgent, too */
        bool detached;
        bool null_stdin; /* our stdin is the snapshot */
        bool quiet;      /* only a trial: its stderr is not ours */
};

/* How a target refused a load. */
struct refusal {
        char section[320]; /* in flight, escaped; "": it did not refuse      */
        char said[2048];   /* QEMU's words, lines, not escaped               */
};

/* *paused_out: the command itself asks for a stopped guest (-S). */
bool target_open(const struct target_options *options, struct target **out,
                 bool *paused_out, struct err *err);
/* Kills a QEMU that we started and that does not run yet.  NULL is fine. */
void target_free(struct target *t);

/* Everything that can be asked before the load; from a pipe, the disks come
 * later (target_load).  saved: what the snapshot holds; NULL: from a pipe.
 * examined: its twin was, so that only the disks are left to look at. */
bool target_check(struct target *t, struct reader *r, const struct state *saved,
                  bool examined, struct check *c, struct err *err);
/* Loads, until QEMU itself says that all is in place. */
bool target_load(struct target *t, struct reader *r, struct check *c,
                 const char *spool_dir, struct progress *progress,
                 uint64_t *stream_bytes_out, struct err *err);
/* Sets its migration capabilities to what we know.  postcopy: for a load by
 * it; *why: then its reason when it cannot, else "". */
bool target_prepare(struct target *t, bool postcopy, char why[512],
                    struct err *err);
/* Whether it was ours and has ended: err says so then, instead of what it said.
 */
bool target_is_dead(struct target *t, struct err *err);
/* Feeds r to it and asks for QEMU's verdict, nothing else is looked at;
 * state_only: no page of RAM is sent.  A refusal is no error. */
bool target_try(struct target *t, struct reader *r, bool state_only,
                const char *spool_dir, struct refusal *out, struct err *err);
/* Sets the guest running if `run`; state_out: the run state afterwards. */
bool target_go(struct target *t, bool run, char state_out[32], struct err *err);

/* Borrowed: to ask it. */
struct qmp *target_qmp(const struct target *t);
/* 0: unknown */
pid_t target_pid(const struct target *t);
/* Leaves it to itself. */
void target_leave(struct target *t);
/* As its parent until it ends; its exit status. 0 at once if we are not. */
int target_wait(struct target *t);

#endif
