/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow/map.h"

#include "base/io.h"
#include "qcow/qcow2_format.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* Pieces of L2 tables in memory, and the most bytes of one: reads may jump
 * between several places of a disk, and a chain has up to 200 images. */
#define PIECES      8
#define PIECE_BYTES (64u << 10)

struct piece {
        uint64_t offset; /* in the file; 0: none */
        uint64_t used;   /* when; the least goes first */
        uint64_t *entries;
};

struct map {
        struct map_place place;
        unsigned cluster_bits;
        uint64_t cluster, size;
        bool extended;
        unsigned table_bits;  /* of an index in an L2 table */
        unsigned piece_bits;  /* of an index in a piece of one */
        unsigned entry_bytes; /* of an L2 table's entry: 8, or 16 */
        uint64_t *l1;         /* offsets, flags taken off */
        uint32_t l1_entries;
        uint64_t *tables; /* the offsets that are there, ascending */
        size_t table_count;
        struct piece pieces[PIECES];
        uint64_t clock;
};

static bool bad(const struct map *m, enum status status, uint64_t at,
                const char *section, const char *why, struct err *err)
{
        err_set(err, status, "%s", why);
        err_in_file(err, m->place.name);
        err_in_section(err, section);
        return err_at(err, at);
}

/* ---- what is where in the file ------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
        const struct region *x = a, *y = b;

        return (x->offset > y->offset) - (x->offset < y->offset);
}

bool regions_sort(struct region *regions, size_t count, struct err *err)
{
        qsort(regions, count, sizeof *regions, by_offset);
        for (size_t i = 1; i < count; i++) {
                if (regions[i].offset - regions[i - 1].offset >=
                    regions[i - 1].bytes)
                        continue;
                err_set(err, ERR_CORRUPT,
                        "two tables of metadata lie over each other");
                return err_at(err, regions[i].offset);
        }
        return true;
}

/* Whether [offset, offset + bytes), which is in the file, touches a region. */
static bool in_regions(const struct map *m, uint64_t offset, uint64_t bytes)
{
        const struct region *r = m->place.regions;
        size_t low = 0, high = m->place.region_count;

        /* The first that ends behind offset. */
        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (r[mid].offset + r[mid].bytes > offset)
                        high = mid;
                else
                        low = mid + 1;
        }
        return low < m->place.region_count && r[low].offset < offset + bytes;
}

static bool in_tables(const struct map *m, uint64_t offset, uint64_t bytes)
{
        size_t low = 0, high = m->table_count;

        while (low < high) {
                size_t mid = low + (high - low) / 2;

                if (m->tables[mid] + m->cluster > offset)
                        high = mid;
                else
                        low = mid + 1;
        }
        return low < m->table_count && m->tables[low] < offset + bytes;
}

static bool in_file(const struct map *m, uint64_t offset, uint64_t bytes)
{
        return offset <= m->place.file_size &&
               bytes <= m->place.file_size - offset;
}

