/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map: where a qcow2 image keeps each cluster of its virtual disk: the L1
 * table, and pieces of a few L2 tables at a time.
 *
 * Hostile tables: an L2 table that stands twice in the L1 table would make a
 * huge disk of a small file, one in other metadata, or data in metadata, would
 * make tables of what a guest wrote: all are refused.  So are reserved bits:
 * they are damage, or mean what we do not know.
 */
#ifndef STASIS_QCOW_MAP_H
#define STASIS_QCOW_MAP_H

#include "qcow/header.h"
#include "qcow/image.h"

struct map;

/* A place in the file that is neither data nor an L2 table. */
struct region {
        uint64_t offset, bytes; /* bytes > 0 */
};

/* Sorts them; ERR_CORRUPT if two overlap. */
bool regions_sort(struct region *regions, size_t count, struct err *err);

struct map_place {
        int fd;
        const char *name; /* for errors */
        const struct qcow2_header *h;
        uint64_t file_size;
        const struct region *regions; /* sorted */
        size_t region_count;
};

/* Of the L1 table at l1_offset, which lies in the file.  Offsets that are
 * asked for are below `size`; where data ends behind it, the file may, too.
 * What `place` points to outlives the map. */
bool map_new(const struct map_place *place, uint64_t l1_offset,
             uint32_t l1_entries, uint64_t size, struct map **out,
             struct err *err);
void map_free(struct map *m); /* NULL is fine */

/* What is known of [offset, offset + len). */
struct mapping {
        enum extent_kind kind;
        uint64_t len;        /* > 0; ends at most at size                    */
        uint64_t host;       /* EXTENT_DATA: where it is in the file         */
        uint64_t compressed; /* EXTENT_DATA: bytes of the compressed cluster at
                                host, which holds all of the cluster of
                                offset; 0: it is not compressed              */
};

/* Data that is contiguous in the file and not compressed is one mapping, as is
 * nothing and zeros, at most up to the end of a piece of an L2 table, or of
 * many tables that are not there.  All data is in the file. */
bool map_find(struct map *m, uint64_t offset, struct mapping *out,
              struct err *err);

#endif
