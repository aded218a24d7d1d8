/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/block_spool.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/name.h"
#include "save/disk_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Blocks of all disks together, gaps included: 1 PiB, 256 MiB of memory. */
#define BLOCKS_MAX (1024 * TiB / MiB)

/* An extent is told in pieces of at most so many blocks: whoever asks at each
 * block does not pay for the length of what follows. */
#define RUN_MAX 65536

enum block_state {
        BLOCK_NONE, /* has not come */
        BLOCK_ZERO,
        BLOCK_DATA,
};

/* The granularity: 1 MiB. */
#define BLOCK_SIZE MiB

struct spooled {
        char device[256];
        int fd;          /* -1 until there is data */
        uint8_t *states; /* 2 bits a block */
        uint64_t room;   /* blocks that states has room for */
        uint64_t blocks; /* up to the last that came */
};

struct block_spool {
        const char *dir;
        struct spooled *disks;
        size_t count;
        uint64_t blocks; /* of all disks */
};

bool block_spool_new(const char *dir, struct block_spool **out, struct err *err)
{
        struct block_spool *s = calloc(1, sizeof *s);

        if (!s)
                return err_nomem(err);
        s->dir = dir;
        *out = s;
        return true;
}

void block_spool_free(struct block_spool *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->count; i++) {
                cleanup_fd_(&s->disks[i].fd);
                free(s->disks[i].states);
        }
        free(s->disks);
        free(s);
}

static bool about(const struct spooled *d, struct err *err)
{
        char shown[300];

        return err_doing(err, "disk %s",
                         text_escape(d->device, shown, sizeof shown));
}

/* ---- as the stream comes ------------------------------------------------- */

static bool add_disk(struct block_spool *s, const char *device, struct err *err)
{
        struct spooled *grown;

        if (s->count == LIMIT_DISKS)
                return err_set(err, ERR_LIMIT, "more than %d disks",
                               LIMIT_DISKS);
        grown = realloc(s->disks, (s->count + 1) * sizeof *grown);
        if (!grown)
                return err_nomem(err);
        s->disks = grown;
        grown += s->count;
        *grown = (struct spooled){.fd = -1};
        assert(strlen(device) < sizeof grown->device);
        strcpy(grown->device, device);
        s->count++;
        return true;
}

static bool find_disk(struct block_spool *s, const char *device,
                      struct spooled **out, struct err *err)
{
        size_t i = 0;

        while (i < s->count && strcmp(s->disks[i].device, device) != 0)
                i++;
        if (i == s->count)
                TRY(add_disk(s, device, err));
        *out = &s->disks[i];
        return true;
}

static bool make_room(struct block_spool *s, struct spooled *d, uint64_t block,
                      struct err *err)
{
        uint64_t room = d->room ? d->room : 4096;
        uint8_t *grown;

        if (block < d->blocks)
                return true;
        if (block >= BLOCKS_MAX ||
            block + 1 - d->blocks > BLOCKS_MAX - s->blocks)
                return err_set(err, ERR_LIMIT,
                               "disks of more than 1 PiB in all");
        s->blocks += block + 1 - d->blocks;
        d->blocks = block + 1;
        if (block < d->room)
                return true;
        while (room <= block)
                room *= 2;
        grown = realloc(d->states, (size_t)(room / 4));
        if (!grown)
                return err_nomem(err);
        memset(grown + d->room / 4, 0, (size_t)((room - d->room) / 4));
        d->states = grown;
        d->room = room;
        return true;
}

static enum block_state state_of(const struct spooled *d, uint64_t block)
{
        return (enum block_state)(d->states[block / 4] >> block % 4 * 2 & 3);
}

static void set_state(struct spooled *d, uint64_t block, enum block_state state)
{
        unsigned shift = (unsigned)(block % 4 * 2);
        unsigned others = d->states[block / 4] & ~(3u << shift);

        d->states[block / 4] = (uint8_t)(others | (unsigned)state << shift);
}