/* ---- the L1 table -------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static bool check_tables(const struct map *m, struct err *err)
{
        static const char section[] = "L2 table";

        for (size_t i = 0; i < m->table_count; i++) {
                uint64_t at = m->tables[i];

                if (at & (m->cluster - 1))
                        return bad(m, ERR_CORRUPT, at, section,
                                   "it does not begin at a cluster", err);
                if (!in_file(m, at, m->cluster))
                        return bad(m, ERR_TRUNCATED, at, section,
                                   "it lies behind the file's end", err);
                if (i > 0 && m->tables[i - 1] == at)
                        return bad(m, ERR_CORRUPT, at, section,
                                   "it is used twice", err);
                if (in_regions(m, at, m->cluster))
                        return bad(m, ERR_CORRUPT, at, section,
                                   "it lies in other metadata", err);
        }
        return true;
}

static bool read_l1(struct map *m, uint64_t offset, struct err *err)
{
        const uint64_t known = QCOW2_OFFSET_MASK | QCOW2_COPIED;

        TRY(io_pread_all(m->place.fd, m->l1, m->l1_entries * 8ull, offset,
                         m->place.name, err));
        for (uint32_t i = 0; i < m->l1_entries; i++) {
                uint64_t word = be64toh(m->l1[i]);

                if (word & ~known)
                        return bad(m, ERR_CORRUPT, offset + i * 8ull,
                                   "L1 table", "reserved bits are set", err);
                m->l1[i] = word & QCOW2_OFFSET_MASK;
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

bool map_new(const struct map_place *place, uint64_t l1_offset,
             uint32_t l1_entries, uint64_t size, struct map **out,
             struct err *err)
{
        struct map *m = calloc(1, sizeof *m);
        bool extended = place->h->extended_l2;
        unsigned bits = place->h->cluster_bits;

        if (!m)
                return err_nomem(err);
        *m = (struct map){
                .place = *place,
                .cluster_bits = bits,
                .cluster = 1ull << bits,
                .size = size,
                .extended = extended,
                .entry_bytes = extended ? 16 : 8,
                .table_bits = bits - (extended ? 4 : 3),
                .l1_entries = l1_entries,
                .l1 = malloc(l1_entries * 8ull + 8),
        };
        m->piece_bits = m->table_bits;
        while ((uint64_t)m->entry_bytes << m->piece_bits > PIECE_BYTES)
                m->piece_bits--;
        if (!(m->l1 || err_nomem(err)) || !read_l1(m, l1_offset, err)) {
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
        for (int i = 0; i < PIECES; i++)
                free(m->pieces[i].entries);
        free(m->tables);
        free(m->l1);
        free(m);
}

static bool load(struct map *m, uint64_t offset, const uint64_t **out,
                 struct err *err)
{
        size_t bytes = (size_t)m->entry_bytes << m->piece_bits;
        struct piece *p = &m->pieces[0];

        for (int i = 0; i < PIECES; i++) {
                struct piece *known = &m->pieces[i];

                if (known->offset == offset) {
                        known->used = ++m->clock;
                        *out = known->entries;
                        return true;
                }
                if (known->used < p->used)
                        p = known;
        }
        if (!p->entries)
                p->entries = malloc(bytes);
        if (!p->entries)
                return err_nomem(err);
        p->offset = 0;
        TRY(io_pread_all(m->place.fd, p->entries, bytes, offset, m->place.name,
                         err));
        p->offset = offset;
        p->used = ++m->clock;
        *out = p->entries;
        return true;
}

/* ---- one entry ----------------------------------------------------------- */

struct entry {
        uint64_t word, subclusters;
        uint64_t at; /* in the file, for errors */
};

static bool bad_entry(const struct map *m, struct entry e, const char *why,
                      struct err *err)
{
        return bad(m, ERR_CORRUPT, e.at, "L2 table", why, err);
}

static bool map_compressed(const struct map *m, struct entry e, uint64_t within,
                           struct mapping *out, struct err *err)
{
        unsigned count_bits = m->cluster_bits - 8, shift = 62 - count_bits;
        uint64_t host = e.word & ((1ull << shift) - 1);
        uint64_t sectors = ((e.word >> shift) & ((1ull << count_bits) - 1)) + 1;

        if (e.subclusters)
                return bad_entry(m, e, "a compressed cluster with subclusters",
                                 err);
        if (host >= m->place.file_size)
                return bad(m, ERR_TRUNCATED, e.at, "L2 table",
                           "a compressed cluster behind the file's end", err);
        *out = (struct mapping){
                .kind = EXTENT_DATA,
                .len = m->cluster - within,
                .host = host,
                .compressed = sectors * 512 - (host & 511),
        };
        /* The last sector may be cut off by the file's end. */
        if (out->compressed > m->place.file_size - host)
                out->compressed = m->place.file_size - host;
        return true;
}

/* Kind and reach of the subcluster at `within`. */
static bool map_subclusters(const struct map *m, struct entry e,
                            uint64_t within, struct mapping *out,
                            struct err *err)
{
        uint64_t size = m->cluster / QCOW2_SUBCLUSTERS;
        unsigned i = (unsigned)(within / size), n;
        uint32_t allocated = (uint32_t)e.subclusters;
        uint32_t zero = (uint32_t)(e.subclusters >> 32);
        bool a = allocated >> i & 1, z = zero >> i & 1;

