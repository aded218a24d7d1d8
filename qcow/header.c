/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Offsets, all big-endian (docs/interop/qcow2.txt of QEMU):
 *
 *    0  4  magic                    56  4  refcount_table_clusters
 *    4  4  version                  60  4  nb_snapshots
 *    8  8  backing_file_offset      64  8  snapshots_offset
 *   16  4  backing_file_size        72  8  incompatible_features  (version 3)
 *   20  4  cluster_bits             80  8  compatible_features
 *   24  8  size                     88  8  autoclear_features
 *   32  4  crypt_method             96  4  refcount_order
 *   36  4  l1_size                 100  4  header_length
 *   40  8  l1_table_offset         104  1  compression_type
 *   48  8  refcount_table_offset
 */
#include "qcow/header.h"

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/io.h"
#include "qcow/qcow2_format.h"

#include <stdlib.h>
#include <string.h>

struct fields {
        uint32_t magic, backing_size, crypt, refcount_clusters;
        uint64_t backing_offset;
        uint64_t incompatible, compatible, autoclear;
        uint32_t refcount_order, header_length;
        uint8_t compression;
};

void qcow2_header_fini(struct qcow2_header *h)
{
        free(h->backing_name);
        h->backing_name = NULL;
}

static bool features(struct cursor *c, struct fields *f)
{
        static const char *const names[] = {
                NULL, "it is marked corrupt: repair it with qemu-img check -r",
                "it keeps its data in an external file, which stasis does not "
                "read"};

        TRY(cursor_u64be(c, "incompatible_features", &f->incompatible));
        for (unsigned bit = 1; bit <= 2; bit++)
                if (f->incompatible >> bit & 1)
                        return cursor_bad(c, ERR_UNSUPPORTED, "%s", names[bit]);
        if (f->incompatible & ~QCOW2_INCOMPATIBLE)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "unknown incompatible features 0x%llx",
                                  (unsigned long long)(f->incompatible &
                                                       ~QCOW2_INCOMPATIBLE));
        TRY(cursor_u64be(c, "compatible_features", &f->compatible));
        return cursor_u64be(c, "autoclear_features", &f->autoclear);
}

static bool version3(struct cursor *c, struct qcow2_header *h, struct fields *f)
{
        f->header_length = QCOW2_V2_HEADER;
        if (h->version == 2)
                return true;
        TRY(features(c, f));
        TRY(cursor_u32be(c, "refcount_order", &f->refcount_order));
        if (f->refcount_order > 6)
                return cursor_bad(c, ERR_CORRUPT, "%u exceeds 6",
                                  f->refcount_order);
        TRY(cursor_u32be(c, "header_length", &f->header_length));
        if (f->header_length < QCOW2_V3_HEADER || f->header_length % 8 ||
            f->header_length > 1u << h->cluster_bits)
                return cursor_bad(c, ERR_CORRUPT, "%u", f->header_length);
        if (f->header_length > QCOW2_V3_HEADER)
                TRY(cursor_u8(c, "compression_type", &f->compression));
        if (f->compression > 1)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "unknown compression type %u",
                                  f->compression);
        if ((f->compression != 0) !=
            ((f->incompatible & QCOW2_COMPRESSION) != 0))
                return cursor_bad(c, ERR_CORRUPT,
                                  "does not agree with the features");
        h->zstd = f->compression == 1;
        h->extended_l2 = (f->incompatible & QCOW2_EXTENDED_L2) != 0;
        if (h->extended_l2 && h->cluster_bits < QCOW2_EXTENDED_BITS_MIN)
                return cursor_bad(c, ERR_CORRUPT,
                                  "extended L2 entries with clusters of %u "
                                  "bytes",
                                  1u << h->cluster_bits);
        return true;
}

/* A table of `bytes` at the offset just read: aligned, in the file. */
static bool table(struct cursor *c, const struct qcow2_header *h,
                  uint64_t offset, uint64_t bytes, uint64_t file_size)
{
        if (offset & ((1ull << h->cluster_bits) - 1))
                return cursor_bad(c, ERR_CORRUPT, "not at a cluster");
        if (bytes &&
            (offset == 0 || offset > file_size || bytes > file_size - offset))
                return cursor_bad(c, ERR_TRUNCATED,
                                  "0x%llx bytes at 0x%llx are not in the file "
                                  "of 0x%llx",
                                  (unsigned long long)bytes,
                                  (unsigned long long)offset,
                                  (unsigned long long)file_size);
        return true;
}

