/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAMBlocks and stored disks: which windows differ, by both indexes; these are
 * read and compared by workers.  Where neither has a chunk, RAM is zeros, and
 * a disk what the lists of zero extents say: there nothing is read, however
 * large the disk.
 *
 * What is in the stream besides, and is neither RAM, disk nor device section
 * (a hash table, storage attributes, dirty bitmaps), is compared by its chunks'
 * digests.
 */
#include "restore/diff_private.h"

#include "format/digest.h"
#include "format/zeros.h"

#include <stdio.h>
#include <string.h>

#define PAGE_DEFAULT 4096u

static bool corrupt(struct err *err, const char *why)
{
        return err_set(err, ERR_CORRUPT, "%s", why);
}

/* ---- zeros --------------------------------------------------------------- */

static bool next_extent(struct extents *z, struct err *err)
{
        TRY(zeros_next(z->text, z->len, &z->pos, &z->end, &z->offset,
                       &z->length, err));
        return z->length == 0 ||
               ((z->offset | z->length) % DIFF_SECTOR == 0 &&
                z->offset <= LIMIT_DISK_BYTES &&
                z->length <= LIMIT_DISK_BYTES - z->offset) ||
               corrupt(err, "zeros that are not whole sectors of a disk");
}

static bool read_zeros(struct regions *r, struct region *region, int s,
                       struct err *err)
{
        struct extents *z = &region->side[s].zeros;
        char name[600];

        if (region->ram || !region->told->present[s])
                return true;
        snprintf(name, sizeof name, "%s/zeros", region->dir);
        if (!reader_get(r->d->reader[s], name, LIMIT_ZEROS, &z->text, &z->len,
                        err))
                return false;
        return next_extent(z, err);
}

/* ---- what has been found ------------------------------------------------- */

static void account(struct diff_region *t, uint64_t offset, uint64_t length,
                    uint8_t verdict)
{
        struct diff_range *last = NULL;

        if (!(verdict & VERDICT_DIFFERS))
                return;
        t->differing += length;
        t->zero[0] += verdict & VERDICT_ZERO_A ? length : 0;
        t->zero[1] += verdict & VERDICT_ZERO_B ? length : 0;
        t->hole[0] += verdict & VERDICT_HOLE_A ? length : 0;
        t->hole[1] += verdict & VERDICT_HOLE_B ? length : 0;
        if (t->range_count > 0 && t->range_count <= DIFF_RANGES)
                last = &t->ranges[t->range_count - 1];
        if (last && last->offset + last->length == offset) {
                last->length += length;
                return;
        }
        if (t->range_count < DIFF_RANGES)
                t->ranges[t->range_count] = (struct diff_range){offset, length};
        t->range_count++;
}

/* The oldest window; *any_out: there was one. */
static bool collect(struct regions *r, struct diff_region *t, bool *any_out,
                    struct err *err)
{
        struct window *w;
        void *job = NULL;
        bool ok = pool_next(r->pool, &job, err);
        size_t n = 0;

        *any_out = job != NULL;
        if (!job)
                return ok;
        w = job;
        for (size_t at = 0; ok && at < w->len; at += w->unit, n++)
                account(t, w->begin + at,
                        w->len - at < w->unit ? w->len - at : w->unit,
                        w->verdicts[n]);
        ok = ok && progress_add(r->d->options->progress, w->len, err);
        pool_done(r->pool, job);
        return ok;
}

/* ---- windows ------------------------------------------------------------- */

/* The extent at or behind `at`. */
static bool seek(struct extents *z, uint64_t at, struct err *err)
{
        while (z->length > 0 && z->offset + z->length <= at)
                TRY(next_extent(z, err));
        return true;
}

/* Up to where, at most `to`, it is the same as at `at`: zeros or a hole. */
static bool state_at(struct region_side *s, uint64_t at, uint64_t to,
                     enum sector *out, uint64_t *until_out, struct err *err)
{
        struct extents *z = &s->zeros;
        uint64_t until = to;

