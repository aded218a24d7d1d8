/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mounted: where a block device, or a partition of it, is mounted. */
#ifndef STASIS_RESTORE_MOUNTED_H
#define STASIS_RESTORE_MOUNTED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The first place that this mount namespace has of it, as the kernel writes
 * it; false: none known. */
bool mounted_at(dev_t device, char *out, size_t size);

#endif
