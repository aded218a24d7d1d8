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
#include "base/text.h"
#include "qcow/qcow2_format.h"

#include <stdlib.h>
#include <string.h>

/* What a reader of any qcow2 image needs to see. */
#define HEADER_READ 112u

/* What is checked against the rest of the first cluster. */
struct fields {
        uint64_t backing_offset;
        uint32_t backing_size;
        uint32_t header_length;
        uint64_t incompatible, autoclear;
};

void qcow2_header_fini(struct qcow2_header *h)
{
        free(h->backing_name);
        h->backing_name = NULL;
}

static bool corrupt_or_elsewhere(struct cursor *c, uint64_t features)
{
        if (features & QCOW2_CORRUPT)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "it is marked corrupt: qemu-img check -r "
                                  "repairs it");
        if (features & QCOW2_DATA_FILE)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "it keeps its data in an external file, "
                                  "which stasis does not read");
        return true;
}

static bool version3(struct cursor *c, struct qcow2_header *h, struct fields *f)
{
        uint64_t compatible;
        uint32_t refcount_order;
        uint8_t compression = 0;

        TRY(cursor_u64be(c, "incompatible_features", &f->incompatible));
        TRY(corrupt_or_elsewhere(c, f->incompatible));
        h->extended_l2 = (f->incompatible & QCOW2_EXTENDED_L2) != 0;
        if (h->extended_l2 && h->cluster_bits < QCOW2_EXTENDED_BITS_MIN)
                return cursor_bad(c, ERR_CORRUPT,
                                  "extended L2 entries with clusters of %u "
                                  "bytes",
                                  1u << h->cluster_bits);
        TRY(cursor_u64be(c, "compatible_features", &compatible));
        TRY(cursor_u64be(c, "autoclear_features", &f->autoclear));
        TRY(cursor_u32be(c, "refcount_order", &refcount_order));
        if (refcount_order > 6)
                return cursor_bad(c, ERR_CORRUPT, "%u exceeds 6",
                                  refcount_order);
        TRY(cursor_u32be(c, "header_length", &f->header_length));
        if (f->header_length < QCOW2_V3_HEADER || f->header_length % 8 ||
            f->header_length > 1u << h->cluster_bits)
                return cursor_bad(c, ERR_CORRUPT, "%u", f->header_length);
        if (f->header_length > QCOW2_V3_HEADER)
                TRY(cursor_u8(c, "compression_type", &compression));
        if (compression > 1)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "unknown compression type %u", compression);
        if ((compression != 0) != ((f->incompatible & QCOW2_COMPRESSION) != 0))
                return cursor_bad(c, ERR_CORRUPT,
                                  "%u does not agree with "
                                  "incompatible_features",
                                  compression);
        h->zstd = compression == 1;
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
        uint32_t magic, crypt;

        TRY(cursor_u32be(c, "magic", &magic));
        if (magic != QCOW2_MAGIC)
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
        TRY(cursor_u32be(c, "crypt_method", &crypt));
        if (crypt)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "it is encrypted, which stasis cannot read");
        return true;
}

static bool tables(struct cursor *c, struct qcow2_header *h, uint64_t file_size)
{
        uint64_t cluster = 1ull << h->cluster_bits;
        uint32_t refcount_clusters;

        TRY(cursor_u32be(c, "l1_size", &h->l1_entries));
        if (h->l1_entries > QCOW2_L1_BYTES_MAX / 8)
                return cursor_bad(c, ERR_LIMIT, "%u entries", h->l1_entries);
        TRY(cursor_u64be(c, "l1_table_offset", &h->l1_offset));
        TRY(table(c, h, h->l1_offset, h->l1_entries * 8ull, file_size));
        TRY(cursor_u64be(c, "refcount_table_offset", &h->refcount_offset));
        TRY(cursor_u32be(c, "refcount_table_clusters", &refcount_clusters));
        if (refcount_clusters > QCOW2_REFTABLE_MAX / cluster)
                return cursor_bad(c, ERR_LIMIT, "%u", refcount_clusters);
        h->refcount_bytes = refcount_clusters * cluster;
        TRY(table(c, h, h->refcount_offset, h->refcount_bytes, file_size));
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
        if (count > QCOW2_BITMAPS_MAX)
                return cursor_bad(e, ERR_LIMIT, "%u bitmaps", count);
        TRY(cursor_zero(e, "reserved", 4));
        TRY(cursor_u64be(e, "bitmap_directory_size", &bytes));
        if (bytes > QCOW2_BITMAPS_BYTES)
                return cursor_bad(e, ERR_LIMIT, "%llu bytes",
                                  (unsigned long long)bytes);
        TRY(cursor_u64be(e, "bitmap_directory_offset", &offset));
        /* Stale: somebody wrote who does not know bitmaps. */
        if (!(f->autoclear & QCOW2_BITMAPS_VALID))
                return true;
        TRY(table(e, h, offset, bytes, file_size));
        h->bitmaps = count;
        h->bitmaps_offset = offset;
        h->bitmaps_bytes = bytes;
        return cursor_done(e);
}

