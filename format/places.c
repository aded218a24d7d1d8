/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/places.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/digest.h"
#include "format/name.h"
#include "format/reader_private.h"
#include "format/tar_check.h"

#include <stdio.h>
#include <string.h>

struct place {
        uint64_t chunk; /* number within its dir */
        uint64_t data_offset;
        uint32_t stored_len;
        uint16_t dir, gap_len; /* GAP_MAX fits */
        uint8_t stored_digest[DIGEST_SIZE], raw_digest[DIGEST_SIZE];
};

struct places {
        int fd;
        const char *name;
        bool packed;
        const char *const *dirs;
        const uint64_t *sizes;
        unsigned dir_count;
        unsigned dir;       /* of the chunk added last */
        uint64_t data_end;  /* of the member added last */
        struct place *list; /* by dir and chunk */
        size_t count, room;
        uint64_t stored_bytes;
};

struct place_buffer {
        struct codec *codec;
        uint8_t *bytes;
};

_Static_assert(GAP_MAX <= UINT16_MAX, "a gap's length has room");
_Static_assert(LIMIT_RAM_BLOCKS <= UINT16_MAX, "a dir's number has room");

static size_t chunk_len(const struct places *p, unsigned dir, uint64_t chunk)
{
        uint64_t left = p->sizes[dir] - chunk * CHUNK_SIZE;

        return left < CHUNK_SIZE ? (size_t)left : (size_t)CHUNK_SIZE;
}

/* Chunks of one RAMBlock mostly come one after the other. */
static bool find_dir(struct places *p, const char *dir)
{
        for (unsigned i = 0; i < p->dir_count; i++) {
                if (strcmp(p->dirs[p->dir], dir) == 0)
                        return true;
                p->dir = (p->dir + 1) % p->dir_count;
        }
        return false;
}

static bool grow(struct places *p, struct err *err)
{
        size_t room = p->room ? 2 * p->room : 1024;
        struct place *grown;

        if (p->count < p->room)
                return true;
        grown = realloc(p->list, room * sizeof *grown);
        if (!grown)
                return err_nomem(err);
        p->list = grown;
        p->room = room;
        return true;
}

static bool check(const struct places *p, const struct index_entry *e,
                  const struct name *n, struct err *err)
{
        if (n->zst != p->packed)
                return err_set(err, ERR_CORRUPT,
                               "its suffix is not what the manifest's "
                               "features say");
        if (n->address % CHUNK_SIZE || n->address >= p->sizes[p->dir])
                return err_set(err, ERR_CORRUPT,
                               "an address outside its RAMBlock");
        if (e->raw_len != chunk_len(p, p->dir, n->address / CHUNK_SIZE) ||
            e->stored_len > codec_bound(CHUNK_SIZE) ||
            (!n->zst && e->stored_len != e->raw_len))
                return err_set(err, ERR_CORRUPT,
                               "a chunk of %llu stored and %llu raw bytes",
                               (unsigned long long)e->stored_len,
                               (unsigned long long)e->raw_len);
        return true;
}

static bool add_chunk(struct places *p, const struct index_entry *e,
                      const struct name *n, uint64_t gap, struct err *err)
{
        struct place *place;

        if (!p->dir_count || !find_dir(p, n->dir))
                return err_set(err, ERR_CORRUPT,
                               "RAM of no RAMBlock of the stream");
        TRY(check(p, e, n, err));
        TRY(grow(p, err));
        place = &p->list[p->count++];
        place->dir = (uint16_t)p->dir;
        place->chunk = n->address / CHUNK_SIZE;
        place->data_offset = e->data_offset;
        place->stored_len = (uint32_t)e->stored_len;
        place->gap_len = (uint16_t)gap;
        memcpy(place->stored_digest, e->stored_digest, DIGEST_SIZE);
        memcpy(place->raw_digest, e->raw_digest, DIGEST_SIZE);
        return true;
}

static bool add(void *arg, const struct index_entry *e, struct err *err)
{
        struct places *p = arg;
        uint64_t gap = e->data_offset - p->data_end;
        char shown[320];
        struct name n;
        bool ok = true;

        p->data_end = e->data_offset + e->stored_len;
        if (strncmp(e->name, "ram/", 4) != 0)
                return true;
        ok = name_parse(e->name, &n, err) && add_chunk(p, e, &n, gap, err);
        return ok ||
               err_in_section(err, text_escape(e->name, shown, sizeof shown));
}

