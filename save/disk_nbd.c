/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two metadata contexts tell what is where: base:allocation (zeros or not) and
 * qemu:allocation-depth (1: the exported image itself).  Their extents need not
 * agree with each other, nor with anything of ours: they are intersected and
 * told in blocks of one granularity.  Of an overlay that is what its own
 * extents are aligned to, of a disk in full a fixed one.
 */
#include "save/disk_nbd.h"

#include <libnbd.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "qemu/export.h"
#include "save/disk_files.h"

#define CONTEXT_BASE  "base:allocation"
#define CONTEXT_DEPTH "qemu:allocation-depth"

#define BASE_ZERO 2 /* of base:allocation's flags */

/* Asked at a time. */
#define WINDOW GiB

#define GRANULARITY_MIN 512u

struct run {
        uint64_t end;
        uint32_t flags;
};

/* What one context says from `begin` on. */
struct context {
        uint64_t begin;
        struct run *runs;
        size_t count, room;
        size_t last; /* where the last question was answered */
        bool failed;
};

struct disk_nbd {
        struct nbd_export *node;
        struct nbd_handle *h;
        uint64_t size;
        bool overlay;
        uint32_t granularity;
        struct context base, depth;
};

static bool failed(struct err *err)
{
        return err_set(err, ERR_QEMU, "reading from QEMU over NBD: %s",
                       nbd_get_error());
}

/* ---- what is where ------------------------------------------------------- */

static bool add_run(struct context *c, uint64_t len, uint32_t flags)
{
        uint64_t begin = c->count ? c->runs[c->count - 1].end : c->begin;

        if (c->count > 0 && c->runs[c->count - 1].flags == flags) {
                c->runs[c->count - 1].end += len;
                return true;
        }
        if (c->count == c->room) {
                size_t room = c->room ? 2 * c->room : 256;
                struct run *grown = realloc(c->runs, room * sizeof *grown);

                if (!grown)
                        return false;
                c->runs = grown;
                c->room = room;
        }
        c->runs[c->count++] = (struct run){.end = begin + len, .flags = flags};
        return true;
}

/* Called by libnbd, once for each context of a reply; pairs of length and
 * flags. */
static int take_extents(void *arg, const char *name, uint64_t offset,
                        uint32_t *entries, size_t count, int *error)
{
        struct disk_nbd *d = arg;
        struct context *c = strcmp(name, CONTEXT_BASE) == 0    ? &d->base
                            : strcmp(name, CONTEXT_DEPTH) == 0 ? &d->depth
                                                               : NULL;

        (void)error;
        if (!c)
                return 0;
        c->begin = offset;
        c->count = c->last = 0;
        for (size_t i = 0; i + 1 < count; i += 2)
                if (entries[i] > 0 && !add_run(c, entries[i], entries[i + 1]))
                        c->failed = true;
        return 0;
}

static bool covers(const struct context *c, uint64_t offset)
{
        return c->count > 0 && offset >= c->begin &&
               offset < c->runs[c->count - 1].end;
}

static const struct run *find_run(struct context *c, uint64_t offset)
{
        if (c->last > 0 && offset < c->runs[c->last - 1].end)
                c->last = 0;
        while (offset >= c->runs[c->last].end)
                c->last++;
        return &c->runs[c->last];
}

