/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tar_check: what stands between two members' data must be padding and a tar
 * header (with its pax records) of just the member that the index promises.
 */
#ifndef STASIS_FORMAT_TAR_CHECK_H
#define STASIS_FORMAT_TAR_CHECK_H

#include "base/err.h"

/* gap: everything from the end of one member's data, at `offset` in the file,
 * to the beginning of the next one's. */
bool tar_check(const uint8_t *gap, size_t len, uint64_t offset,
               const char *name, uint64_t size, struct err *err);

#endif
