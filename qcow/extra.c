/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An entry of the table of snapshots, at a multiple of 8 (big-endian):
 *
 *    0  8  l1_table_offset      24  8  vm_clock_nsec
 *    8  4  l1_size              32  4  vm_state_size
 *   12  2  id_len               36  4  extra_len, at most 1024
 *   14  2  name_len             40     extra: u64 vm_state_size, u64 disk_size,
 *   16  4  date_sec                    u64 icount; then id, name
 *   20  4  date_nsec
 *
 * An entry of the directory of bitmaps, at a multiple of 8:
 *
 *    0  8  table_offset          16  1  type
 *    8  4  table_size            17  1  granularity_bits
 *   12  4  flags                 18  2  name_len
 *                                20  4  extra_len; then extra, name
 */
#include "qcow/extra.h"

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/io.h"
#include "qcow/qcow2_format.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_HEAD 40u
#define BITMAP_HEAD   24u

static bool text(struct cursor *c, const char *field, uint64_t len, char **out)
{
        const uint8_t *bytes;

        TRY(cursor_view(c, field, len, &bytes));
        if (memchr(bytes, 0, (size_t)len))
                return cursor_bad(c, ERR_CORRUPT, "a name with a NUL in it");
        *out = strndup((const char *)bytes, (size_t)len);
        return *out || err_nomem(c->err);
}

static uint64_t aligned(uint64_t n)
{
        return (n + 7) / 8 * 8;
}

/* ---- snapshots ----------------------------------------------------------- */

struct lengths {
        uint16_t id, name;
        uint32_t extra;
};

static bool snapshot_head(struct cursor *c, const struct qcow2_header *h,
                          uint64_t file_size, struct extra_snapshot *out,
                          struct lengths *len)
{
        uint64_t cluster = 1ull << h->cluster_bits;
        struct image_snapshot *s = &out->shown;
        uint32_t state;

        TRY(cursor_u64be(c, "l1_table_offset", &out->l1_offset));
        if (out->l1_offset & (cluster - 1))
                return cursor_bad(c, ERR_CORRUPT, "not at a cluster");
        TRY(cursor_u32be(c, "l1_size", &out->l1_entries));
        if (out->l1_entries > QCOW2_L1_BYTES_MAX / 8)
                return cursor_bad(c, ERR_LIMIT, "%u entries", out->l1_entries);
        if (out->l1_offset > file_size ||
            out->l1_entries * 8ull > file_size - out->l1_offset)
                return cursor_bad(c, ERR_TRUNCATED,
                                  "its L1 table is not in the file");
        TRY(cursor_u16be(c, "id_len", &len->id));
        TRY(cursor_u16be(c, "name_len", &len->name));
        TRY(cursor_u32be(c, "date_sec", &s->date_sec));
        TRY(cursor_u32be(c, "date_nsec", &s->date_nsec));
        TRY(cursor_u64be(c, "vm_clock_nsec", &s->vm_clock_ns));
        TRY(cursor_u32be(c, "vm_state_size", &state));
        s->vm_state_size = state;
        s->disk_size = h->size;
        TRY(cursor_u32be(c, "extra_len", &len->extra));
        if (len->extra > QCOW2_SNAPSHOT_EXTRA)
                return cursor_bad(c, ERR_LIMIT, "%u bytes", len->extra);
        return true;
}

/* The VM state begins where the first L2 table begins that the disk does not
 * need, and is as far as the snapshot's L1 table reaches. */
static bool place_vm_state(struct cursor *c, const struct qcow2_header *h,
                           struct extra_snapshot *s)
{
        unsigned shift = 2 * h->cluster_bits - (h->extended_l2 ? 4 : 3);
        uint64_t covered = (uint64_t)s->l1_entries << shift, begin;

        if (s->shown.disk_size > INT64_MAX)
                return cursor_bad(c, ERR_CORRUPT, "%llu is no disk's size",
                                  (unsigned long long)s->shown.disk_size);
        begin = (s->shown.disk_size + (1ull << shift) - 1) >> shift << shift;
        s->vm_state_at = begin;
        if (s->shown.vm_state_size &&
            (begin > covered || s->shown.vm_state_size > covered - begin))
                return cursor_bad(c, ERR_CORRUPT,
                                  "a VM state of %llu bytes is more than its "
                                  "L1 table reaches",
                                  (unsigned long long)s->shown.vm_state_size);
        return true;
}

static bool snapshot_rest(struct cursor *c, const struct qcow2_header *h,
                          const struct lengths *len, struct extra_snapshot *out)
{
        struct image_snapshot *s = &out->shown;
        struct cursor e;

        TRY(cursor_sub(c, "extra", len->extra, &e));
        if (len->extra >= 8)
                TRY(cursor_u64be(&e, "vm_state_size", &s->vm_state_size));
        if (len->extra >= 16)
                TRY(cursor_u64be(&e, "disk_size", &s->disk_size));
        TRY(place_vm_state(&e, h, out));
        TRY(text(c, "id", len->id, (char **)(uintptr_t)&s->id));
        return text(c, "name", len->name, (char **)(uintptr_t)&s->name);
}

