/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper: a process that does nothing but hold a QEMU's monitor while another
 * serves it, for whoever goes on should that one die.
 *
 * A guest's missing page can hold up QEMU's main loop, and then no new
 * connection to a monitor is answered; one that was made before can still ask
 * QEMU to recover (qmp_urgent).
 */
#ifndef STASIS_RESTORE_KEEPER_H
#define STASIS_RESTORE_KEEPER_H

#include "base/err.h"

struct keeper;

/* Forks it; before a stream is open, since it would hold that, too.  monitor:
 * borrowed, from qmp_fd.  socket: a path, made anew, where it hands the monitor
 * to the first who connects.  note: a path that it removes, with the socket,
 * when QEMU ends. */
bool keeper_start(int monitor, const char *socket, const char *note,
                  struct keeper **out, struct err *err);
/* It is not needed any more. */
void keeper_dismiss(struct keeper *k);
/* Leaves it to itself: it hands the monitor on from now.  NULL is fine. */
void keeper_free(struct keeper *k);

/* The monitor, from the keeper behind that socket. */
bool keeper_ask(const char *socket, int *monitor_out, struct err *err);

#endif
