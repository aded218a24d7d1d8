/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trailer: the last member's 512 bytes, which prove the whole file.
 * (spec/stasis-format.md, "Trailer")
 *
 *   0  16  magic            "stasis-trailer-1"
 *  16   8  file_size        of the whole archive, its end included
 *  24   8  index_offset     where the index member's data begins
 *  32   8  index_size       its bytes
 *  40   8  members          lines of the index
 *  48  16  index_digest     XXH3-128 of the index
 *  64  16  frame_digest     XXH3-128 of every byte before this trailer's data
 *                           that is not the data of a member: tar headers, pax
 *                           records, padding
 *  80 416  reserved         must be zero
 * 496  16  trailer_digest   XXH3-128 of bytes 0 to 495
 *
 * Integers are little-endian.
 */
#ifndef STASIS_FORMAT_TRAILER_H
#define STASIS_FORMAT_TRAILER_H

#include "format/digest.h"
#include "format/stasis_format.h"

#include "base/err.h"

struct trailer {
        uint64_t file_size;
        uint64_t index_offset, index_size;
        uint64_t members;
        uint8_t index_digest[DIGEST_SIZE];
        uint8_t frame_digest[DIGEST_SIZE];
};

void trailer_encode(const struct trailer *t, uint8_t out[TRAILER_SIZE]);
/* origin: offset of the bytes in the file, for errors. */
bool trailer_decode(const uint8_t bytes[TRAILER_SIZE], uint64_t origin,
                    struct trailer *out, struct err *err);

#endif
