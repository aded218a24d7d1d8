/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the two indexes have: RAMBlocks and disks with their chunks, and the
 * digests of what else is in the stream. */
#include "restore/diff_private.h"

#include "base/codec.h"
#include "format/digest.h"
#include "format/manifest.h"
#include "format/name.h"
#include "restore/inspect.h"

#include <stdio.h>
#include <string.h>

/* ---- the table ----------------------------------------------------------- */

static struct region *find_region(struct regions *r, const char *dir)
{
        for (size_t i = 0; i < r->count; i++) {
                size_t k = (r->last + i) % r->count;

                if (strcmp(r->list[k].dir, dir) == 0) {
                        r->last = k;
                        return &r->list[k];
                }
        }
        return NULL;
}

static bool add_region(struct regions *r, const char *name, const char *dir,
                       uint64_t size, bool ram, bool overlay, struct err *err)
{
        struct region *known = find_region(r, dir), *grown;

        if (!known) {
                grown = realloc(r->list, (r->count + 1) * sizeof *grown);
                if (!grown)
                        return err_nomem(err);
                r->list = grown;
                known = &grown[r->count];
                *known = (struct region){.ram = ram};
                known->told = calloc(1, sizeof *known->told);
                if (!known->told)
                        return err_nomem(err);
                snprintf(known->dir, sizeof known->dir, "%s", dir);
                r->count++;
                known->told->name = name;
        }
        known->told->present[r->side] = true;
        known->told->size[r->side] = size;
        known->side[r->side].overlay = overlay;
        return true;
}

static bool list_regions(struct regions *r, struct err *err)
{
        const json_t *manifest = r->d->state[r->side].manifest;
        const json_t *state = r->d->state[r->side].state;

        for (size_t i = 0; i < manifest_ram_blocks(manifest); i++) {
                struct ram_block_info b = manifest_ram_block(manifest, i);

                TRY(add_region(r, b.name, b.dir, b.size, true, false, err));
        }
        for (size_t i = 0; i < state_disks(state); i++) {
                struct disk_info disk = state_disk(state, i);

                TRY(add_region(r, disk.name, disk.dir, disk.size, false,
                               disk.overlay, err));
        }
        return true;
}

/* ---- the indexes --------------------------------------------------------- */

static bool corrupt(struct err *err, const char *why)
{
        return err_set(err, ERR_CORRUPT, "%s", why);
}

static bool add_piece(struct regions *r, const struct index_entry *e,
                      const struct name *n, struct err *err)
{
        struct region *region = find_region(r, n->dir);
        struct region_side *side;

        if (!region || !region->told->present[r->side])
                return corrupt(err, "of a disk that state.json does not know");
        if (e->stored_len > codec_bound(CHUNK_SIZE) ||
            (!n->zst && e->stored_len != e->raw_len) ||
            n->address % CHUNK_SIZE + e->raw_len > CHUNK_SIZE ||
            n->address % DIFF_SECTOR || n->address > LIMIT_DISK_BYTES)
                return corrupt(err, "a chunk that cannot be");
        side = &region->side[r->side];
        if (side->count == side->room) {
                size_t room = side->room ? 2 * side->room : 64;
                struct piece *grown =
                        realloc(side->pieces, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                side->pieces = grown;
                side->room = room;
        }
        side->pieces[side->count] = (struct piece){
                .address = n->address,
                .data_offset = e->data_offset,
                .stored_len = (uint32_t)e->stored_len,
                .raw_len = (uint32_t)e->raw_len,
                .zst = n->zst,
        };
        memcpy(side->pieces[side->count].digest, e->raw_digest, DIGEST_SIZE);
        side->count++;
        return true;
}

/* Without its number: "full.timer". */
static const char *item_name(const struct name *n)
{
        const char *dot = strchr(n->dir, '.');

        return dot ? dot + 1 : n->dir;
}

/* Told elsewhere: device sections, RAM, disks, the machine type. */
static bool is_other_item(const struct name *n)
{
        static const char *const kinds[] = {
                "full", "early", "header", "configuration", "command", "eof",
        };
        const char *idstr = strchr(item_name(n), '.');

        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (strcmp(n->kind, kinds[i]) == 0)
                        return false;
        return !idstr ||
               (strcmp(idstr, ".ram") != 0 && strcmp(idstr, ".block") != 0);
}

static bool add_item(struct regions *r, const struct index_entry *e,
                     const struct name *n, struct err *err)
{
        json_t *items = r->items[r->side], *digests;
        const char *name = item_name(n);
        char hex[DIGEST_HEX];

        if (!is_other_item(n))
                return true;
        digests = json_object_get(items, name);
        if (!digests) {
                digests = json_array();
                if (json_object_set_new(items, name, digests) != 0)
                        return err_nomem(err);
        }
        return json_array_append_new(
                       digests, json_string(digest_hex(e->raw_digest, hex))) ==
                       0 ||
               err_nomem(err);
}

static bool add_chunk(void *arg, const struct index_entry *e,
                      const struct name *n, struct err *err)
{
        struct regions *r = arg;

        return n->class == NAME_STREAM ? add_item(r, e, n, err)
                                       : add_piece(r, e, n, err);
}

static int by_address(const void *a, const void *b)
{
        const struct piece *p = a, *q = b;

        if (p->address != q->address)
                return p->address < q->address ? -1 : 1;
        return p->data_offset < q->data_offset
                       ? -1
                       : p->data_offset > q->data_offset;
}

/* Ascending; of RAM that came again the last, which stands last in the file. */
static bool arrange(struct region *region, struct region_side *s,
                    struct err *err)
{
        size_t n = 0;

        if (s->count)
                qsort(s->pieces, s->count, sizeof *s->pieces, by_address);
        for (size_t i = 0; i < s->count; i++) {
                if (n > 0 && s->pieces[n - 1].address == s->pieces[i].address &&
                    region->ram)
                        n--;
                if (n > 0 &&
                    s->pieces[n - 1].address + s->pieces[n - 1].raw_len >
                            s->pieces[i].address)
                        return corrupt(err, "chunks of a disk overlap");
                s->pieces[n++] = s->pieces[i];
        }
        s->count = n;
        return true;
}

static bool read_one(struct regions *r, struct err *err)
{
        struct inspection in = {0};
        bool ok = list_regions(r, err) &&
                  inspect_run(r->d->reader[r->side], add_chunk, r, &in, err);

        inspection_fini(&in);
        for (size_t i = 0; ok && i < r->count; i++)
                ok = arrange(&r->list[i], &r->list[i].side[r->side], err);
        return ok || err_in_file(err, r->d->in[r->side].name);
}

bool regions_read(struct regions *r, struct err *err)
{
        for (r->side = 0; r->side < 2; r->side++) {
                r->items[r->side] = json_object();
                if (!r->items[r->side])
                        return err_nomem(err);
                TRY(read_one(r, err));
        }
        return true;
}

void regions_fini(struct regions *r)
{
        for (size_t i = 0; i < r->count; i++) {
                for (int s = 0; s < 2; s++) {
                        free(r->list[i].side[s].pieces);
                        free(r->list[i].side[s].zeros.text);
                }
                free(r->list[i].told);
        }
        free(r->list);
        json_decref(r->items[0]);
        json_decref(r->items[1]);
}
