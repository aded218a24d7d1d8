/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/kept.h"

#include "base/limits.h"
#include "base/spool.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MEMORY (4 * MiB)
#define EXTENTS_MAX (1u << 20)

struct extent {
        uint64_t offset, len;
        uint64_t spooled; /* where its data is; ZEROS: it is zeros */
};

#define ZEROS UINT64_MAX

struct kept {
        struct extent *list; /* ascending */
        size_t count, room;
        struct spool *data;
        uint32_t granularity;
        struct disk_source below;
};

static bool add(struct kept *k, uint64_t offset, uint64_t len, bool zeros,
                struct err *err)
{
        if (k->count >= EXTENTS_MAX)
                return err_set(err, ERR_LIMIT,
                               "the guest wrote too much, in too many places, "
                               "while it was saved");
        if (k->count == k->room) {
                size_t room = k->room ? 2 * k->room : 64;
                struct extent *grown = realloc(k->list, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                k->list = grown;
                k->room = room;
        }
        k->list[k->count++] = (struct extent){
                .offset = offset,
                .len = len,
                .spooled = zeros ? ZEROS : spool_size(k->data),
        };
        return true;
}

static bool copy(struct kept *k, struct image *i, uint64_t offset, uint64_t len,
                 uint8_t *buffer, struct err *err)
{
        while (len > 0) {
                size_t now = len < CHUNK_SIZE ? (size_t)len : CHUNK_SIZE;

                TRY(image_read(i, offset, buffer, now, err));
                TRY(spool_append(k->data, buffer, now, err));
                offset += now;
                len -= now;
        }
        return true;
}

static bool read_all(struct kept *k, struct image *i, uint8_t *buffer,
                     struct err *err)
{
        uint64_t size = image_size(i), offset = 0, len;
        enum extent_kind kind;

        k->granularity = image_granularity(i);
        for (; offset < size; offset += len) {
                TRY(image_extent(i, offset, &len, &kind, err));
                if (kind == EXTENT_ABSENT)
                        continue;
                TRY(add(k, offset, len, kind == EXTENT_ZERO, err));
                if (kind == EXTENT_DATA)
                        TRY(copy(k, i, offset, len, buffer, err));
        }
        return true;
}

bool kept_read(int fd, const char *name, const char *spool_dir,
               struct kept **out, struct err *err)
{
        struct kept *k = calloc(1, sizeof *k);
        uint8_t *buffer = malloc(CHUNK_SIZE);
        struct image *i = NULL;
        bool ok;

        ok = (k && buffer) || err_nomem(err);
        ok = ok && spool_new(spool_dir, KEPT_MEMORY, &k->data, err) &&
             image_open(fd, name, IMAGE_QCOW2, &i, err) &&
             read_all(k, i, buffer, err);
        image_close(i);
        free(buffer);
        if (!ok) {
                kept_free(k);
                return false;
        }
        *out = k;
        return true;
}

void kept_free(struct kept *k)
{
        if (!k)
                return;
        spool_free(k->data);
        free(k->list);
        free(k);
}

/* The first extent that ends behind offset; count: none does. */
static size_t find(const struct kept *k, uint64_t offset)
{
        size_t low = 0, high = k->count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (k->list[mid].offset + k->list[mid].len > offset)
                        high = mid;
                else
                        low = mid + 1;
        }
        return low;
}

static bool extent(void *arg, uint64_t offset, uint64_t *len_out,
                   enum extent_kind *kind_out, struct err *err)
{
        const struct kept *k = arg;
        size_t i = find(k, offset);
        const struct extent *e = &k->list[i];

        if (i < k->count && e->offset <= offset) {
                *len_out = e->offset + e->len - offset;
                *kind_out = e->spooled == ZEROS ? EXTENT_ZERO : EXTENT_DATA;
                return true;
        }
        TRY(k->below.extent(k->below.arg, offset, len_out, kind_out, err));
        if (i<k->count && * len_out> e->offset - offset)
                *len_out = e->offset - offset;
        return true;
}

static bool read_over(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                      struct err *err)
{
        struct kept *k = arg;

        while (len > 0) {
                size_t i = find(k, offset), now = len;
                const struct extent *e = &k->list[i];
                bool ours = i < k->count && e->offset <= offset;

                if (ours && now > e->offset + e->len - offset)
                        now = (size_t)(e->offset + e->len - offset);
                if (!ours && i < k->count && now > e->offset - offset)
                        now = (size_t)(e->offset - offset);
                if (!ours)
                        TRY(k->below.read(k->below.arg, offset, bytes, now,
                                          err));
                else if (e->spooled == ZEROS)
                        memset(bytes, 0, now);
                else
                        TRY(spool_read(k->data,
                                       e->spooled + (offset - e->offset), bytes,
                                       now, err));
                offset += now;
                bytes += now;
                len -= now;
        }
        return true;
}

void kept_over(struct kept *k, const struct disk_source *below,
               struct disk_source *out)
{
        k->below = *below;
        *out = (struct disk_source){
                .arg = k,
                .size = below->size,
                .granularity = k->granularity < below->granularity
                                       ? k->granularity
                                       : below->granularity,
                .extent = extent,
                .read = read_over,
        };
}