bool block_spool_add(struct block_spool *s, const char *device, uint64_t offset,
                     const uint8_t *bytes, struct err *err)
{
        uint64_t block = offset / BLOCK_SIZE;
        struct spooled *d;

        assert(offset % BLOCK_SIZE == 0);
        TRY(find_disk(s, device, &d, err));
        if (!make_room(s, d, block, err))
                return about(d, err);
        if (!bytes || bytes_are_zero(bytes, BLOCK_SIZE)) {
                set_state(d, block, BLOCK_ZERO);
                return true;
        }
        set_state(d, block, BLOCK_DATA);
        if (d->fd < 0)
                TRY(io_open_unlinked(s->dir, &d->fd, err));
        return io_pwrite_all(d->fd, bytes, BLOCK_SIZE, offset, "the spool",
                             err) ||
               about(d, err);
}

/* ---- as a source --------------------------------------------------------- */

static bool extent(void *arg, uint64_t offset, uint64_t *len_out,
                   enum extent_kind *kind_out, struct err *err)
{
        static const enum extent_kind kinds[] = {
                [BLOCK_NONE] = EXTENT_ABSENT,
                [BLOCK_ZERO] = EXTENT_ZERO,
                [BLOCK_DATA] = EXTENT_DATA,
        };
        const struct spooled *d = arg;
        uint64_t first = offset / BLOCK_SIZE, end = first + 1;
        enum block_state state = state_of(d, first);

        (void)err;
        while (end < d->blocks && end - first < RUN_MAX &&
               state != BLOCK_DATA && state_of(d, end) == state)
                end++;
        *len_out = end * BLOCK_SIZE - offset;
        *kind_out = kinds[state];
        return true;
}

static bool read_spool(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                       struct err *err)
{
        const struct spooled *d = arg;

        return io_pread_all(d->fd, bytes, len, offset, "the spool", err);
}

/* Did everything come up to what came last? */
static bool is_full(const struct spooled *d)
{
        for (uint64_t i = 0; i < d->blocks; i++)
                if (state_of(d, i) == BLOCK_NONE)
                        return false;
        return true;
}

static bool describe(const struct spooled *d, const char *dir, bool full,
                     json_t *list, struct err *err)
{
        json_t *disk = json_pack(
                "{s:s, s:s, s:s, s:s, s:I, s:b, s:I}", "device", d->device,
                "name", d->device, "stored", full ? "full" : "overlay", "dir",
                dir, "virtual_size", (json_int_t)(d->blocks * BLOCK_SIZE),
                "virtual_size_known", 0, "granularity", (json_int_t)BLOCK_SIZE);

        if (!disk || json_array_append_new(list, disk) != 0)
                return err_nomem(err);
        return true;
}

static bool is_stored(const json_t *list, const char *dir)
{
        const json_t *disk;
        size_t i;

        json_array_foreach(list, i, disk)
        {
                const char *other =
                        json_string_value(json_object_get(disk, "dir"));

                if (other && strcmp(other, dir) == 0)
                        return true;
        }
        return false;
}

static bool store(struct spooled *d, struct writer *w, json_t *list,
                  uint64_t tag, struct progress *progress, struct err *err)
{
        struct disk_source source = {
                .arg = d,
                .size = d->blocks * BLOCK_SIZE,
                .granularity = BLOCK_SIZE,
                .extent = extent,
                .read = read_spool,
        };
        bool full = is_full(d);
        struct disk_totals totals;
        char dir[512];

        name_disk_dir(d->device, dir);
        if (is_stored(list, dir))
                return true;
        TRY(describe(d, dir, full, list, err));
        return disk_store(w, dir, &source, !full, tag, progress, &totals, err);
}

bool block_spool_store(struct block_spool *s, struct writer *w, json_t *state,
                       uint64_t tag, struct progress *progress, struct err *err)
{
        json_t *list = json_object_get(state, "disks");

        if (!list) {
                list = json_array();
                if (json_object_set_new(state, "disks", list) != 0)
                        return err_nomem(err);
        }
        progress_phase(progress, "saving disks", s->blocks * BLOCK_SIZE);
        for (size_t i = 0; i < s->count; i++)
                if (!store(&s->disks[i], w, list, tag, progress, err))
                        return about(&s->disks[i], err);
        return true;
}
