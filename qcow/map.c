/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow/map.h"

#include "base/io.h"
#include "qcow/qcow2_format.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* L2 tables in memory: for reads that jump between a disk's two ends. */
#define CACHED 4

struct table {
        uint64_t offset; /* in the file; 0: none */
        uint64_t used;   /* when; the least goes first */
        uint64_t *entries;
};

struct map {
        int fd;
        const char *name;
        const struct qcow2_header *h;
        uint64_t file_size, cluster;
        unsigned bits; /* of an L2 table's index */
        uint64_t *l1;  /* offsets, flags taken off */
        uint32_t l1_entries;
        uint64_t *tables; /* the offsets that are there, ascending */
        size_t table_count;
        uint64_t l1_offset;
        struct table cache[CACHED];
        uint64_t clock;
};

static bool bad(const struct map *m, uint64_t at, struct err *err,
                const char *why)
{
        err_in_file(err, m->name);
        err_at(err, at);
        return err_set(err, ERR_CORRUPT, "%s", why);
}

static int ascending(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static bool overlaps(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
        return a < b + b_len && b < a + a_len;
}

/* Of [host, host + len), in the file: is any of it metadata? */
static bool in_metadata(const struct map *m, uint64_t host, uint64_t len)
{
        size_t low = 0, high = m->table_count;

        if (host < m->cluster ||
            overlaps(host, len, m->l1_offset, m->l1_entries * 8ull) ||
            overlaps(host, len, m->h->refcount_offset, m->h->refcount_bytes))
                return true;
        /* The first table that ends behind host. */
        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (m->tables[mid] + m->cluster > host)
                        high = mid;
                else
                        low = mid + 1;
        }
        return low < m->table_count && m->tables[low] < host + len;
}

static bool check_tables(struct map *m, struct err *err)
{
        for (size_t i = 0; i < m->table_count; i++) {
                uint64_t at = m->tables[i];

                if (at & (m->cluster - 1))
                        return bad(m, at, err, "an L2 table not at a cluster");
                if (at > m->file_size || m->cluster > m->file_size - at) {
                        err_in_file(err, m->name);
                        err_at(err, at);
                        return err_set(err, ERR_TRUNCATED,
                                       "an L2 table behind the file's end");
                }
                if (i > 0 && m->tables[i - 1] == at)
                        return bad(m, at, err, "an L2 table is used twice");
                if (at < m->cluster ||
                    overlaps(at, m->cluster, m->l1_offset,
                             m->l1_entries * 8ull) ||
                    overlaps(at, m->cluster, m->h->refcount_offset,
                             m->h->refcount_bytes))
                        return bad(m, at, err,
                                   "an L2 table lies in other metadata");
        }
        return true;
}

static bool read_l1(struct map *m, struct err *err)
{
        TRY(io_pread_all(m->fd, m->l1, m->l1_entries * 8ull, m->l1_offset,
                         m->name, err));
        for (uint32_t i = 0; i < m->l1_entries; i++) {
                m->l1[i] = be64toh(m->l1[i]) & QCOW2_OFFSET_MASK;
                m->table_count += m->l1[i] != 0;
        }
        m->tables = malloc((m->table_count + 1) * sizeof *m->tables);
        if (!m->tables)
                return err_nomem(err);
        m->table_count = 0;
        for (uint32_t i = 0; i < m->l1_entries; i++)
                if (m->l1[i])
                        m->tables[m->table_count++] = m->l1[i];
        qsort(m->tables, m->table_count, sizeof *m->tables, ascending);
        return check_tables(m, err);
}

bool map_new(int fd, const char *name, const struct qcow2_header *h,
             uint64_t file_size, uint64_t l1_offset, uint32_t l1_entries,
             struct map **out, struct err *err)
{
        struct map *m = calloc(1, sizeof *m);

        if (!m)
                return err_nomem(err);
        *m = (struct map){
                .fd = fd,
                .name = name,
                .h = h,
                .file_size = file_size,
                .cluster = 1ull << h->cluster_bits,
                .bits = h->cluster_bits - (h->extended_l2 ? 4 : 3),
                .l1_offset = l1_offset,
                .l1_entries = l1_entries,
        };
        m->l1 = malloc(l1_entries * 8ull + 8);
        if (!m->l1) {
                map_free(m);
                return err_nomem(err);
        }
        if (!read_l1(m, err)) {
                map_free(m);
                return false;
        }
        *out = m;
        return true;
}

void map_free(struct map *m)
{
        if (!m)
                return;
        for (int i = 0; i < CACHED; i++)
                free(m->cache[i].entries);
        free(m->tables);
        free(m->l1);
        free(m);
}

static bool load(struct map *m, uint64_t offset, const uint64_t **out,
                 struct err *err)
{
        struct table *t = &m->cache[0];

        for (int i = 0; i < CACHED; i++) {
                struct table *c = &m->cache[i];

                if (c->offset == offset) {
                        c->used = ++m->clock;
                        *out = c->entries;
                        return true;
                }
                if (c->used < t->used)
                        t = c;
        }
        if (!t->entries)
                t->entries = malloc(m->cluster);
        if (!t->entries)
                return err_nomem(err);
        t->offset = 0;
        TRY(io_pread_all(m->fd, t->entries, m->cluster, offset, m->name, err));
        t->offset = offset;
        t->used = ++m->clock;
        *out = t->entries;
        return true;
}

