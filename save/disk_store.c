/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/disk_store.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/stasis_format.h"
#include "format/zeros.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct store {
        struct writer *w;
        const char *dir;
        const struct disk_source *source;
        uint64_t tag;
        struct progress *progress;
        struct disk_totals *totals;
        bool overlay;
        struct zeros zeros;
        /* The list was full at this offset: zeros from there on are chunks. */
        uint64_t listed_until;
};

/* An image that says of its extents otherwise than it promised would make a
 * snapshot that no reader takes. */
static bool extent(struct store *s, uint64_t offset, uint64_t *len,
                   enum extent_kind *kind, struct err *err)
{
        const struct disk_source *d = s->source;
        uint64_t end;

        TRY(d->extent(d->arg, offset, len, kind, err));
        end = offset + *len;
        if (*len == 0 || *len > d->size - offset ||
            (end % d->granularity && end != d->size))
                return err_set(
                        err, ERR_CORRUPT, "an extent of 0x%llx bytes at 0x%llx",
                        (unsigned long long)*len, (unsigned long long)offset);
        if (*kind == EXTENT_ZERO && !s->overlay)
                *kind = EXTENT_ABSENT;
        return true;
}

static bool list_zeros(struct store *s, struct err *err)
{
        uint64_t offset = 0, len;
        enum extent_kind kind;
        bool taken = true;

        s->listed_until = s->overlay ? s->source->size : 0;
        for (; offset < s->listed_until && taken; offset += len) {
                TRY(extent(s, offset, &len, &kind, err));
                if (kind != EXTENT_ZERO)
                        continue;
                TRY(zeros_add(&s->zeros, offset, len, &taken, err));
                if (!taken)
                        s->listed_until = offset;
                else
                        s->totals->zero_bytes += len;
        }
        return true;
}

static bool write_zeros(struct store *s, struct err *err)
{
        const char *text;
        char name[600];
        size_t len;

        TRY(zeros_text(&s->zeros, &text, &len, err));
        if (len == 0)
                return true;
        snprintf(name, sizeof name, "%s/zeros", s->dir);
        return writer_member(s->w, name, text, len, err);
}

/* What is to be in chunks from offset on, up to the next boundary at most. */
static bool run_length(struct store *s, uint64_t offset, size_t *len_out,
                       uint64_t *skip_out, bool *zero_out, struct err *err)
{
        uint64_t room = CHUNK_SIZE - offset % CHUNK_SIZE, len, got = 0;
        enum extent_kind kind;

        *skip_out = 0;
        while (got < room && offset + got < s->source->size) {
                bool zero;

                TRY(extent(s, offset + got, &len, &kind, err));
                zero = kind == EXTENT_ZERO && offset + got >= s->listed_until;
                if (kind != EXTENT_DATA && !zero) {
                        *skip_out = len;
                        break;
                }
                if (got > 0 && zero != *zero_out)
                        break;
                *zero_out = zero;
                got += len;
        }
        *len_out = (size_t)(got < room ? got : room);
        if (got > room)
                *skip_out = 0;
        return true;
}

static bool write_chunk(struct store *s, uint64_t offset, size_t len, bool zero,
                        struct err *err)
{
        struct chunk *c;

        TRY(writer_borrow(s->w, &c, err));
        assert(strlen(s->dir) < sizeof c->dir);
        strcpy(c->dir, s->dir);
        c->address = offset;
        c->len = len;
        c->drop_zero = !s->overlay;
        c->tag = s->tag;
        if (zero) {
                memset(c->bytes, 0, len);
        } else if (!s->source->read(s->source->arg, offset, c->bytes, len,
                                    err)) {
                writer_return(s->w, c);
                return false;
        }
        s->totals->data_bytes += len;
        return writer_submit(s->w, c, err);
}

static bool write_chunks(struct store *s, struct err *err)
{
        uint64_t offset = 0, skip, told = 0;
        bool zero = false;
        size_t len;

        while (offset < s->source->size) {
                TRY(run_length(s, offset, &len, &skip, &zero, err));
                if (len > 0)
                        TRY(write_chunk(s, offset, len, zero, err));
                offset += len + skip;
                TRY(progress_add(s->progress, offset - told, err));
                told = offset;
        }
        return true;
}

bool disk_store(struct writer *w, const char *dir,
                const struct disk_source *source, bool overlay, uint64_t tag,
                struct progress *progress, struct disk_totals *totals,
                struct err *err)
{
        struct store s = {
                .w = w,
                .dir = dir,
                .source = source,
                .tag = tag,
                .progress = progress,
                .totals = totals,
                .overlay = overlay,
        };
        bool ok;

        *totals = (struct disk_totals){0};
        ok = list_zeros(&s, err) && write_zeros(&s, err) &&
             write_chunks(&s, err);
        zeros_fini(&s.zeros);
        return ok;
}
