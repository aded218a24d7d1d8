/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * process: a QEMU that we started, waiting for an incoming migration, with a
 * QMP connection of its own beside those that its command line asks for.
 *
 * Its stderr goes to ours, and the last 8 KiB of it are kept for error
 * messages.  Until process_disown it is ours: process_free kills it, so that a
 * failure never leaves a QEMU behind that waits for ever.
 */
#ifndef STASIS_QEMU_PROCESS_H
#define STASIS_QEMU_PROCESS_H

#include "base/err.h"

#include <sys/types.h>

struct process;

struct process_options {
        char *const *argv; /* the command; borrowed                          */
        bool detached;     /* in a session of its own, stdin and stdout null */
        bool null_stdin;   /* our stdin is a snapshot, not a console         */
        /* stdin and stdout null, stderr is only kept: nobody shall see that it
         * was there.  It dies with us, too, if we are killed. */
        bool quiet;
        bool outgoing; /* it is to send, not to wait: no -incoming           */
};

/* The chardev and monitor that are ours bear this id. */
#define PROCESS_QMP_ID "stasis-qmp"

/* ERR_USAGE when argv holds -incoming or -daemonize, which are for us to
 * give.  *stopped_out: argv holds -S, so that the guest is not to run. */
bool process_check_argv(char *const *argv, bool *stopped_out, struct err *err);

/* Adds -S, -incoming defer (unless outgoing) and the QMP socket to argv. */
bool process_start(const struct process_options *options, struct process **out,
                   struct err *err);
/* Kills it unless it has ended or was disowned.  NULL is fine. */
void process_free(struct process *p);

/* Our end of the QMP socketpair; the caller owns it from then on. */
int process_take_qmp(struct process *p);
pid_t process_pid(const struct process *p);
/* True when it has ended; waits at most timeout_ms for that. */
bool process_ended(struct process *p, int timeout_ms);
/* "exit status 1", "signal 9"; only after process_ended. */
const char *process_ending(const struct process *p, char out[32]);
/* The last lines of its stderr in one line, escaped; "" if there are none. */
const char *process_said(struct process *p, char *out, size_t size);

/* The same as it came: lines, not escaped. */
const char *process_words(struct process *p, char *out, size_t size);

/* It lives on without us. */
void process_disown(struct process *p);
/* Our parenthood: passes SIGINT, SIGTERM and SIGHUP on until it ends.  Returns
 * what a shell would: its status, or 128 and the signal's number. */
int process_wait(struct process *p);

#endif
