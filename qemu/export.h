/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * export: one block node of a QEMU, readable over NBD by us alone.
 *
 * The server's listening socket is made here and handed to QEMU, so that QEMU
 * needs no right to any directory.  It lies in a private one just until we have
 * connected: nobody else can.  What a killed process of ours leaves in QEMU, a
 * server with our export, export_recover ends.
 *
 * To export an inactive node activates it (QEMU 5.2 to 11.1; what 10.0 calls
 * allow-inactive gives an export that cannot be read).  While QEMU waits for
 * the verdict that is harmless: the guest is stopped, nothing writes, and both
 * verdicts find the node as they need it.
 */
#ifndef STASIS_QEMU_EXPORT_H
#define STASIS_QEMU_EXPORT_H

#include "qemu/qmp.h"

/* The name that the NBD client asks for. */
#define EXPORT_NAME "disk"

struct nbd_export;

/* ERR_QEMU when an NBD server of somebody else's is running in that QEMU: it
 * has one at most. */
bool export_open(struct qmp *q, const char *node, struct nbd_export **out,
                 struct err *err);
/* The connection, on which nothing has been said yet; the caller owns it. */
int export_take_fd(struct nbd_export *e);
/* All is taken back; also after failure, also when QEMU is gone.  NULL is fine.
 */
void export_close(struct nbd_export *e);

/* Whether export_open could be done: asked before a VM is touched. */
bool export_possible(struct qmp *q, struct err *err);
/* Ends what a killed process of ours left.  pid: QEMU's; 0: unknown. */
bool export_recover(struct qmp *q, pid_t pid, struct err *err);

#endif