/* The entry at `at`; *next: where the one behind it is. */
static bool snapshot(const struct map_place *p, uint64_t at,
                     struct extra_snapshot *out, uint64_t *next,
                     struct err *err)
{
        static const char section[] = "internal snapshots";
        uint8_t head[SNAPSHOT_HEAD];
        CLEANUP_FREE uint8_t *rest = NULL;
        struct lengths len;
        struct cursor c;
        size_t bytes;

        TRY(io_pread_all(p->fd, head, sizeof head, at, p->name, err));
        cursor_init(&c, head, sizeof head, at, section, err);
        TRY(snapshot_head(&c, p->h, p->file_size, out, &len));
        bytes = (size_t)len.extra + len.id + len.name;
        rest = malloc(bytes + 1);
        if (!rest)
                return err_nomem(err);
        at += sizeof head;
        TRY(io_pread_all(p->fd, rest, bytes, at, p->name, err));
        cursor_init(&c, rest, bytes, at, section, err);
        *next = aligned(at + bytes);
        return snapshot_rest(&c, p->h, &len, out);
}

/* The table does not tell its length. */
static bool snapshots(const struct map_place *p, struct extra *out,
                      struct err *err)
{
        uint64_t begin = p->h->snapshots_offset, at = begin;

        if (!p->h->snapshots)
                return true;
        if (p->h->snapshots > (p->file_size - begin) / SNAPSHOT_HEAD)
                return err_set(err, ERR_TRUNCATED,
                               "%u internal snapshots are not in the file",
                               p->h->snapshots);
        out->snapshots = calloc(p->h->snapshots, sizeof *out->snapshots);
        if (!out->snapshots)
                return err_nomem(err);
        while (out->snapshot_count < p->h->snapshots) {
                TRY(snapshot(p, at, &out->snapshots[out->snapshot_count++], &at,
                             err));
                if (at - begin > QCOW2_SNAPSHOTS_BYTES) {
                        err_set(err, ERR_LIMIT,
                                "a table of internal snapshots of more than "
                                "%u bytes",
                                QCOW2_SNAPSHOTS_BYTES);
                        return err_at(err, begin);
                }
        }
        out->snapshots_bytes = at - begin;
        if (out->snapshots_bytes > p->file_size - begin)
                out->snapshots_bytes = p->file_size - begin;
        return true;
}

/* ---- bitmaps ------------------------------------------------------------- */

/* *name_out stays NULL where the bitmap is in use: it was not stored when its
 * user ended. */
static bool bitmap(struct cursor *c, char **name_out)
{
        CLEANUP_FREE char *name = NULL;
        uint32_t flags, extra;
        uint16_t name_len;
        size_t odd;

        TRY(cursor_skip(c, "bitmap_table", 12));
        TRY(cursor_u32be(c, "flags", &flags));
        TRY(cursor_skip(c, "type, granularity_bits", 2));
        TRY(cursor_u16be(c, "name_size", &name_len));
        TRY(cursor_u32be(c, "extra_data_size", &extra));
        TRY(cursor_skip(c, "extra data", extra));
        TRY(text(c, "name", name_len, &name));
        odd = c->pos % 8;
        if (odd && cursor_left(c) >= 8 - odd)
                TRY(cursor_skip(c, "padding", 8 - odd));
        if (!(flags & QCOW2_BITMAP_IN_USE))
                *name_out = steal(name);
        return true;
}

static bool bitmaps(const struct map_place *p, struct extra *out,
                    struct err *err)
{
        size_t len = (size_t)p->h->bitmaps_bytes;
        CLEANUP_FREE uint8_t *bytes = NULL;
        struct cursor c;

        if (p->h->bitmaps > len / BITMAP_HEAD)
                return err_set(err, ERR_CORRUPT,
                               "%u bitmaps in a directory of %zu bytes",
                               p->h->bitmaps, len);
        bytes = malloc(len + 1);
        out->bitmaps = calloc(p->h->bitmaps + 1ull, sizeof *out->bitmaps);
        if (!bytes || !out->bitmaps)
                return err_nomem(err);
        TRY(io_pread_all(p->fd, bytes, len, p->h->bitmaps_offset, p->name,
                         err));
        cursor_init(&c, bytes, len, p->h->bitmaps_offset, "bitmap directory",
                    err);
        for (uint32_t i = 0; i < p->h->bitmaps; i++) {
                char **name = &out->bitmaps[out->bitmap_count];

                TRY(bitmap(&c, name));
                out->bitmap_count += *name != NULL;
        }
        return true;
}

bool extra_read(const struct map_place *place, struct extra *out,
                struct err *err)
{
        *out = (struct extra){0};
        return snapshots(place, out, err) &&
               (!place->h->bitmaps || bitmaps(place, out, err));
}

void extra_fini(struct extra *e)
{
        for (size_t i = 0; i < e->snapshot_count; i++) {
                free((char *)(uintptr_t)e->snapshots[i].shown.id);
                free((char *)(uintptr_t)e->snapshots[i].shown.name);
        }
        for (size_t i = 0; i < e->bitmap_count; i++)
                free(e->bitmaps[i]);
        free(e->snapshots);
        free(e->bitmaps);
        *e = (struct extra){0};
}