        *out = SECTOR_ZERO;
        if (s->overlay) {
                TRY(seek(z, at, err));
                if (z->length > 0 && z->offset <= at)
                        until = z->offset + z->length;
                else {
                        *out = SECTOR_HOLE;
                        if (z->length > 0)
                                until = z->offset;
                }
        }
        *until_out = until < to ? until : to;
        return true;
}

/* Where neither has a chunk. */
static bool span(struct region *region, uint64_t from, uint64_t to,
                 struct err *err)
{
        while (from < to) {
                uint64_t until_a, until_b, until;
                enum sector a, b;

                TRY(state_at(&region->side[0], from, to, &a, &until_a, err));
                TRY(state_at(&region->side[1], from, to, &b, &until_b, err));
                until = until_a < until_b ? until_a : until_b;
                if (a != b)
                        account(region->told, from, until - from,
                                VERDICT_DIFFERS |
                                        (a == SECTOR_HOLE ? VERDICT_HOLE_A
                                                          : VERDICT_HOLE_B));
                from = until;
        }
        return true;
}

/* Its pieces, and what is where they are not. */
static bool fill_side(struct window *w, int s, struct region_side *from,
                      struct err *err)
{
        struct window_side *side = &w->side[s];
        uint64_t end = w->begin + w->len, until;

        side->pieces = from->pieces + from->next;
        side->count = 0;
        for (uint64_t at = w->begin; at < end; at = until) {
                enum sector is;

                TRY(state_at(from, at, end, &is, &until, err));
                memset(side->holes + (at - w->begin) / DIFF_SECTOR, (int)is,
                       (until - at + DIFF_SECTOR - 1) / DIFF_SECTOR);
        }
        while (from->next < from->count &&
               from->pieces[from->next].address < end) {
                const struct piece *p = &from->pieces[from->next++];

                if (p->address + p->raw_len > end)
                        return corrupt(err, "a chunk behind the end");
                memset(side->holes + (p->address - w->begin) / DIFF_SECTOR,
                       SECTOR_ZERO,
                       (p->raw_len + DIFF_SECTOR - 1) / DIFF_SECTOR);
                side->count++;
        }
        return true;
}

static bool seem_equal(const struct window *w)
{
        const struct window_side *a = &w->side[0], *b = &w->side[1];

        if (a->count != b->count ||
            memcmp(a->holes, b->holes,
                   (w->len + DIFF_SECTOR - 1) / DIFF_SECTOR) != 0)
                return false;
        for (size_t i = 0; i < a->count; i++)
                if (a->pieces[i].address != b->pieces[i].address ||
                    a->pieces[i].raw_len != b->pieces[i].raw_len ||
                    memcmp(a->pieces[i].digest, b->pieces[i].digest,
                           DIGEST_SIZE) != 0)
                        return false;
        return true;
}

static bool window(struct regions *r, struct region *region, uint64_t begin,
                   uint64_t end, struct err *err)
{
        struct diff_region *t = region->told;
        struct window *w = pool_borrow(r->pool);
        bool any;

        if (!w) {
                TRY(collect(r, t, &any, err));
                w = pool_borrow(r->pool);
        }
        w->begin = begin;
        w->len =
                (uint32_t)(end - begin < CHUNK_SIZE ? end - begin : CHUNK_SIZE);
        w->unit = t->unit;
        w->dir = region->dir;
        w->in = r->d->in;
        for (int s = 0; s < 2; s++)
                if (!fill_side(w, s, &region->side[s], err)) {
                        pool_done(r->pool, w);
                        return err_in_file(err, r->d->in[s].name);
                }
        if (seem_equal(w)) {
                pool_done(r->pool, w);
                return progress_add(r->d->options->progress, 0, err);
        }
        if (!window_load(w, err)) {
                pool_done(r->pool, w);
                return false;
        }
        pool_submit(r->pool, w);
        return true;
}

static uint64_t next_piece(const struct region *region, uint64_t end)
{
        for (int s = 0; s < 2; s++) {
                const struct region_side *side = &region->side[s];

                if (side->next < side->count &&
                    side->pieces[side->next].address < end)
                        end = side->pieces[side->next].address;
        }
        return end;
}

