/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of diff share. */
#ifndef STASIS_RESTORE_DIFF_PRIVATE_H
#define STASIS_RESTORE_DIFF_PRIVATE_H

#include "base/limits.h"
#include "base/pool.h"
#include "format/reader.h"
#include "restore/diff.h"
#include "restore/state.h"

struct diff {
        const struct diff_input *in; /* two                           */
        const struct diff_options *options;
        struct state state[2];
        struct reader *reader[2];
        bool differs;
};

bool diff_tell(struct diff *d, const struct difference *difference,
               struct err *err);

bool diff_config(struct diff *d, struct err *err);
bool diff_devices(struct diff *d, struct err *err);
/* What else is in the stream, then RAM, then disks. */
bool diff_regions(struct diff *d, struct err *err);

/* ---- what the indexes have ----------------------------------------------- */

/* A chunk, as an index has it. */
struct piece {
        uint64_t address, data_offset;
        uint32_t stored_len, raw_len;
        uint8_t digest[16]; /* of the raw bytes */
        bool zst;
};

/* The zero extents of a stored overlay, one after another. */
struct extents {
        uint8_t *text; /* owned */
        size_t len, pos;
        uint64_t end;            /* of those read                        */
        uint64_t offset, length; /* the present one; length 0: none left */
};

struct region_side {
        struct piece *pieces; /* owned; ascending, none twice */
        size_t count, room, next;
        struct extents zeros;
        bool overlay; /* what is nowhere is a hole, not zeros */
};

struct region {
        bool ram;
        char dir[512];
        struct region_side side[2];
        struct diff_region *told; /* owned */
};

struct regions {
        struct diff *d;
        struct region *list; /* owned */
        size_t count;
        size_t last; /* where the last chunk went */
        int side;    /* of the index that is read */
        /* Of the stream's other items: by name, their chunks' digests. */
        json_t *items[2];
        struct pool *pool; /* of windows */
};

/* Both indexes. */
bool regions_read(struct regions *r, struct err *err);
void regions_fini(struct regions *r);

/* ---- windows: a MiB of a region, compared in a worker -------------------- */

#define DIFF_SECTOR 512u

/* What is at a sector of a window: bytes that a piece has, or else: */
enum sector { SECTOR_ZERO, SECTOR_HOLE };

struct window_side {
        const struct piece *pieces; /* borrowed until the window is compared */
        size_t count;
        uint8_t holes[CHUNK_SIZE / DIFF_SECTOR]; /* enum sector */
        uint8_t *stored; /* owned; the pieces' bytes, one after another  */
        size_t stored_room;
        uint8_t *raw; /* owned; CHUNK_SIZE */
};

/* Of a unit, bits: */
enum verdict {
        VERDICT_DIFFERS = 1,
        VERDICT_ZERO_A = 2,
        VERDICT_ZERO_B = 4,
        VERDICT_HOLE_A = 8,
        VERDICT_HOLE_B = 16,
};

struct window {
        uint64_t begin;
        uint32_t len, unit; /* bytes */
        const char *dir;    /* for errors */
        const struct diff_input *in;
        struct window_side side[2];
        uint8_t verdicts[CHUNK_SIZE / DIFF_SECTOR];
};

extern const struct pool_ops window_ops;

/* I/O: the pieces' stored bytes. */
bool window_load(struct window *w, struct err *err);

#endif
