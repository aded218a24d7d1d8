/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* header: a qcow2 image's header and its extensions, decoded and checked;
 * all-or-nothing. */
#ifndef STASIS_QCOW_HEADER_H
#define STASIS_QCOW_HEADER_H

#include "base/err.h"

#include <stddef.h>

struct qcow2_header {
        uint32_t version;
        unsigned cluster_bits;
        uint64_t size; /* of the virtual disk, a multiple of 512 */
        uint64_t l1_offset;
        uint32_t l1_entries;
        uint64_t refcount_offset, refcount_bytes;
        uint64_t snapshots_offset;
        uint32_t snapshots;
        bool extended_l2;
        bool zstd;               /* else deflate */
        char *backing_name;      /* malloc'd, or NULL */
        char backing_format[17]; /* "": not stated */
        /* Of persistent bitmaps, if the file says that they are valid. */
        uint32_t bitmaps;
        uint64_t bitmaps_offset, bitmaps_bytes;
};

/* fd: read with pread; file_size: bytes of it.  name: for errors. */
bool qcow2_header_read(int fd, const char *name, uint64_t file_size,
                       struct qcow2_header *out, struct err *err);
void qcow2_header_fini(struct qcow2_header *h);

#endif
