/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file, in clusters: the header's, then data and L2 tables as they come
 * (ranges ascend, so an L2 table is complete when the next one begins), then
 * L1 table, refcount blocks, refcount table.  (QEMU: docs/interop/qcow2.txt)
 *
 * Invariants: clusters [0, used) are taken, each exactly once, so that every
 * refcount is 1; what is not written of them is a hole and reads as zeros.
 * Tables are kept as the file has them, big-endian.
 */
#include "qcow/writer.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/emit.h"
#include "base/io.h"
#include "base/limits.h"

#define HEADER_LENGTH      104
#define HEADER_ROOM        2048 /* header, extensions, the longest name */
#define EXTENSION_FORMAT   0xe2792acaU
#define BACKING_NAME_MAX   1023
#define L1_BYTES_MAX       (32 * MiB)
#define REFCOUNT_TABLE_MAX (8 * MiB)
#define REFCOUNT_ORDER     4            /* 16 bits */
#define ENTRY_COPIED       (1ULL << 63) /* refcount is 1 */
#define ENTRY_ZERO         1ULL
#define NO_TABLE           UINT64_MAX
#define NO_CLUSTER         UINT64_MAX
#define WRITEBACK_STEP     (16 * MiB)

struct qcow2_writer {
        int fd;
        char *name;
        uint64_t size;
        uint32_t cluster, cluster_bits, l2_entries;
        uint8_t header[HEADER_ROOM]; /* all but where tables are             */
        size_t header_len;
        uint64_t next; /* no range may begin before                          */
        uint64_t used; /* clusters of the file                               */
        uint64_t sent; /* bytes of the file on their way to the disk         */
        uint64_t *l1, l1_entries;
        uint64_t *l2, l2_at; /* the table of L1 entry l2_at, or NO_TABLE     */
        uint32_t l2_first, l2_end; /* its entries in use                     */
        /* Without a backing file: a guest's cluster that is not complete, and
         * which one (or NO_CLUSTER).  With one: NULL. */
        uint8_t *partial;
        uint64_t partial_at;
};

static uint64_t ceil_div(uint64_t n, uint64_t by)
{
        return n / by + (n % by != 0);
}

static bool fail(const struct qcow2_writer *w, enum status status,
                 const char *why, struct err *err)
{
        err_set(err, status, "%s", why);
        return err_in_file(err, w->name);
}

/* ---- the header ------------------------------------------------------- */

static void emit_header(struct emit *e, const struct qcow2_writer *w,
                        uint64_t name_offset, size_t name_len)
{
        emit_bytes(e, "QFI\xfb", 4);
        emit_u32be(e, 3);
        emit_u64be(e, name_offset);
        emit_u32be(e, (uint32_t)name_len);
        emit_u32be(e, w->cluster_bits);
        emit_u64be(e, w->size);
        emit_u32be(e, 0); /* crypt_method */
        emit_u32be(e, (uint32_t)w->l1_entries);
        emit_zero(e,
                  8 + 8 + 4); /* l1_table, refcount_table: see place_tables */
        emit_u32be(e, 0);     /* nb_snapshots */
        emit_u64be(e, 0);     /* snapshots_offset */
        emit_u64be(e, 0);     /* incompatible_features */
        emit_u64be(e, 0);     /* compatible_features */
        emit_u64be(e, 0);     /* autoclear_features */
        emit_u32be(e, REFCOUNT_ORDER);
        emit_u32be(e, HEADER_LENGTH);
        assert(e->len == HEADER_LENGTH);
}

