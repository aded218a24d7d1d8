/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map: where a qcow2 image keeps each cluster of its virtual disk: the L1
 * table, and a few L2 tables at a time.
 *
 * Hostile tables: an L2 table that stands twice in the L1 table would make a
 * huge disk of a small file, and one in metadata, or data in metadata, would
 * make tables of what a guest wrote: both are refused.
 */
#ifndef STASIS_QCOW_MAP_H
#define STASIS_QCOW_MAP_H

#include "qcow/header.h"
#include "qcow/image.h"

struct map;

/* Of the L1 table at l1_offset; h, fd and name outlive the map. */
bool map_new(int fd, const char *name, const struct qcow2_header *h,
             uint64_t file_size, uint64_t l1_offset, uint32_t l1_entries,
             struct map **out, struct err *err);
void map_free(struct map *m); /* NULL is fine */

/* What is known of [offset, offset + len). */
struct mapping {
        enum extent_kind kind;
        uint64_t len;        /* > 0 */
        uint64_t host;       /* EXTENT_DATA: where it is in the file         */
        uint64_t compressed; /* EXTENT_DATA: bytes of the compressed cluster at
                                host, which holds all of the cluster of
                                offset; 0: it is not compressed              */
};

/* Data that is contiguous in the file and not compressed is one mapping, as is
 * nothing and zeros, at most up to the end of an L2 table, or of many that are
 * not there.  offset: any. */
bool map_find(struct map *m, uint64_t offset, struct mapping *out,
              struct err *err);

#endif
