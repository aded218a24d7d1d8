/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session: a lazy restore under way, noted on disk, so that another process can
 * go on with it should this one die.
 *
 * A note is a file DIR/ID-NAME.json; the keeper of QEMU's monitor
 * (restore/keeper.h) is at DIR/ID-NAME.sock.  ID: the snapshot's.  DIR is
 * $XDG_RUNTIME_DIR/stasis, or /run/stasis for root, or /tmp/stasis-UID; it is
 * the user's own, mode 0700.  Whoever serves holds a lock on the note.
 */
#ifndef STASIS_RESTORE_SESSION_H
#define STASIS_RESTORE_SESSION_H

#include "base/err.h"
#include "qemu/qmp.h"

#include <jansson.h>
#include <sys/types.h>

struct session;

/* Names a new one; nothing is noted yet.  Sweeps notes of QEMUs that have
 * ended. */
bool session_new(const char *snapshot_id, struct session **out,
                 struct err *err);
/* A socket's path for connections to be made; nothing is there. */
const char *session_socket(const struct session *s);

/* Notes it.  q: QEMU's monitor, of qmp_attach_urgent or qmp_connect_urgent.
 * host_pages: of each RAMBlock, bytes. */
bool session_begin(struct session *s, pid_t pid, const struct qmp *q,
                   const uint64_t *host_pages, unsigned count, struct err *err);

/* The one of this snapshot whose server is gone and whose QEMU is not; with
 * pid (0: any) that of this QEMU.  ERR_USAGE: there is none, or there are
 * several. */
bool session_find(const char *snapshot_id, pid_t pid, struct session **out,
                  struct err *err);
/* Takes over the monitor, and keeps it as session_begin does. */
bool session_adopt(struct session *s, struct qmp **out, struct err *err);
pid_t session_pid(const struct session *s);
/* ERR_CORRUPT when the note has not count of them. */
bool session_host_pages(const struct session *s, uint64_t *out, unsigned count,
                        struct err *err);

/* Nothing is left of it. */
void session_end(struct session *s);
/* NULL is fine.  What was noted stays, and the keeper. */
void session_free(struct session *s);

#endif