/* ---- one entry ----------------------------------------------------------- */

struct entry {
        uint64_t word, subclusters;
};

static struct entry entry_at(const struct map *m, const uint64_t *table,
                             uint64_t index)
{
        if (m->h->extended_l2)
                return (struct entry){be64toh(table[2 * index]),
                                      be64toh(table[2 * index + 1])};
        return (struct entry){be64toh(table[index]), 0};
}

static bool map_compressed(const struct map *m, uint64_t word,
                           struct mapping *out, uint64_t within, uint64_t at,
                           struct err *err)
{
        unsigned shift = 62 - (m->h->cluster_bits - 8);
        uint64_t host = word & ((1ull << shift) - 1);
        uint64_t sectors =
                ((word >> shift) & ((1ull << (m->h->cluster_bits - 8)) - 1)) +
                1;

        out->kind = EXTENT_DATA;
        out->len = m->cluster - within;
        out->host = host;
        out->compressed = sectors * 512 - (host & 511);
        /* The last sector may be cut off by the file's end. */
        if (host >= m->file_size || host < m->cluster)
                return bad(m, at, err,
                           "a compressed cluster that is not in the file");
        if (out->compressed > m->file_size - host)
                out->compressed = m->file_size - host;
        return true;
}

/* Kind and reach of the subcluster at `within`. */
static bool map_subclusters(const struct map *m, struct entry e,
                            uint64_t within, struct mapping *out, uint64_t at,
                            struct err *err)
{
        uint64_t size = m->cluster / QCOW2_SUBCLUSTERS;
        unsigned i = (unsigned)(within / size), n;
        uint32_t allocated = (uint32_t)e.subclusters;
        uint32_t zero = (uint32_t)(e.subclusters >> 32);
        bool a = allocated >> i & 1, z = zero >> i & 1;

        if ((allocated & zero) || (allocated && !(e.word & QCOW2_OFFSET_MASK)))
                return bad(m, at, err, "subclusters that cannot be");
        for (n = i + 1; n < QCOW2_SUBCLUSTERS; n++)
                if ((allocated >> n & 1) != a || (zero >> n & 1) != z)
                        break;
        out->kind = a ? EXTENT_DATA : z ? EXTENT_ZERO : EXTENT_ABSENT;
        out->len = n * size - within;
        return true;
}

static bool map_entry(const struct map *m, struct entry e, uint64_t within,
                      struct mapping *out, uint64_t at, struct err *err)
{
        uint64_t host = e.word & QCOW2_OFFSET_MASK;

        *out = (struct mapping){.len = m->cluster - within};
        if (e.word & QCOW2_COMPRESSED)
                return map_compressed(m, e.word, out, within, at, err);
        if (m->h->extended_l2)
                TRY(map_subclusters(m, e, within, out, at, err));
        else if (m->h->version > 2 && e.word & QCOW2_ZERO)
                out->kind = EXTENT_ZERO;
        else
                out->kind = host ? EXTENT_DATA : EXTENT_ABSENT;
        if (out->kind != EXTENT_DATA)
                return true;
        if (host & (m->cluster - 1))
                return bad(m, at, err, "data not at a cluster");
        /* The last cluster need not be whole in the file. */
        if (host >= m->file_size) {
                err_in_file(err, m->name);
                err_at(err, at);
                return err_set(err, ERR_TRUNCATED,
                               "data at 0x%llx, behind the file's end",
                               (unsigned long long)host);
        }
        out->host = host + within;
        return true;
}

static bool continues(const struct mapping *all, const struct mapping *next)
{
        if (all->kind != next->kind || all->compressed || next->compressed)
                return false;
        return all->kind != EXTENT_DATA || all->host + all->len == next->host;
}

static bool find_in_table(struct map *m, uint64_t table, uint64_t offset,
                          struct mapping *out, struct err *err)
{
        uint64_t count = 1ull << m->bits, within = offset & (m->cluster - 1);
        uint64_t i = (offset >> m->h->cluster_bits) & (count - 1);
        uint64_t width = m->h->extended_l2 ? 16 : 8, reach;
        const uint64_t *entries = NULL;
        struct mapping next;

        TRY(load(m, table, &entries, err));
        TRY(map_entry(m, entry_at(m, entries, i), within, out,
                      table + i * width, err));
        reach = within + out->len;
        while (reach % m->cluster == 0 && ++i < count) {
                TRY(map_entry(m, entry_at(m, entries, i), 0, &next,
                              table + i * width, err));
                if (!continues(out, &next))
                        break;
                out->len += next.len;
                reach += next.len;
        }
        if (out->kind == EXTENT_DATA &&
            in_metadata(m, out->host, out->compressed ? 1 : out->len))
                return bad(m, table, err, "data that lies in metadata");
        return true;
}

bool map_find(struct map *m, uint64_t offset, struct mapping *out,
              struct err *err)
{
        unsigned shift = m->h->cluster_bits + m->bits;
        uint64_t i = offset >> shift, end;

        if (i < m->l1_entries && m->l1[i])
                return find_in_table(m, m->l1[i], offset, out, err);
        while (i < m->l1_entries && !m->l1[i])
                i++;
        end = i < m->l1_entries ? i << shift : UINT64_MAX;
        *out = (struct mapping){.kind = EXTENT_ABSENT, .len = end - offset};
        return true;
}
