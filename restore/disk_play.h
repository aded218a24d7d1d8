/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_play: disk members of a snapshot on their way into a stream, as block
 * migration.  (spec/migration-stream.md, "What restore writes")
 *
 * Members are held to their rules also when nothing is to be written
 * (restore/disk_walk.h).  Memory: 24 bytes for each gap between chunks.
 */
#ifndef STASIS_RESTORE_DISK_PLAY_H
#define STASIS_RESTORE_DISK_PLAY_H

#include "qemu/emission.h"
#include "restore/disk_walk.h"

struct disk_gap {
        size_t disk; /* of the walk */
        uint64_t offset, length;
};

struct disk_play {
        struct disk_walk walk;
        struct emission *emission; /* borrowed; NULL: nothing is written     */
        uint32_t section_id;
        char device[256]; /* whose members are coming                        */
        struct disk_gap *gaps;
        size_t gap_count, gap_room;
};

/* disk_play_fini is to be called also after failure; p must not move. */
void disk_play_init(struct disk_play *p);
void disk_play_fini(struct disk_play *p);

/* From now on, PARTs of the section with that id are written. */
void disk_play_begin(struct disk_play *p, struct emission *e,
                     uint32_t section_id);

bool disk_play_zeros(struct disk_play *p, const char *dir, const uint8_t *text,
                     size_t len, struct err *err);
bool disk_play_chunk(struct disk_play *p, const char *dir, uint64_t address,
                     const uint8_t *bytes, size_t len, struct err *err);
/* All members have come and are proven. */
bool disk_play_check(struct disk_play *p, const json_t *state, struct err *err);
/* Behind that: what no chunk covers of a disk in full is zero. */
bool disk_play_gaps(struct disk_play *p, const json_t *state, struct err *err);

#endif
