/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * base: what a stored overlay stood on, found again and compared with what was
 * recorded at the cut, before anything is written on top of it.
 */
#ifndef STASIS_RESTORE_BASE_H
#define STASIS_RESTORE_BASE_H

#include "format/manifest.h"
#include "qcow/chain.h"

/* given: a path instead of the recorded one, or NULL.  The chain is loaded and
 * held as a reader holds it.  ERR_MISMATCH, naming the image and what differs,
 * when it is missing, in use by a writer, or not what it was. */
bool base_open(const struct disk_info *disk, const char *given,
               struct chain **out, struct err *err);

#endif