static bool make_header(struct qcow2_writer *w,
                        const struct qcow2_writer_options *o, struct err *err)
{
        size_t name_len = o->backing_name ? strlen(o->backing_name) : 0;
        size_t format_len = name_len ? strlen(o->backing_format) : 0;
        size_t extension = name_len ? 8 + (format_len + 7) / 8 * 8 : 0;
        size_t name_at = HEADER_LENGTH + extension + 8;
        struct emit e;

        assert(format_len < 16);
        if (name_len > BACKING_NAME_MAX || name_at + name_len > w->cluster) {
                err_set(err, ERR_LIMIT,
                        "a backing name of %zu bytes does not fit a header of "
                        "%u bytes",
                        name_len, w->cluster);
                return err_in_file(err, w->name);
        }
        emit_init(&e, w->header, sizeof w->header);
        emit_header(&e, w, name_len ? name_at : 0, name_len);
        if (name_len) {
                emit_u32be(&e, EXTENSION_FORMAT);
                emit_u32be(&e, (uint32_t)format_len);
                emit_bytes(&e, o->backing_format, format_len);
                emit_zero(&e, extension - 8 - format_len);
        }
        emit_zero(&e, 8); /* end of extensions */
        if (name_len)
                emit_bytes(&e, o->backing_name, name_len);
        w->header_len = e.len;
        return true;
}

static void place_tables(struct qcow2_writer *w, uint64_t l1_offset,
                         uint64_t refcount_offset, uint64_t refcount_clusters)
{
        struct emit e;

        emit_init(&e, w->header + 40, 8 + 8 + 4);
        emit_u64be(&e, l1_offset);
        emit_u64be(&e, refcount_offset);
        emit_u32be(&e, (uint32_t)refcount_clusters);
}

/* ---- making one ------------------------------------------------------- */

static bool has_backing(const struct qcow2_writer_options *o)
{
        return o->backing_name && o->backing_name[0];
}

static bool check_options(const struct qcow2_writer *w,
                          const struct qcow2_writer_options *o, struct err *err)
{
        uint32_t c = o->cluster_size;

        if (c < 512 || c > 2 * MiB || (c & (c - 1)) != 0)
                return fail(w, ERR_CORRUPT, "not a cluster size of qcow2", err);
        if (o->size % 512 != 0)
                return fail(w, ERR_CORRUPT,
                            "a disk's size is a multiple of 512", err);
        /* An entry of the L1 table stands for c / 8 clusters. */
        if (ceil_div(o->size, (uint64_t)c * (c / 8)) > L1_BYTES_MAX / 8) {
                err_set(err, ERR_LIMIT,
                        "a disk of %llu bytes needs clusters of more than %u "
                        "bytes",
                        (unsigned long long)o->size, c);
                return err_in_file(err, w->name);
        }
        return true;
}

static bool set_up(struct qcow2_writer *w, const char *name,
                   const struct qcow2_writer_options *o, struct err *err)
{
        w->name = strdup(name);
        if (!w->name)
                return err_nomem(err);
        TRY(check_options(w, o, err));
        w->size = o->size;
        w->cluster = o->cluster_size;
        w->cluster_bits = (uint32_t)__builtin_ctz(w->cluster);
        w->l2_entries = w->cluster / 8;
        w->l1_entries = ceil_div(w->size, (uint64_t)w->cluster * w->l2_entries);
        /* QEMU's check counts no cluster for a table without entries. */
        if (w->l1_entries == 0)
                w->l1_entries = 1;
        TRY(make_header(w, o, err));
        w->l1 = calloc(w->l1_entries, sizeof *w->l1);
        w->l2 = calloc(w->l2_entries, sizeof *w->l2);
        w->partial = has_backing(o) ? NULL : malloc(w->cluster);
        if (!w->l1 || !w->l2 || (!w->partial && !has_backing(o)))
                return err_nomem(err);
        return true;
}

bool qcow2_writer_new(int fd, const char *name,
                      const struct qcow2_writer_options *options,
                      struct qcow2_writer **out, struct err *err)
{
        struct qcow2_writer *w = calloc(1, sizeof *w);

        assert(!options->backing_name || options->backing_format);
        if (!w)
                return err_nomem(err);
        w->fd = fd;
        w->used = 1;
        w->l2_at = NO_TABLE;
        w->partial_at = NO_CLUSTER;
        if (!set_up(w, name, options, err)) {
                qcow2_writer_free(w);
                return false;
        }
        *out = w;
        return true;
}

void qcow2_writer_free(struct qcow2_writer *w)
{
        if (!w)
                return;
        free(w->name);
        free(w->l1);
        free(w->l2);
        free(w->partial);
        free(w);
}

/* ---- data and L2 tables ----------------------------------------------- */

