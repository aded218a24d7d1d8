/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/held.h"

#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/spool.h"

#define MEMORY MiB

struct held_item {
        struct stream_item item;
        uint64_t at, len; /* in the spool */
};

struct held {
        struct held_item *items;
        size_t count, room;
        struct spool *bytes;
};

bool held_new(const char *spool_dir, struct held **out, struct err *err)
{
        struct held *h = calloc(1, sizeof *h);

        if (!h)
                return err_nomem(err);
        if (!spool_new(spool_dir, MEMORY, &h->bytes, err)) {
                free(h);
                return false;
        }
        *out = h;
        return true;
}

void held_free(struct held *h)
{
        if (!h)
                return;
        spool_free(h->bytes);
        free(h->items);
        free(h);
}

bool held_begin(struct held *h, const struct stream_item *item, struct err *err)
{
        if (h->count == h->room) {
                size_t room = h->room ? 2 * h->room : 64;
                struct held_item *grown =
                        realloc(h->items, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                h->items = grown;
                h->room = room;
        }
        h->items[h->count++] =
                (struct held_item){.item = *item, .at = spool_size(h->bytes)};
        return true;
}

bool held_bytes(struct held *h, const uint8_t *p, size_t len, struct err *err)
{
        h->items[h->count - 1].len += len;
        return spool_append(h->bytes, p, len, err);
}

size_t held_count(const struct held *h)
{
        return h->count;
}

bool held_get(struct held *h, size_t n, const struct stream_item **item_out,
              const uint8_t **bytes_out, size_t *len_out, struct err *err)
{
        const uint8_t *p;

        assert(n < h->count);
        TRY(spool_view(h->bytes, &p, err));
        *item_out = &h->items[n].item;
        *bytes_out = p + h->items[n].at;
        *len_out = (size_t)h->items[n].len;
        return true;
}
