/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* outside: state of a VM that its migration stream does not hold. */
#ifndef STASIS_QEMU_OUTSIDE_H
#define STASIS_QEMU_OUTSIDE_H

#include "qemu/qmp.h"

/* Appends a sentence each to warnings (an array).  manifest: as
 * identity_describe made it; disks: as disks_query did.  ending: the VM ends
 * with the save, so that its disks stay as they are. */
bool outside_find(struct qmp *q, const json_t *manifest, const json_t *disks,
                  bool ending, json_t *warnings, struct err *err);

#endif
