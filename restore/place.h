/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place: where a restored disk goes, a file or a block device, and that
 * nothing is lost by it.
 *
 * A file is fresh: made without a name, under its own only when it is whole
 * (place_commit).  What exists is refused when it is in use (mounted, open in
 * a QEMU), always; and without `overwrite` when there is anything on it.
 */
#ifndef STASIS_RESTORE_PLACE_H
#define STASIS_RESTORE_PLACE_H

#include "base/err.h"

struct place;

struct place_options {
        bool overwrite;
        uint64_t size; /* bytes that a device must have                      */
};

/* ERR_USAGE: path is neither of the two, or holds something and overwrite is
 * not set; ERR_MISMATCH: in use, or too small. */
bool place_open(const char *path, const struct place_options *options,
                struct place **out, struct err *err);
bool place_is_device(const struct place *p);
/* Read-write, owned by p.  A fresh file is empty.  A device stays exclusively
 * held until place_close. */
int place_fd(const struct place *p);

/* Makes a range read as zeros: a hole where nobody wrote to a file. */
bool place_discard(struct place *p, uint64_t offset, uint64_t len,
                   struct err *err);
/* Durable; a file gets its name. */
bool place_commit(struct place *p, struct err *err);
/* After place_commit, when a restore failed before the guest ran: removes a
 * file that was new.  One that replaced another, and a device, stays. */
void place_undo(struct place *p);
/* Without a commit before, a fresh file vanishes.  NULL is fine. */
void place_close(struct place *p);

#endif
