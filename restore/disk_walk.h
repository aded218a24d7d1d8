/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_walk: the disk members of a snapshot as they come in the file, held to
 * the rules: a disk's members stand together, zeros first, chunks ascend, none
 * overlaps or lies in a zero extent.  (spec/stasis-format.md, section 4.4)
 *
 * Memory: the list of zeros of one disk; 600 bytes a disk.
 */
#ifndef STASIS_RESTORE_DISK_WALK_H
#define STASIS_RESTORE_DISK_WALK_H

#include "base/err.h"

#include <jansson.h>

struct walked_disk {
        char dir[512];
        uint64_t end;   /* of the last extent                                */
        uint64_t edges; /* all starts, and all ends but that one, or'ed      */
        bool zeros;
};

struct disk_walk {
        /* Called for each zero extent, in order with the chunks; may be NULL.
         */
        bool (*zero)(void *arg, uint64_t offset, uint64_t length,
                     struct err *err);
        void *arg;
        struct walked_disk *list;
        size_t count;
        uint8_t *zeros; /* of the disk that is coming, NULL: none             */
        size_t zeros_len, zeros_pos;
        uint64_t zeros_end;                /* of the extents read             */
        uint64_t zero_offset, zero_length; /* the next; length 0: none left   */
};

/* disk_walk_fini is to be called also after failure. */
void disk_walk_init(struct disk_walk *w,
                    bool (*zero)(void *arg, uint64_t offset, uint64_t length,
                                 struct err *err),
                    void *arg);
void disk_walk_fini(struct disk_walk *w);

bool disk_walk_zeros(struct disk_walk *w, const char *dir, const uint8_t *text,
                     size_t len, struct err *err);
/* To be called before the chunk's bytes are used. */
bool disk_walk_chunk(struct disk_walk *w, const char *dir, uint64_t address,
                     size_t len, struct err *err);
/* All members have come: against what state says of the stored disks. */
bool disk_walk_end(struct disk_walk *w, const json_t *state, struct err *err);

#endif