        if (allocated & zero)
                return bad_entry(m, e, "a subcluster both of data and of zeros",
                                 err);
        if (allocated && !(e.word & QCOW2_OFFSET_MASK))
                return bad_entry(m, e, "subclusters of data without a place",
                                 err);
        for (n = i + 1; n < QCOW2_SUBCLUSTERS; n++)
                if ((allocated >> n & 1) != a || (zero >> n & 1) != z)
                        break;
        out->kind = a ? EXTENT_DATA : z ? EXTENT_ZERO : EXTENT_ABSENT;
        out->len = n * size - within;
        return true;
}

static bool map_entry(const struct map *m, struct entry e, uint64_t within,
                      struct mapping *out, struct err *err)
{
        uint64_t host = e.word & QCOW2_OFFSET_MASK;
        uint64_t known = QCOW2_OFFSET_MASK | QCOW2_COPIED;

        if (e.word & QCOW2_COMPRESSED)
                return map_compressed(m, e, within, out, err);
        if (m->place.h->version > 2 && !m->extended)
                known |= QCOW2_ZERO;
        if (e.word & ~known)
                return bad_entry(m, e, "reserved bits are set", err);
        if (host & (m->cluster - 1))
                return bad_entry(m, e, "data that does not begin at a cluster",
                                 err);
        *out = (struct mapping){.len = m->cluster - within};
        if (m->extended)
                TRY(map_subclusters(m, e, within, out, err));
        else if (e.word & QCOW2_ZERO)
                out->kind = EXTENT_ZERO;
        else
                out->kind = host ? EXTENT_DATA : EXTENT_ABSENT;
        if (out->kind == EXTENT_DATA)
                out->host = host + within;
        return true;
}

/* ---- many ---------------------------------------------------------------- */

static bool continues(const struct mapping *all, const struct mapping *next)
{
        if (all->kind != next->kind || all->compressed || next->compressed)
                return false;
        return all->kind != EXTENT_DATA || all->host + all->len == next->host;
}

/* QEMU reads zeros where a file ends too early: of an image that was cut off,
 * that is a damaged disk without a word. */
static bool check_data(const struct map *m, const struct mapping *d,
                       struct err *err)
{
        uint64_t bytes = d->compressed ? d->compressed : d->len;

        if (!in_file(m, d->host, bytes))
                return bad(m, ERR_TRUNCATED, d->host, "data",
                           "it lies behind the file's end", err);
        if (in_regions(m, d->host, bytes) || in_tables(m, d->host, bytes))
                return bad(m, ERR_CORRUPT, d->host, "data",
                           "it lies in metadata", err);
        return true;
}

/* Of the L2 table at `table`. */
static bool find_in_table(struct map *m, uint64_t table, uint64_t offset,
                          struct mapping *out, struct err *err)
{
        uint64_t index =
                (offset >> m->cluster_bits) & ((1ull << m->table_bits) - 1);
        uint64_t count = 1ull << m->piece_bits, i = index & (count - 1);
        uint64_t begin = table + (index - i) * m->entry_bytes;
        uint64_t within = offset & (m->cluster - 1), reach = 0;
        const uint64_t *entries = NULL;

        TRY(load(m, begin, &entries, err));
        do {
                struct entry e = {.at = begin + i * m->entry_bytes};
                struct mapping next;

                e.word = be64toh(entries[m->extended ? 2 * i : i]);
                if (m->extended)
                        e.subclusters = be64toh(entries[2 * i + 1]);
                TRY(map_entry(m, e, within, &next, err));
                if (reach == 0)
                        *out = next;
                else if (continues(out, &next))
                        out->len += next.len;
                else
                        break;
                reach = within + next.len;
                within = 0;
        } while (reach == m->cluster && ++i < count);
        if (out->len > m->size - offset)
                out->len = m->size - offset;
        return out->kind != EXTENT_DATA || check_data(m, out, err);
}

bool map_find(struct map *m, uint64_t offset, struct mapping *out,
              struct err *err)
{
        unsigned shift = m->cluster_bits + m->table_bits;
        uint64_t i = offset >> shift;

        assert(offset < m->size);
        if (i < m->l1_entries && m->l1[i])
                return find_in_table(m, m->l1[i], offset, out, err);
        *out = (struct mapping){
                .kind = EXTENT_ABSENT,
                .len = m->size - offset,
        };
        while (i < m->l1_entries && !m->l1[i])
                i++;
        if (i < m->l1_entries && (i << shift) - offset < out->len)
                out->len = (i << shift) - offset;
        return true;
}
