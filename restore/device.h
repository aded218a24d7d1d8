/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* device: who uses a block device, or a part of it, or what it is part of. */
#ifndef STASIS_RESTORE_DEVICE_H
#define STASIS_RESTORE_DEVICE_H

#include "base/err.h"

#include <sys/types.h>

/* The first place that this mount namespace has of it or a partition of it;
 * false: none known. */
bool device_mounted_at(dev_t device, char *out, size_t size);

/* lock_check of its partitions and, of a partition, of the whole: their nodes
 * are other files, with locks of their own. */
bool device_check_kin(dev_t device, struct err *err);

#endif
