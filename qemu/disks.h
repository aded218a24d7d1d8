/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disks: the block devices of a VM and the images below them. */
#ifndef STASIS_QEMU_DISKS_H
#define STASIS_QEMU_DISKS_H

#include "qemu/qmp.h"

/* A list, an object for each device with a medium (spec/manifest-vm.md).
 * pid: QEMU's, for names relative to its directory; 0: unknown. */
bool disks_query(struct qmp *q, pid_t pid, json_t **out, struct err *err);

/* How messages call a disk; borrowed from it. */
const char *disk_name(const json_t *disk);

/* The disk in list that is `disk` of another QEMU: by its place in the device
 * tree, by name, else by its position among all.  NULL: none.  Borrowed. */
const json_t *disks_counterpart(const json_t *list, const json_t *disk,
                                size_t position);

#endif
