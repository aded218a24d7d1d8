/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* leftovers: temporary overlays beside a VM's images that a killed save left
 * before QEMU knew of them. */
#ifndef STASIS_SAVE_LEFTOVERS_H
#define STASIS_SAVE_LEFTOVERS_H

#include "base/err.h"

#include <jansson.h>

/* ".NAME.stasis-ID.qcow2" beside an image; ID: 8 hex digits.  malloc'd, NULL:
 * no memory. */
char *leftovers_name(const char *image, const char *id);

/* Removes those of the VM's disks (qemu/disks.h) that nobody uses and that
 * hold nothing; one that holds something is warned of and stays. */
void leftovers_sweep(const json_t *disks);

#endif
