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

#define SNAPSHOT_MIN 40u
#define BITMAP_MIN   24u

static bool text(struct cursor *c, const char *field, uint64_t len, char **out)
{
        const uint8_t *bytes;

        TRY(cursor_view(c, field, len, &bytes));
        if (memchr(bytes, 0, (size_t)len))
                return cursor_bad(c, ERR_CORRUPT, "a name with a NUL in it");
        *out = strndup((const char *)bytes, (size_t)len);
        return *out || err_nomem(c->err);
}

/* To the next multiple of 8 of the table. */
static bool align(struct cursor *c)
{
        size_t odd = c->pos % 8;

        return !odd || cursor_left(c) < 8 - odd ||
               cursor_skip(c, "padding", 8 - odd);
}

static bool snapshot_extra(struct cursor *c, uint32_t len, uint64_t disk_size,
                           struct image_snapshot *s)
{
        struct cursor e;

        s->disk_size = disk_size;
        if (len > QCOW2_SNAPSHOT_EXTRA)
                return cursor_bad(c, ERR_LIMIT, "%u bytes", len);
        TRY(cursor_sub(c, "extra", len, &e));
        if (len >= 8)
                TRY(cursor_u64be(&e, "vm_state_size", &s->vm_state_size));
        if (len >= 16)
                TRY(cursor_u64be(&e, "disk_size", &s->disk_size));
        if (s->disk_size > INT64_MAX)
                return cursor_bad(&e, ERR_CORRUPT, "no disk's size");
        return true;
}

static bool snapshot(struct cursor *c, const struct qcow2_header *h,
                     uint64_t file_size, struct extra_snapshot *out)
{
        struct image_snapshot *s = &out->shown;
        uint16_t id_len, name_len;
        uint32_t state, extra;

        TRY(cursor_u64be(c, "l1_table_offset", &out->l1_offset));
        TRY(cursor_u32be(c, "l1_size", &out->l1_entries));
        if (out->l1_entries > QCOW2_L1_BYTES_MAX / 8)
                return cursor_bad(c, ERR_LIMIT, "%u entries", out->l1_entries);
        if (out->l1_offset > file_size ||
            out->l1_entries * 8ull > file_size - out->l1_offset)
                return cursor_bad(c, ERR_TRUNCATED,
                                  "its L1 table is not in the file");
        TRY(cursor_u16be(c, "id_len", &id_len));
        TRY(cursor_u16be(c, "name_len", &name_len));
        TRY(cursor_u32be(c, "date_sec", &s->date_sec));
        TRY(cursor_u32be(c, "date_nsec", &s->date_nsec));
        TRY(cursor_u64be(c, "vm_clock_nsec", &s->vm_clock_ns));
        TRY(cursor_u32be(c, "vm_state_size", &state));
        s->vm_state_size = state;
        TRY(cursor_u32be(c, "extra_len", &extra));
        TRY(snapshot_extra(c, extra, h->size, s));
        TRY(text(c, "id", id_len, (char **)(uintptr_t)&s->id));
        TRY(text(c, "name", name_len, (char **)(uintptr_t)&s->name));
        return align(c);
}

/* All of a table that does not tell its length: what the file has, up to a
 * limit. */
static bool load(int fd, const char *name, uint64_t offset, uint64_t max,
                 uint64_t file_size, uint8_t **out, size_t *len_out,
                 struct err *err)
{
        uint64_t len = file_size - offset;

        if (len > max)
                len = max;
        *out = malloc((size_t)len + 1);
        if (!*out)
                return err_nomem(err);
        *len_out = (size_t)len;
        return io_pread_all(fd, *out, (size_t)len, offset, name, err);
}

static bool snapshots(int fd, const char *name, const struct qcow2_header *h,
                      uint64_t file_size, struct extra *out, struct err *err)
{
        CLEANUP_FREE uint8_t *bytes = NULL;
        struct cursor c;
        size_t len = 0;

        if (!h->snapshots)
                return true;
        TRY(load(fd, name, h->snapshots_offset, QCOW2_SNAPSHOTS_BYTES,
                 file_size, &bytes, &len, err));
        if (h->snapshots > len / SNAPSHOT_MIN)
                return err_set(err, ERR_TRUNCATED,
                               "%u internal snapshots are not in the file",
                               h->snapshots);
        out->snapshots = calloc(h->snapshots, sizeof *out->snapshots);
        if (!out->snapshots)
                return err_nomem(err);
        cursor_init(&c, bytes, len, h->snapshots_offset, "internal snapshots",
                    err);
        while (out->snapshot_count < h->snapshots)
                if (!snapshot(&c, h, file_size,
                              &out->snapshots[out->snapshot_count++]))
                        return false;
        return true;
}

static bool bitmap(struct cursor *c, char **name_out)
{
        uint16_t name_len;
        uint32_t extra;

        TRY(cursor_skip(c, "table, flags, type", 18));
        TRY(cursor_u16be(c, "name_size", &name_len));
        TRY(cursor_u32be(c, "extra_data_size", &extra));
        TRY(cursor_skip(c, "extra data", extra));
        TRY(text(c, "name", name_len, name_out));
        return align(c);
}

static bool bitmaps(int fd, const char *name, const struct qcow2_header *h,
                    uint64_t file_size, struct extra *out, struct err *err)
{
        CLEANUP_FREE uint8_t *bytes = NULL;
        struct cursor c;
        size_t len = 0;

        if (!h->bitmaps)
                return true;
        TRY(load(fd, name, h->bitmaps_offset, h->bitmaps_bytes, file_size,
                 &bytes, &len, err));
        if (h->bitmaps > len / BITMAP_MIN)
                return err_set(err, ERR_CORRUPT,
                               "%u bitmaps in a directory of %zu bytes",
                               h->bitmaps, len);
        out->bitmaps = calloc(h->bitmaps, sizeof *out->bitmaps);
        if (!out->bitmaps)
                return err_nomem(err);
        cursor_init(&c, bytes, len, h->bitmaps_offset, "bitmap directory", err);
        while (out->bitmap_count < h->bitmaps)
                if (!bitmap(&c, &out->bitmaps[out->bitmap_count++]))
                        return false;
        return true;
}

bool extra_read(int fd, const char *name, const struct qcow2_header *h,
                uint64_t file_size, struct extra *out, struct err *err)
{
        *out = (struct extra){0};
        return snapshots(fd, name, h, file_size, out, err) &&
               bitmaps(fd, name, h, file_size, out, err);
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