/* At cluster `at` of the file. */
static bool put(struct qcow2_writer *w, uint64_t at, uint64_t skip,
                const void *bytes, size_t len, struct err *err)
{
        uint64_t end = at * w->cluster + skip + len;

        TRY(io_pwrite_all(w->fd, bytes, len, at * w->cluster + skip, w->name,
                          err));
        /* So that the sync at the end has little left to do. */
        if (end - w->sent >= WRITEBACK_STEP) {
                io_start_writeback(w->fd, w->sent, end - w->sent);
                w->sent = end;
        }
        return true;
}

static bool l2_done(struct qcow2_writer *w, struct err *err)
{
        uint64_t at = w->used;

        if (w->l2_at == NO_TABLE)
                return true;
        w->used++;
        TRY(put(w, at, w->l2_first * 8, w->l2 + w->l2_first,
                (size_t)(w->l2_end - w->l2_first) * 8, err));
        w->l1[w->l2_at] = htobe64(at * w->cluster | ENTRY_COPIED);
        memset(w->l2, 0, w->cluster);
        w->l2_at = NO_TABLE;
        return true;
}

/* L2 entries for `count` guest clusters: entry, entry + step, ... */
static bool map(struct qcow2_writer *w, uint64_t guest, uint64_t count,
                uint64_t entry, uint64_t step, struct err *err)
{
        while (count > 0) {
                uint64_t table = guest / w->l2_entries;
                uint32_t i = (uint32_t)(guest % w->l2_entries);
                uint32_t end = w->l2_entries;

                if (count < end - i)
                        end = i + (uint32_t)count;
                if (table != w->l2_at) {
                        TRY(l2_done(w, err));
                        w->l2_at = table;
                        w->l2_first = i;
                }
                guest += end - i;
                count -= end - i;
                for (; i < end; i++, entry += step)
                        w->l2[i] = htobe64(entry);
                w->l2_end = end;
        }
        return true;
}

static bool bad_range(const struct qcow2_writer *w, uint64_t offset,
                      uint64_t len, const char *why, struct err *err)
{
        err_set(err, ERR_CORRUPT, "%llu bytes at %llu of the disk: %s",
                (unsigned long long)len, (unsigned long long)offset, why);
        return err_in_file(err, w->name);
}

static bool take_range(struct qcow2_writer *w, uint64_t offset, uint64_t len,
                       struct err *err)
{
        uint64_t mask = w->cluster - 1;

        if (offset > w->size || len > w->size - offset)
                return bad_range(w, offset, len, "behind the disk's end", err);
        if (offset < w->next)
                return bad_range(w, offset, len, "not behind the one before it",
                                 err);
        if (!w->partial && ((offset & mask) || (((offset + len) & mask) &&
                                                offset + len != w->size)))
                return bad_range(w, offset, len, "not whole clusters", err);
        w->next = offset + len;
        return true;
}

/* From a cluster's beginning; the last one may be cut by the disk's end. */
static bool put_clusters(struct qcow2_writer *w, uint64_t offset,
                         const uint8_t *bytes, size_t len, struct err *err)
{
        uint64_t at = w->used, count = ceil_div(len, w->cluster);

        w->used += count;
        TRY(put(w, at, 0, bytes, len, err));
        return map(w, offset / w->cluster, count,
                   at * w->cluster | ENTRY_COPIED, w->cluster, err);
}

static bool partial_done(struct qcow2_writer *w, struct err *err)
{
        uint64_t at = w->partial_at;

        w->partial_at = NO_CLUSTER;
        return at == NO_CLUSTER ||
               put_clusters(w, at * w->cluster, w->partial, w->cluster, err);
}

/* Within one cluster. */
static bool add_partial(struct qcow2_writer *w, uint64_t offset,
                        const uint8_t *bytes, size_t len, struct err *err)
{
        if (w->partial_at != offset / w->cluster) {
                TRY(partial_done(w, err));
                memset(w->partial, 0, w->cluster);
                w->partial_at = offset / w->cluster;
        }
        memcpy(w->partial + offset % w->cluster, bytes, len);
        return true;
}