static bool ask(struct disk_nbd *d, uint64_t offset, struct err *err)
{
        uint64_t len = d->size - offset < WINDOW ? d->size - offset : WINDOW;
        nbd_extent_callback callback = {
                .callback = take_extents,
                .user_data = d,
        };

        if (covers(&d->base, offset) && covers(&d->depth, offset))
                return true;
        d->base.count = d->depth.count = 0;
        if (nbd_block_status(d->h, len, offset, callback, 0) != 0)
                return failed(err);
        if (d->base.failed || d->depth.failed)
                return err_nomem(err);
        if (!covers(&d->base, offset) || !covers(&d->depth, offset))
                return err_set(err, ERR_QEMU,
                               "QEMU does not say what is at 0x%llx of the "
                               "disk",
                               (unsigned long long)offset);
        return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* As QEMU tells it, in extents of any size. */
static bool told(struct disk_nbd *d, uint64_t offset, uint64_t *len,
                 enum extent_kind *kind, struct err *err)
{
        const struct run *base, *depth;

        TRY(ask(d, offset, err));
        base = find_run(&d->base, offset);
        depth = find_run(&d->depth, offset);
        *len = least(least(base->end, depth->end), d->size) - offset;
        if (d->overlay && depth->flags != 1)
                *kind = EXTENT_ABSENT;
        else if (base->flags & BASE_ZERO)
                *kind = d->overlay ? EXTENT_ZERO : EXTENT_ABSENT;
        else
                *kind = EXTENT_DATA;
        return true;
}

/* Whole blocks: one that is data in any part is data.  offset: of a block. */
static bool extent(void *arg, uint64_t offset, uint64_t *len_out,
                   enum extent_kind *kind_out, struct err *err)
{
        struct disk_nbd *d = arg;
        uint64_t left = d->size - offset, len, got;
        uint64_t block = least(d->granularity, left);

        TRY(told(d, offset, &len, kind_out, err));
        if (len < left)
                len -= len % d->granularity;
        *len_out = len;
        for (got = len; got < block; got += len) {
                enum extent_kind kind;

                TRY(told(d, offset + got, &len, &kind, err));
                if (kind == EXTENT_DATA || got == 0)
                        *kind_out = kind;
                *len_out = block;
        }
        return true;
}

static bool read_nbd(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                     struct err *err)
{
        struct disk_nbd *d = arg;

        return nbd_pread(d->h, bytes, len, offset, 0) == 0 || failed(err);
}

/* The largest that all of the overlay's own extents are aligned to. */
static bool find_granularity(struct disk_nbd *d, struct err *err)
{
        uint64_t edges = FULL_GRANULARITY;
        bool before = true;

        d->granularity = FULL_GRANULARITY;
        for (uint64_t at = 0; d->overlay && at < d->size;) {
                const struct run *run;
                bool own;

                TRY(ask(d, at, err));
                run = find_run(&d->depth, at);
                own = run->flags == 1;
                if (own != before && at > 0)
                        edges |= at;
                before = own;
                at = run->end;
        }
        d->granularity = (uint32_t)(edges & -edges);
        return d->granularity >= GRANULARITY_MIN ||
               err_set(err, ERR_QEMU, "QEMU tells of parts of sectors");
}

/* ---- the connection ------------------------------------------------------ */

static bool join(struct disk_nbd *d, struct err *err)
{
        int64_t size;

        d->h = nbd_create();
        if (!d->h || nbd_set_export_name(d->h, EXPORT_NAME) != 0 ||
            nbd_add_meta_context(d->h, CONTEXT_BASE) != 0 ||
            nbd_add_meta_context(d->h, CONTEXT_DEPTH) != 0 ||
            nbd_set_pread_initialize(d->h, false) != 0 ||
            nbd_connect_socket(d->h, export_take_fd(d->node)) != 0)
                return failed(err);
        if (nbd_can_meta_context(d->h, CONTEXT_BASE) != 1 ||
            nbd_can_meta_context(d->h, CONTEXT_DEPTH) != 1)
                return err_set(err, ERR_QEMU,
                               "QEMU does not tell over NBD what is allocated");
        size = nbd_get_size(d->h);
        if (size < 0)
                return failed(err);
        d->size = (uint64_t)size;
        if (d->size % 512 || d->size > LIMIT_DISK_BYTES)
                return err_set(err, ERR_QEMU, "a disk of %llu bytes",
                               (unsigned long long)d->size);
        return find_granularity(d, err);
}

bool disk_nbd_open(struct qmp *q, const char *node, bool overlay,
                   struct disk_nbd **nbd_out, struct disk_source *out,
                   struct err *err)
{
        struct disk_nbd *d = calloc(1, sizeof *d);

        if (!d)
                return err_nomem(err);
        d->overlay = overlay;
        if (!export_open(q, node, &d->node, err) || !join(d, err)) {
                disk_nbd_close(d);
                return false;
        }
        *out = (struct disk_source){
                .arg = d,
                .size = d->size,
                .granularity = d->granularity,
                .extent = extent,
                .read = read_nbd,
        };
        *nbd_out = d;
        return true;
}

void disk_nbd_close(struct disk_nbd *d)
{
        if (!d)
                return;
        if (d->h)
                nbd_shutdown(d->h, 0);
        nbd_close(d->h);
        export_close(d->node);
        free(d->base.runs);
        free(d->depth.runs);
        free(d);
}
