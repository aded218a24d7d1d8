/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inflate: deflated bytes whose raw length is known; the one door to zlib. */
#ifndef STASIS_BASE_INFLATE_H
#define STASIS_BASE_INFLATE_H

#include "base/err.h"

#include <stddef.h>

/* One zlib stream (RFC 1950) of exactly raw_len bytes, and nothing behind it.
 */
bool inflate_zlib(uint8_t *raw, size_t raw_len, const uint8_t *bytes,
                  size_t len, struct err *err);
/* A raw deflate stream (RFC 1951) that makes raw_len bytes, whatever follows: a
 * qcow2 image's compressed cluster, whose stored length is rounded up. */
bool inflate_raw(uint8_t *raw, size_t raw_len, const uint8_t *bytes, size_t len,
                 struct err *err);

#endif
