/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_nbd: a disk that QEMU reads for us, as a source: one on the network, in
 * a format that we do not read, or in files that are not ours to open.  To be
 * used while QEMU waits for the verdict, and closed before it.
 */
#ifndef STASIS_SAVE_DISK_NBD_H
#define STASIS_SAVE_DISK_NBD_H

#include "qemu/qmp.h"
#include "save/disk_source.h"

struct disk_nbd;

/* overlay: what the node's own image has; else what a guest reads.  out is
 * valid until disk_nbd_close. */
bool disk_nbd_open(struct qmp *q, const char *node, bool overlay,
                   struct disk_nbd **nbd_out, struct disk_source *out,
                   struct err *err);
void disk_nbd_close(struct disk_nbd *d); /* NULL is fine */

#endif