static int compare(const struct place *a, const struct place *b)
{
        if (a->dir != b->dir)
                return a->dir < b->dir ? -1 : 1;
        return (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

/* For sorting: of chunks of one name the later one comes last. */
static int compare_places(const void *a, const void *b)
{
        const struct place *x = a, *y = b;
        int order = compare(x, y);

        if (order != 0)
                return order;
        return (x->data_offset > y->data_offset) -
               (x->data_offset < y->data_offset);
}

/* A later chunk of the same name replaces an earlier one. */
static void settle(struct places *p)
{
        bool sorted = true;
        size_t kept = 0;

        for (size_t i = 1; i < p->count && sorted; i++)
                sorted = compare(&p->list[i - 1], &p->list[i]) < 0;
        if (!sorted)
                qsort(p->list, p->count, sizeof *p->list, compare_places);
        for (size_t i = 0; i < p->count; i++) {
                if (i + 1 < p->count &&
                    compare(&p->list[i], &p->list[i + 1]) == 0)
                        continue;
                p->list[kept++] = p->list[i];
                p->stored_bytes += p->list[i].stored_len;
        }
        p->count = kept;
}

bool places_new(struct reader *r, const char *const *dirs,
                const uint64_t *sizes, unsigned count, struct places **out,
                struct err *err)
{
        struct places *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        p->fd = r->fd;
        p->name = r->name;
        p->packed = r->packed;
        p->dirs = dirs;
        p->sizes = sizes;
        p->dir_count = count;
        if (!reader_index(r, add, p, err)) {
                places_free(p);
                return false;
        }
        settle(p);
        *out = p;
        return true;
}

void places_free(struct places *p)
{
        if (!p)
                return;
        free(p->list);
        free(p);
}

static const struct place *find(const struct places *p, unsigned dir,
                                uint64_t chunk)
{
        const struct place key = {.dir = (uint16_t)dir, .chunk = chunk};
        size_t low = 0, high = p->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = compare(&p->list[middle], &key);

                if (order == 0)
                        return &p->list[middle];
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return NULL;
}

bool places_has(const struct places *p, unsigned dir, uint64_t chunk)
{
        return find(p, dir, chunk) != NULL;
}

uint64_t places_stored_bytes(const struct places *p)
{
        return p->stored_bytes;
}

struct place_buffer *place_buffer_new(void)
{
        struct place_buffer *b = calloc(1, sizeof *b);

        if (!b)
                return NULL;
        b->codec = codec_new(1);
        b->bytes = malloc(GAP_MAX + codec_bound(CHUNK_SIZE));
        if (b->codec && b->bytes) {
                /* Touched now, not when somebody waits for a chunk. */
                memset(b->bytes, 1, GAP_MAX + codec_bound(CHUNK_SIZE));
                return b;
        }
        place_buffer_free(b);
        return NULL;
}

void place_buffer_free(struct place_buffer *b)
{
        if (!b)
                return;
        codec_free(b->codec);
        free(b->bytes);
        free(b);
}

static bool met(const uint8_t *bytes, size_t len,
                const uint8_t want[DIGEST_SIZE], const char *what,
                struct err *err)
{
        char stored[DIGEST_HEX], computed[DIGEST_HEX];
        uint8_t digest[DIGEST_SIZE];

        digest_of(bytes, len, digest);
        return memcmp(digest, want, DIGEST_SIZE) == 0 ||
               err_set(err, ERR_CORRUPT, "%s mismatch: stored %s, computed %s",
                       what, digest_hex(want, stored),
                       digest_hex(digest, computed));
}

/* What stands before the data must be this member's header. */
static bool check_header(const struct places *p, const struct place *l,
                         const uint8_t *gap, const char *name, struct err *err)
{
        return tar_check(gap, l->gap_len, l->data_offset - l->gap_len, name,
                         l->stored_len, err) ||
               err_in_file(err, p->name);
}

static bool read_place(const struct places *p, struct place_buffer *b,
                       const struct place *l, const char *name, uint8_t *raw,
                       size_t len, struct err *err)
{
        const uint8_t *stored = b->bytes + l->gap_len;

        TRY(io_pread_all(p->fd, b->bytes, (size_t)l->gap_len + l->stored_len,
                         l->data_offset - l->gap_len, p->name, err));
        TRY(check_header(p, l, b->bytes, name, err));
        TRY(met(stored, l->stored_len, l->stored_digest, "digest", err));
        if (p->packed)
                TRY(codec_unpack(b->codec, stored, l->stored_len, raw, len,
                                 err));
        else
                memcpy(raw, stored, len);
        /* What is stored as it is has been digested already. */
        return !p->packed ||
               met(raw, len, l->raw_digest, "digest of its content", err);
}

bool places_read(const struct places *p, struct place_buffer *b, unsigned dir,
                 uint64_t chunk, uint8_t *raw, size_t *len_out, struct err *err)
{
        const struct place *l = find(p, dir, chunk);
        char name[600], shown[640];

        *len_out = chunk_len(p, dir, chunk);
        if (!l) {
                memset(raw, 0, *len_out);
                return true;
        }
        snprintf(name, sizeof name, "%s/%016llx%s", p->dirs[dir],
                 (unsigned long long)(chunk * CHUNK_SIZE),
                 p->packed ? ".zst" : "");
        if (read_place(p, b, l, name, raw, *len_out, err))
                return true;
        err_in_file(err, p->name);
        err_at(err, l->data_offset);
        return err_in_section(err, text_escape(name, shown, sizeof shown));
}
