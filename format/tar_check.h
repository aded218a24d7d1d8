/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tar_check: what stands between two members' data must be padding and a tar
 * header (with its pax records) of just the member that the index promises.
 */
#ifndef STASIS_FORMAT_TAR_CHECK_H
#define STASIS_FORMAT_TAR_CHECK_H

#include "base/err.h"

/* padding: bytes of padding at its begin; offset: of gap[0] in the file. */
bool tar_check(const uint8_t *gap, size_t len, size_t padding, uint64_t offset,
               const char *name, uint64_t size, struct err *err);

#endif