static bool sizes(struct cursor *c, struct qcow2_header *h, struct fields *f)
{
        TRY(cursor_u32be(c, "magic", &f->magic));
        if (f->magic != QCOW2_MAGIC)
                return cursor_bad(c, ERR_CORRUPT, "not a qcow2 image");
        TRY(cursor_u32be(c, "version", &h->version));
        if (h->version != 2 && h->version != 3)
                return cursor_bad(c, ERR_UNSUPPORTED, "version %u", h->version);
        TRY(cursor_u64be(c, "backing_file_offset", &f->backing_offset));
        TRY(cursor_u32be(c, "backing_file_size", &f->backing_size));
        TRY(cursor_u32be(c, "cluster_bits", &h->cluster_bits));
        if (h->cluster_bits < QCOW2_CLUSTER_BITS_MIN ||
            h->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
                return cursor_bad(c, ERR_CORRUPT, "%u", h->cluster_bits);
        TRY(cursor_u64be(c, "size", &h->size));
        if (h->size > INT64_MAX || h->size % 512)
                return cursor_bad(c, ERR_CORRUPT, "%llu is no disk's size",
                                  (unsigned long long)h->size);
        TRY(cursor_u32be(c, "crypt_method", &f->crypt));
        if (f->crypt)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "it is encrypted, which stasis cannot read");
        return true;
}

static bool tables(struct cursor *c, struct qcow2_header *h, struct fields *f,
                   uint64_t file_size)
{
        uint64_t cluster = 1ull << h->cluster_bits;

        TRY(cursor_u32be(c, "l1_size", &h->l1_entries));
        if (h->l1_entries > QCOW2_L1_BYTES_MAX / 8)
                return cursor_bad(c, ERR_LIMIT, "%u entries", h->l1_entries);
        TRY(cursor_u64be(c, "l1_table_offset", &h->l1_offset));
        TRY(table(c, h, h->l1_offset, h->l1_entries * 8ull, file_size));
        TRY(cursor_u64be(c, "refcount_table_offset", &h->refcount_offset));
        TRY(cursor_u32be(c, "refcount_table_clusters", &f->refcount_clusters));
        if (f->refcount_clusters > (8u << 20) / cluster)
                return cursor_bad(c, ERR_LIMIT, "%u", f->refcount_clusters);
        h->refcount_bytes = f->refcount_clusters * cluster;
        TRY(cursor_u32be(c, "nb_snapshots", &h->snapshots));
        if (h->snapshots > QCOW2_SNAPSHOTS_MAX)
                return cursor_bad(c, ERR_LIMIT, "%u snapshots", h->snapshots);
        TRY(cursor_u64be(c, "snapshots_offset", &h->snapshots_offset));
        return table(c, h, h->snapshots_offset, h->snapshots ? 1 : 0,
                     file_size);
}

/* The L1 table covers the disk. */
static bool check_l1(struct cursor *c, const struct qcow2_header *h)
{
        unsigned bits = h->cluster_bits - (h->extended_l2 ? 4 : 3);
        uint64_t covered = 1ull << (h->cluster_bits + bits);

        if (h->size / covered + (h->size % covered != 0) > h->l1_entries)
                return cursor_bad(c, ERR_CORRUPT,
                                  "the L1 table of %u entries is too small for "
                                  "the disk",
                                  h->l1_entries);
        return true;
}

static bool bitmaps(struct cursor *e, struct qcow2_header *h,
                    const struct fields *f, uint64_t file_size)
{
        uint32_t count;
        uint64_t bytes, offset;

        TRY(cursor_u32be(e, "nb_bitmaps", &count));
        TRY(cursor_zero(e, "reserved", 4));
        TRY(cursor_u64be(e, "bitmap_directory_size", &bytes));
        TRY(cursor_u64be(e, "bitmap_directory_offset", &offset));
        if (!(f->autoclear & QCOW2_BITMAPS_VALID))
                return true;
        if (count > QCOW2_BITMAPS_MAX || bytes > QCOW2_BITMAPS_BYTES)
                return cursor_bad(e, ERR_LIMIT, "too many bitmaps");
        TRY(table(e, h, offset, bytes, file_size));
        h->bitmaps = count;
        h->bitmaps_offset = offset;
        h->bitmaps_bytes = bytes;
        return true;
}

