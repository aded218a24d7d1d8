/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kept: what a small qcow2 image held at one moment, and a disk with that
 * over it.  Memory: 24 bytes an extent; the data is in a spool. */
#ifndef STASIS_SAVE_KEPT_H
#define STASIS_SAVE_KEPT_H

#include "save/disk_source.h"

struct kept;

/* fd: the image's; it may change as soon as this returns. */
bool kept_read(int fd, const char *name, const char *spool_dir,
               struct kept **out, struct err *err);
void kept_free(struct kept *k); /* NULL is fine */

/* *out: as k has it; where k has nothing, as below has it.  Both outlive it. */
void kept_over(struct kept *k, const struct disk_source *below,
               struct disk_source *out);

#endif
