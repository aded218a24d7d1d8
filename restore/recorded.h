/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* recorded: the command line that the saved QEMU had, made fit to be run
 * again; only when the operator asks for it. */
#ifndef STASIS_RESTORE_RECORDED_H
#define STASIS_RESTORE_RECORDED_H

#include "base/err.h"

#include <jansson.h>

/* *argv_out: NULL-terminated, malloc'd in one piece with its strings borrowed
 * from the manifest and from qemu.  The binary is taken by its name from PATH,
 * or is `qemu` when that is not NULL.  -S, -incoming, -daemonize and -pidfile
 * are dropped; recorded descriptors (ERR_MISMATCH) cannot come back. */
bool recorded_command(const json_t *manifest, const char *qemu,
                      char ***argv_out, struct err *err);

/* Whether a command makes the machine that was saved, by its recorded command
 * line; false also where there is none. */
bool recorded_is_same(const json_t *manifest, char *const *command);

#endif