bool qcow2_writer_data(struct qcow2_writer *w, uint64_t offset,
                       const uint8_t *bytes, size_t len, struct err *err)
{
        TRY(take_range(w, offset, len, err));
        if (!w->partial)
                return put_clusters(w, offset, bytes, len, err);
        while (len > 0) {
                size_t skip = offset % w->cluster, n = len;

                if (skip == 0 && len >= w->cluster) {
                        n -= len % w->cluster;
                        TRY(partial_done(w, err));
                        TRY(put_clusters(w, offset, bytes, n, err));
                } else {
                        if (n > w->cluster - skip)
                                n = w->cluster - skip;
                        TRY(add_partial(w, offset, bytes, n, err));
                }
                offset += n;
                bytes += n;
                len -= n;
        }
        return true;
}

bool qcow2_writer_zero(struct qcow2_writer *w, uint64_t offset, uint64_t len,
                       struct err *err)
{
        TRY(take_range(w, offset, len, err));
        /* What is not written reads as zeros already. */
        if (w->partial)
                return true;
        return map(w, offset / w->cluster, ceil_div(len, w->cluster),
                   ENTRY_ZERO, 0, err);
}

/* ---- the end ---------------------------------------------------------- */

/* Blocks are one behind the other, so that they are one array of `used`
 * refcounts, each 1. */
static bool put_refcounts(struct qcow2_writer *w, uint64_t at, struct err *err)
{
        size_t room = MiB, len;
        CLEANUP_FREE uint8_t *ones = malloc(room);

        if (!ones)
                return err_nomem(err);
        for (size_t i = 0; i < room; i++)
                ones[i] = i & 1;
        for (uint64_t done = 0; done < w->used * 2; done += len) {
                len = room;
                if (len > w->used * 2 - done)
                        len = (size_t)(w->used * 2 - done);
                TRY(put(w, at, done, ones, len, err));
        }
        return true;
}

static bool put_refcount_table(struct qcow2_writer *w, uint64_t at,
                               uint64_t blocks_at, uint64_t blocks,
                               struct err *err)
{
        CLEANUP_FREE uint64_t *table = calloc(blocks, sizeof *table);

        if (!table)
                return err_nomem(err);
        for (uint64_t i = 0; i < blocks; i++)
                table[i] = htobe64((blocks_at + i) * w->cluster);
        return put(w, at, 0, table, blocks * sizeof *table, err);
}

/* Refcounts count the clusters that hold them, too: as many blocks and table
 * clusters as cover all, themselves included. */
static bool add_refcounts(struct qcow2_writer *w, uint64_t *table_at,
                          uint64_t *table_clusters, struct err *err)
{
        uint64_t before = w->used, blocks = 1, table = 1, total;

        for (;;) {
                total = before + blocks + table;
                if (blocks * (w->cluster / 2) < total)
                        blocks = ceil_div(total, w->cluster / 2);
                else if (table * (w->cluster / 8) < blocks)
                        table = ceil_div(blocks, w->cluster / 8);
                else
                        break;
        }
        if (table * w->cluster > REFCOUNT_TABLE_MAX)
                return fail(w, ERR_LIMIT,
                            "more data than clusters of that size can hold",
                            err);
        w->used = total;
        TRY(put_refcounts(w, before, err));
        TRY(put_refcount_table(w, before + blocks, before, blocks, err));
        *table_at = before + blocks;
        *table_clusters = table;
        return true;
}

bool qcow2_writer_finish(struct qcow2_writer *w, struct err *err)
{
        uint64_t l1_at, table_at = 0, table_clusters = 0;

        TRY(partial_done(w, err));
        TRY(l2_done(w, err));
        l1_at = w->used;
        w->used += ceil_div(w->l1_entries * 8, w->cluster);
        TRY(put(w, l1_at, 0, w->l1, w->l1_entries * 8, err));
        TRY(add_refcounts(w, &table_at, &table_clusters, err));
        /* Its last cluster whole. */
        if (ftruncate(w->fd, (off_t)(w->used * w->cluster)) < 0) {
                err_os(err, errno, "truncate");
                return err_in_file(err, w->name);
        }
        place_tables(w, l1_at * w->cluster, table_at * w->cluster,
                     table_clusters);
        return io_pwrite_all(w->fd, w->header, w->header_len, 0, w->name, err);
}