/* The name that the image itself has for an incompatible feature. */
static bool feature_name(struct cursor *e, unsigned wanted, char out[200])
{
        while (cursor_left(e) >= 48) {
                uint8_t kind, bit;
                const uint8_t *bytes;
                char name[47] = "";

                TRY(cursor_u8(e, "feature type", &kind));
                TRY(cursor_u8(e, "feature bit", &bit));
                TRY(cursor_view(e, "feature name", 46, &bytes));
                memcpy(name, bytes, 46);
                if (kind == 0 && bit == wanted)
                        text_escape(name, out, 200);
        }
        return true;
}

struct extensions {
        const struct fields *f;
        uint64_t file_size;
        unsigned unknown; /* the lowest incompatible feature not known */
        char unknown_name[200];
};

static bool extension(struct cursor *e, uint32_t type, uint32_t len,
                      struct qcow2_header *h, struct extensions *x)
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
                return bitmaps(e, h, x->f, x->file_size);
        case QCOW2_EXT_FEATURE_NAMES:
                return feature_name(e, x->unknown, x->unknown_name);
        default:
                return true;
        }
}

static bool extensions(struct cursor *c, struct qcow2_header *h,
                       struct extensions *x)
{
        for (;;) {
                uint32_t type, len;
                struct cursor e;

                /* Where the backing file's name begins they may just end. */
                if (cursor_left(c) < 8)
                        return true;
                TRY(cursor_u32be(c, "extension type", &type));
                if (type == QCOW2_EXT_END)
                        return true;
                TRY(cursor_u32be(c, "extension length", &len));
                TRY(cursor_sub(c, "extension", len, &e));
                TRY(extension(&e, type, len, h, x));
                if (len % 8 && cursor_left(c) >= 8 - len % 8)
                        TRY(cursor_skip(c, "padding", 8 - len % 8));
        }
}

static bool known_features(const struct fields *f, const struct extensions *x,
                           struct err *err)
{
        if (!(f->incompatible & ~QCOW2_INCOMPATIBLE))
                return true;
        err_set(err, ERR_UNSUPPORTED, "unknown incompatible feature %u%s%s%s",
                x->unknown, x->unknown_name[0] ? " (" : "", x->unknown_name,
                x->unknown_name[0] ? ")" : "");
        err_in_section(err, "header");
        return err_at(err, 72);
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

/* Of the first cluster. */
static bool decode_rest(const uint8_t *cluster, size_t len,
                        const struct fields *f, uint64_t file_size,
                        struct qcow2_header *h, struct err *err)
{
        struct extensions x = {.f = f, .file_size = file_size};
        uint64_t unknown = f->incompatible & ~QCOW2_INCOMPATIBLE;
        size_t end = len;
        struct cursor c;

        if (unknown)
                x.unknown = (unsigned)__builtin_ctzll(unknown);
        if (f->backing_offset && f->backing_offset < end)
                end = (size_t)f->backing_offset;
        cursor_init(&c, cluster, end, 0, "header extensions", err);
        if (end > f->header_length) {
                TRY(cursor_skip(&c, "header", f->header_length));
                TRY(extensions(&c, h, &x));
        }
        return known_features(f, &x, err) && backing(cluster, len, h, f, err);
}

/* Up to 112 bytes; later versions' fields behind them are not ours to judge. */
static bool decode(const uint8_t *bytes, size_t len, struct qcow2_header *h,
                   struct fields *f, uint64_t file_size, struct err *err)
{
        struct cursor c, later;

        cursor_init(&c, bytes, len, 0, "header", err);
        TRY(sizes(&c, h, f));
        /* What incompatible features say comes before what they may change. */
        later = c;
        f->header_length = QCOW2_V2_HEADER;
        if (h->version > 2) {
                TRY(cursor_skip(&later, "header", QCOW2_V2_HEADER - c.pos));
                TRY(version3(&later, h, f));
                /* Refused when the image has been asked for its name. */
                if (f->incompatible & ~QCOW2_INCOMPATIBLE)
                        return true;
        }
        return tables(&c, h, file_size) && check_l1(&c, h);
}

static bool read_header(int fd, const char *name, uint64_t file_size,
                        struct qcow2_header *h, struct err *err)
{
        size_t len = file_size < HEADER_READ ? (size_t)file_size : HEADER_READ;
        CLEANUP_FREE uint8_t *cluster = NULL;
        uint8_t first[HEADER_READ];
        struct fields f = {0};

        TRY(io_pread_all(fd, first, len, 0, name, err));
        TRY(decode(first, len, h, &f, file_size, err));
        len = (size_t)1 << h->cluster_bits;
        if (len > file_size)
                len = (size_t)file_size;
        cluster = malloc(len);
        if (!cluster)
                return err_nomem(err);
        TRY(io_pread_all(fd, cluster, len, 0, name, err));
        return decode_rest(cluster, len, &f, file_size, h, err);
}

bool qcow2_header_read(int fd, const char *name, uint64_t file_size,
                       struct qcow2_header *out, struct err *err)
{
        struct qcow2_header h = {0};

        if (!read_header(fd, name, file_size, &h, err)) {
                qcow2_header_fini(&h);
                return err_in_file(err, name);
        }
        *out = h;
        return true;
}
