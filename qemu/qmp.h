/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp: a client of QEMU's monitor protocol.
 *
 * Events interleave with replies: they are queued (at most 1024, oldest
 * dropped) and handed out by qmp_event.  Errors keep QEMU's class: match on
 * class, never on the description.  Waits end early on a caught signal
 * (ERR_CANCELLED) unless the client was told to be steadfast, which is what
 * clean-up uses.
 */
#ifndef STASIS_QEMU_QMP_H
#define STASIS_QEMU_QMP_H

#include "base/err.h"

#include <jansson.h>
#include <sys/types.h>

struct qmp;

struct qmp_error {
        char class[64]; /* "GenericError", "CommandNotFound", ...            */
        char desc[512]; /* escaped                                           */
};

/* Connects, waits at most greeting_ms for the greeting (without one: ERR_IO
 * naming who holds the socket and what to do), negotiates capabilities. */
bool qmp_connect(const char *path, unsigned greeting_ms, struct qmp **out,
                 struct err *err);
/* The same, for qmp_urgent. */
bool qmp_connect_urgent(const char *path, unsigned greeting_ms,
                        struct qmp **out, struct err *err);
/* The same over a descriptor, which q then owns. */
bool qmp_attach(int fd, const char *name, unsigned greeting_ms,
                struct qmp **out, struct err *err);
bool qmp_attach_urgent(int fd, const char *name, unsigned greeting_ms,
                       struct qmp **out, struct err *err);
/* A connection for qmp_urgent that another process has made, and may have left
 * with replies still to come; q then owns fd.  Its version is not known. */
bool qmp_adopt(int fd, const char *name, struct qmp **out, struct err *err);
void qmp_close(struct qmp *q);
int qmp_fd(const struct qmp *q);
/* Returns what it was. */
bool qmp_steadfast(struct qmp *q, bool on);

/* "7.2.22", and as 70222. */
const char *qmp_version(const struct qmp *q);
unsigned qmp_version_number(const struct qmp *q);
/* Credentials of the listening process; 0 when unknown. */
pid_t qmp_peer_pid(const struct qmp *q);

/* Runs a command. arguments: consumed (NULL: none). *result_out: new
 * reference, may be NULL if not wanted.  An error reply gives ERR_QEMU with
 * "COMMAND: DESC" and, if asked for, fills qerr. */
bool qmp_command(struct qmp *q, const char *command, json_t *arguments,
                 json_t **result_out, struct qmp_error *qerr, struct err *err);
/* The same, passing one descriptor along (getfd). */
bool qmp_command_fd(struct qmp *q, const char *command, json_t *arguments,
                    int fd, json_t **result_out, struct qmp_error *qerr,
                    struct err *err);
/* Makes a connection for a migration stream, and hands QEMU its end under that
 * name (URI "fd:FDNAME"); the other is the caller's. */
bool qmp_open_stream(struct qmp *q, const char *fdname, int *fd_out,
                     struct err *err);
/* qmp_command in two steps, for when QEMU may be unable to answer until we have
 * done something else (it holds its big lock while it sends a stream to us).
 * qmp_reply waits at most timeout_ms; *result_out = NULL: not yet. */
bool qmp_send(struct qmp *q, const char *command, json_t *arguments,
              unsigned long *id_out, struct err *err);
bool qmp_reply(struct qmp *q, unsigned long id, int timeout_ms,
               json_t **result_out, struct err *err);
/* Runs one of the commands that QEMU answers also while its main loop stands
 * still (out of band; migrate-recover, migrate-pause): for a monitor of
 * qmp_connect_urgent.  qerr: may be NULL. */
bool qmp_urgent(struct qmp *q, const char *command, json_t *arguments,
                struct qmp_error *qerr, struct err *err);
/* The oldest event, waiting at most timeout_ms; *event_out = NULL when none
 * came.  New reference. */
bool qmp_event(struct qmp *q, int timeout_ms, json_t **event_out,
               struct err *err);

#endif
