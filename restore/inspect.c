/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/inspect.h"

#include "base/limits.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct walk {
        struct inspection *out;
        inspect_chunk *each;
        void *arg;
};

static bool new_group(struct inspection *out, const struct name *n,
                      struct err *err)
{
        struct group *g;

        if (out->count >= LIMIT_STREAM_ITEMS)
                return err_set(err, ERR_LIMIT, "more than %d stream items",
                               LIMIT_STREAM_ITEMS);
        if (out->count == out->room) {
                size_t room = out->room ? 2 * out->room : 64;
                struct group *grown =
                        realloc(out->groups, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                out->groups = grown;
                out->room = room;
        }
        g = &out->groups[out->count];
        *g = (struct group){.class = n->class, .dir = strdup(n->dir)};
        if (!g->dir)
                return err_nomem(err);
        out->count++;
        return true;
}

/* The chunks of an item, or of a disk, follow each other. */
static bool add_to_group(struct inspection *out, const struct index_entry *e,
                         const struct name *n, struct err *err)
{
        struct group *g;

        if (out->count == 0 ||
            strcmp(out->groups[out->count - 1].dir, n->dir) != 0)
                TRY(new_group(out, n, err));
        g = &out->groups[out->count - 1];
        g->chunks++;
        g->raw_bytes += e->raw_len;
        g->stored_bytes += e->stored_len;
        return true;
}

static bool chunk(struct walk *w, const struct index_entry *e,
                  const struct name *n, struct err *err)
{
        struct inspection *out = w->out;

        /* Bounds the sums below, too. */
        if (e->raw_len == 0 || e->raw_len > CHUNK_SIZE || e->stored_len == 0)
                return err_set(err, ERR_CORRUPT,
                               "a chunk's size that cannot be");
        out->chunks++;
        out->raw_bytes += e->raw_len;
        out->stored_bytes += e->stored_len;
        if (n->class == NAME_RAM)
                TRY(blocks_add(&out->blocks, n->dir, n->address, e->raw_len,
                               e->stored_len, err));
        else
                TRY(add_to_group(out, e, n, err));
        return !w->each || w->each(w->arg, e, n, err);
}

static bool entry(void *arg, const struct index_entry *e, struct err *err)
{
        struct walk *w = arg;
        char shown[320];
        struct name n;

        w->out->members++;
        if (!name_parse(e->name, &n, err) ||
            (n.class != NAME_STASIS && n.class != NAME_UNKNOWN && !n.zeros &&
             !chunk(w, e, &n, err))) {
                err_at(err, e->data_offset);
                return err_in_section(
                        err, text_escape(e->name, shown, sizeof shown));
        }
        return true;
}

bool inspect_run(struct reader *r, inspect_chunk *each, void *arg,
                 struct inspection *out, struct err *err)
{
        struct walk w = {.out = out, .each = each, .arg = arg};

        *out = (struct inspection){0};
        TRY(blocks_init(&out->blocks, reader_manifest(r), err));
        TRY(reader_index(r, entry, &w, err));
        for (size_t i = 0; i < out->blocks.count; i++)
                out->waste_bytes += out->blocks.list[i].replaced_bytes;
        return true;
}

void inspection_fini(struct inspection *i)
{
        for (size_t g = 0; g < i->count; g++)
                free(i->groups[g].dir);
        free(i->groups);
        blocks_fini(&i->blocks);
        *i = (struct inspection){0};
}
