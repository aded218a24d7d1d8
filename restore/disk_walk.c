/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/disk_walk.h"

#include "base/limits.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/zeros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool corrupt(struct err *err, const char *why)
{
        return err_set(err, ERR_CORRUPT, "%s", why);
}

void disk_walk_init(struct disk_walk *w,
                    bool (*zero)(void *arg, uint64_t offset, uint64_t length,
                                 struct err *err),
                    void *arg)
{
        *w = (struct disk_walk){.zero = zero, .arg = arg};
}

void disk_walk_fini(struct disk_walk *w)
{
        free(w->list);
        free(w->zeros);
        *w = (struct disk_walk){0};
}

static struct walked_disk *current(struct disk_walk *w)
{
        return &w->list[w->count - 1];
}

/* An extent behind all before it. */
static bool add(struct disk_walk *w, uint64_t offset, uint64_t length,
                struct err *err)
{
        struct walked_disk *d = current(w);

        if (d->end > 0)
                d->edges |= d->end;
        d->edges |= offset;
        if (offset < d->end)
                return corrupt(err, "extents of a disk overlap, or go back");
        d->end = offset + length;
        return true;
}

static bool next_zeros(struct disk_walk *w, struct err *err)
{
        char name[600], shown[320];

        if (zeros_next(w->zeros, w->zeros_len, &w->zeros_pos, &w->zeros_end,
                       &w->zero_offset, &w->zero_length, err))
                return true;
        snprintf(name, sizeof name, "%s/zeros", current(w)->dir);
        return err_in_section(err, text_escape(name, shown, sizeof shown));
}

/* Zero extents that begin before `until`. */
static bool pass_zeros(struct disk_walk *w, uint64_t until, struct err *err)
{
        while (w->zero_length > 0 && w->zero_offset < until) {
                TRY(add(w, w->zero_offset, w->zero_length, err));
                if (w->zero)
                        TRY(w->zero(w->arg, w->zero_offset, w->zero_length,
                                    err));
                TRY(next_zeros(w, err));
        }
        return true;
}

static bool end_disk(struct disk_walk *w, struct err *err)
{
        TRY(pass_zeros(w, UINT64_MAX, err));
        free(w->zeros);
        w->zeros = NULL;
        return true;
}

static bool begin_disk(struct disk_walk *w, const char *dir, struct err *err)
{
        struct walked_disk *grown;

        TRY(end_disk(w, err));
        for (size_t i = 0; i < w->count; i++)
                if (strcmp(w->list[i].dir, dir) == 0)
                        return corrupt(
                                err, "a disk's members do not stand together");
        if (w->count >= LIMIT_DISKS)
                return err_set(err, ERR_LIMIT, "more than %d disks",
                               LIMIT_DISKS);
        grown = realloc(w->list, (w->count + 1) * sizeof *grown);
        if (!grown)
                return err_nomem(err);
        w->list = grown;
        grown[w->count] = (struct walked_disk){0};
        memccpy(grown[w->count].dir, dir, 0, sizeof grown[w->count].dir - 1);
        w->count++;
        return true;
}

static bool is_current(struct disk_walk *w, const char *dir)
{
        return w->count > 0 && strcmp(current(w)->dir, dir) == 0;
}

bool disk_walk_zeros(struct disk_walk *w, const char *dir, const uint8_t *text,
                     size_t len, struct err *err)
{
        if (is_current(w, dir))
                return corrupt(err, "zeros stand behind chunks of their disk");
        TRY(begin_disk(w, dir, err));
        w->zeros = malloc(len + 1);
        if (!w->zeros)
                return err_nomem(err);
        memcpy(w->zeros, text, len);
        w->zeros_len = len;
        w->zeros_pos = 0;
        current(w)->zeros = true;
        TRY(next_zeros(w, err));
        return w->zero_length > 0 || corrupt(err, "an empty list");
}

bool disk_walk_chunk(struct disk_walk *w, const char *dir, uint64_t address,
                     size_t len, struct err *err)
{
        if (!is_current(w, dir))
                TRY(begin_disk(w, dir, err));
        if (address > LIMIT_DISK_BYTES)
                return err_set(err, ERR_LIMIT, "no disk is that large");
        TRY(pass_zeros(w, address + len, err));
        return add(w, address, len, err);
}

static bool check(const struct walked_disk *d, const struct disk_info *info,
                  struct err *err)
{
        uint64_t mask = info->granularity - 1u;

        if (d->end > info->size)
                return corrupt(err, "a chunk or zeros behind the disk's end");
        if ((d->edges & mask) || ((d->end & mask) && d->end != info->size))
                return corrupt(err,
                               "a chunk or zeros not aligned to granularity");
        if (d->zeros && !info->overlay)
                return corrupt(err, "a disk in full has a list of zeros");
        return true;
}

static bool find(const json_t *state, const char *dir, struct disk_info *out)
{
        size_t n = state_disks(state);

        for (size_t i = 0; i < n; i++) {
                *out = state_disk(state, i);
                if (strcmp(out->dir, dir) == 0)
                        return true;
        }
        return false;
}

bool disk_walk_end(struct disk_walk *w, const json_t *state, struct err *err)
{
        TRY(end_disk(w, err));
        for (size_t i = 0; i < w->count; i++) {
                struct disk_info info;
                char shown[320];

                if (find(state, w->list[i].dir, &info)) {
                        if (check(&w->list[i], &info, err))
                                continue;
                } else {
                        corrupt(err, "state.json knows of no such disk");
                }
                return err_in_section(
                        err, text_escape(w->list[i].dir, shown, sizeof shown));
        }
        return true;
}