static bool extension(struct cursor *e, uint32_t type, uint32_t len,
                      struct qcow2_header *h, const struct fields *f,
                      uint64_t file_size)
{
        const uint8_t *bytes;

        switch (type) {
        case QCOW2_EXT_BACKING_FORMAT:
                if (len >= QCOW2_BACKING_FORMAT)
                        return cursor_bad(e, ERR_CORRUPT,
                                          "a backing format of %u bytes", len);
                TRY(cursor_view(e, "backing format", len, &bytes));
                memcpy(h->backing_format, bytes, len);
                h->backing_format[len] = '\0';
                return true;
        case QCOW2_EXT_BITMAPS:
                return bitmaps(e, h, f, file_size);
        case QCOW2_EXT_DATA_FILE:
                return cursor_bad(e, ERR_UNSUPPORTED,
                                  "it names an external data file");
        default:
                return true;
        }
}

static bool extensions(struct cursor *c, struct qcow2_header *h,
                       const struct fields *f, uint64_t file_size)
{
        for (;;) {
                uint32_t type, len;
                struct cursor e;

                /* A version 2 header may end with its cluster. */
                if (cursor_left(c) < 8)
                        return true;
                TRY(cursor_u32be(c, "extension type", &type));
                if (type == QCOW2_EXT_END)
                        return true;
                TRY(cursor_u32be(c, "extension length", &len));
                TRY(cursor_sub(c, "extension", len, &e));
                TRY(extension(&e, type, len, h, f, file_size));
                if (len % 8 && cursor_left(c) >= 8 - len % 8)
                        TRY(cursor_skip(c, "padding", 8 - len % 8));
        }
}

static bool backing(const uint8_t *cluster, size_t len, struct qcow2_header *h,
                    const struct fields *f, struct err *err)
{
        struct cursor c;
        const uint8_t *bytes;

        if (!f->backing_offset)
                return true;
        cursor_init(&c, cluster, len, 0, "header", err);
        TRY(cursor_skip(&c, "backing_file_offset", f->backing_offset));
        if (f->backing_size > QCOW2_BACKING_NAME_MAX || !f->backing_size)
                return cursor_bad(&c, ERR_CORRUPT,
                                  "a backing file's name of %u bytes",
                                  f->backing_size);
        TRY(cursor_view(&c, "backing file name", f->backing_size, &bytes));
        if (memchr(bytes, 0, f->backing_size))
                return cursor_bad(&c, ERR_CORRUPT, "a name with a NUL in it");
        h->backing_name = strndup((const char *)bytes, f->backing_size);
        return h->backing_name || err_nomem(err);
}

static bool decode(const uint8_t *cluster, size_t len, uint64_t file_size,
                   struct qcow2_header *h, struct err *err)
{
        struct fields f = {.refcount_order = 4};
        size_t end = len;
        struct cursor c;

        cursor_init(&c, cluster, len, 0, "header", err);
        TRY(sizes(&c, h, &f));
        TRY(tables(&c, h, &f, file_size));
        TRY(version3(&c, h, &f));
        TRY(check_l1(&c, h));
        if (f.backing_offset && f.backing_offset < end)
                end = (size_t)f.backing_offset;
        if (end > f.header_length) {
                cursor_init(&c, cluster + f.header_length,
                            end - f.header_length, f.header_length,
                            "header extensions", err);
                TRY(extensions(&c, h, &f, file_size));
        }
        return backing(cluster, len, h, &f, err);
}

bool qcow2_header_read(int fd, const char *name, uint64_t file_size,
                       struct qcow2_header *out, struct err *err)
{
        struct qcow2_header h = {0};
        CLEANUP_FREE uint8_t *cluster = NULL;
        size_t len = 1u << QCOW2_CLUSTER_BITS_MAX;
        bool ok;

        /* Header, extensions and name lie in the first cluster. */
        if (len > file_size)
                len = (size_t)file_size;
        cluster = malloc(len + 1);
        if (!cluster)
                return err_nomem(err);
        TRY(io_pread_all(fd, cluster, len, 0, name, err));
        if (len >= 24 && cluster[20] == 0 && cluster[21] == 0 &&
            cluster[22] == 0 && cluster[23] < 16 && cluster[23] >= 9 &&
            len > (size_t)1 << cluster[23])
                len = (size_t)1 << cluster[23];
        ok = decode(cluster, len, file_size, &h, err);
        if (!ok) {
                qcow2_header_fini(&h);
                return err_in_file(err, name);
        }
        *out = h;
        return true;
}