static bool drain(struct regions *r, struct diff_region *t, struct err *err)
{
        bool any = true;

        while (any)
                TRY(collect(r, t, &any, err));
        return true;
}

/* Beyond the end of the shorter one there are zeros, or holes. */
static bool compare_bytes(struct regions *r, struct region *region,
                          struct err *err)
{
        struct diff_region *t = region->told;
        uint64_t end = t->size[0] > t->size[1] ? t->size[0] : t->size[1];
        uint64_t at = 0;

        while (at < end) {
                uint64_t next = next_piece(region, end);

                next -= next < end ? next % CHUNK_SIZE : 0;
                /* What was found before comes first. */
                if (next > at) {
                        TRY(drain(r, t, err));
                        TRY(span(region, at, next, err));
                        at = next;
                        continue;
                }
                TRY(window(r, region, at, end, err));
                at = end - at < CHUNK_SIZE ? end : at + CHUNK_SIZE;
        }
        return drain(r, t, err);
}

static bool tell_region(struct regions *r, struct region *region,
                        struct err *err)
{
        struct difference difference = {
                .kind = region->ram ? DIFFERENCE_RAM : DIFFERENCE_DISK,
                .region = region->told,
        };

        return diff_tell(r->d, &difference, err);
}

static uint32_t page_size(const struct diff *d, int s)
{
        uint32_t size = d->state[s].devices.page_size;

        if (!size)
                size = (uint32_t)json_integer_value(json_object_get(
                        d->state[s].manifest, "target_page_size"));
        if (size < DIFF_SECTOR || size > CHUNK_SIZE || (size & (size - 1)))
                size = PAGE_DEFAULT;
        return size;
}

static bool compare_region(struct regions *r, struct region *region,
                           struct err *err)
{
        struct diff_region *t = region->told;
        uint32_t a = page_size(r->d, 0), b = page_size(r->d, 1);

        t->unit = !region->ram ? DIFF_SECTOR : a < b ? a : b;
        if (t->present[0] && t->present[1]) {
                for (int s = 0; s < 2; s++)
                        if (!read_zeros(r, region, s, err))
                                return err_in_file(err, r->d->in[s].name);
                TRY(compare_bytes(r, region, err));
        }
        if (t->present[0] && t->present[1] && t->size[0] == t->size[1] &&
            t->differing == 0)
                return true;
        return tell_region(r, region, err);
}

/* ---- the rest of the stream ---------------------------------------------- */

static bool tell_item(struct regions *r, const char *name, struct err *err)
{
        char path[600];
        struct difference difference = {
                .kind = DIFFERENCE_CONFIG,
                .path = path,
                .value = {json_object_get(r->items[0], name),
                          json_object_get(r->items[1], name)},
        };

        if (json_equal(difference.value[0], difference.value[1]))
                return true;
        snprintf(path, sizeof path, "stream.%s", name);
        return diff_tell(r->d, &difference, err);
}

static bool compare_items(struct regions *r, struct err *err)
{
        const char *name;
        json_t *value;

        json_object_foreach(r->items[0], name, value)
                TRY(tell_item(r, name, err));
        json_object_foreach(r->items[1], name, value)
        {
                if (!json_object_get(r->items[0], name))
                        TRY(tell_item(r, name, err));
        }
        return true;
}

/* -------------------------------------------------------------------------- */

static bool compare(struct regions *r, struct err *err)
{
        TRY(regions_read(r, err));
        TRY(compare_items(r, err));
        TRY(pool_new(&window_ops, NULL, r->d->options->threads, &r->pool, err));
        for (int ram = 1; ram >= 0; ram--) {
                progress_phase(r->d->options->progress,
                               ram ? "comparing RAM" : "comparing disks", 0);
                for (size_t i = 0; i < r->count; i++)
                        if (r->list[i].ram == (ram != 0))
                                TRY(compare_region(r, &r->list[i], err));
        }
        return true;
}

bool diff_regions(struct diff *d, struct err *err)
{
        struct regions r = {.d = d};
        bool ok = compare(&r, err);

        pool_free(r.pool);
        regions_fini(&r);
        return ok;
}
