/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_source: where a disk's content comes from: image files, an NBD export
 * of QEMU's, the spool of a block migration.  What follows is the same for all
 * (save/disk_store.h).
 */
#ifndef STASIS_SAVE_DISK_SOURCE_H
#define STASIS_SAVE_DISK_SOURCE_H

#include "qcow/image.h"

struct disk_source {
        void *arg;
        uint64_t size;        /* virtual size, bytes                         */
        uint32_t granularity; /* extents begin and end at multiples of it, or
                                 at the disk's end; 512 to CHUNK_SIZE, so that
                                 chunks do, too                              */
        /* What is at offset < size, and how far it reaches (> 0, at most to the
         * end).  EXTENT_ABSENT: the backing file's (of a disk in full: zeros).
         */
        bool (*extent)(void *arg, uint64_t offset, uint64_t *len_out,
                       enum extent_kind *kind_out, struct err *err);
        /* len bytes of EXTENT_DATA, which may be of several extents. */
        bool (*read)(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                     struct err *err);
};

#endif
