/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/assemble.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/spool.h"
#include "format/name.h"
#include "qemu/stream_format.h"

#include <assert.h>
#include <string.h>

#define PATCH_MEMORY (8 * MiB)
#define NO_PATCH     0
#define PAGES_MAX    (CHUNK_SIZE / TARGET_PAGE_MIN) /* of a chunk */

enum chunk_state {
        CHUNK_UNTOUCHED, /* no page went into a buffer                      */
        CHUNK_OPEN,
        CHUNK_SUBMITTED, /* in the writer's hands; written or dropped as zero */
};

struct chunk_record {
        uint64_t data_offset; /* where its stored bytes are                  */
        uint64_t patches;     /* newest patch's place in the spool, plus 1   */
        uint64_t *seen;       /* a bit a page; NULL: none, or all, have come */
        uint32_t stored_len;  /* 0: zero, not written                        */
        uint8_t state;        /* enum chunk_state                            */
        bool all_seen;
};

/* What stands before a patch's bytes in the spool. */
struct patch {
        uint64_t before; /* place of the chunk's patch before this, plus 1   */
        uint32_t page;   /* within the chunk                                 */
        uint16_t kind;   /* enum page_kind                                   */
        uint16_t reserved;
        uint32_t len;
        uint32_t reserved2;
};

struct assembler {
        struct writer *w;
        const struct ram_blocks *blocks;
        struct chunk_record *chunks; /* of all blocks, one after the other   */
        uint64_t *first;             /* a block's first chunk; [count]: all  */
        struct spool *patches;
        /* The chunk that is open.  Memory is touched for content only: zero
         * pages are most of many a guest's. */
        bool is_open;
        uint64_t open_chunk;
        struct chunk *open; /* borrowed from the writer; NULL: all zero yet */
        uint64_t blank[PAGES_MAX / 64]; /* its pages still to be zeroed      */
        size_t open_missing; /* pages of it that have not come               */
        uint64_t stray;      /* the chunk of the last page not for it        */
        uint32_t page_size;
        uint64_t pages_again;
        uint64_t zero_bytes;
        char dir[512]; /* of dir_block */
        unsigned dir_block;
};

static uint64_t chunk_count(uint64_t size)
{
        return size / CHUNK_SIZE + (size % CHUNK_SIZE != 0);
}

bool assembler_new(struct writer *w, const struct ram_blocks *blocks,
                   const char *spool_dir, struct assembler **out,
                   struct err *err)
{
        struct assembler *a = calloc(1, sizeof *a);
        uint64_t n = 0;

        if (!a)
                return err_nomem(err);
        a->w = w;
        a->blocks = blocks;
        a->stray = UINT64_MAX;
        a->dir_block = UINT32_MAX;
        a->first = calloc(blocks->count + 1, sizeof *a->first);
        for (unsigned i = 0; a->first && i < blocks->count; i++) {
                a->first[i] = n;
                n += chunk_count(blocks->blocks[i].size);
                a->first[i + 1] = n;
        }
        a->chunks = calloc((size_t)n + 1, sizeof *a->chunks);
        if (!a->first || !a->chunks) {
                assembler_free(a);
                return err_nomem(err);
        }
        if (!spool_new(spool_dir, PATCH_MEMORY, &a->patches, err)) {
                assembler_free(a);
                return false;
        }
        *out = a;
        return true;
}

void assembler_free(struct assembler *a)
{
        if (!a)
                return;
        for (uint64_t i = 0; a->chunks && i < a->first[a->blocks->count]; i++)
                free(a->chunks[i].seen);
        if (a->open)
                writer_return(a->w, a->open);
        free(a->chunks);
        free(a->first);
        spool_free(a->patches);
        free(a);
}

static size_t chunk_len(const struct assembler *a, unsigned block,
                        uint64_t chunk)
{
        uint64_t begin = (chunk - a->first[block]) * CHUNK_SIZE;
        uint64_t left = a->blocks->blocks[block].size - begin;

        return left < CHUNK_SIZE ? (size_t)left : (size_t)CHUNK_SIZE;
}

static unsigned block_of(const struct assembler *a, uint64_t chunk)
{
        unsigned block = 0;

        while (chunk >= a->first[block + 1])
                block++;
        return block;
}

void assembler_written(struct assembler *a, uint64_t tag, uint64_t data_offset,
                       uint32_t stored_len)
{
        struct chunk_record *c = &a->chunks[tag];

        c->data_offset = data_offset;
        c->stored_len = stored_len;
        if (stored_len == 0)
                a->zero_bytes += chunk_len(a, block_of(a, tag), tag);
}

/* Notes that a page has come; *again: it had come before. */
static bool see(struct assembler *a, struct chunk_record *c, size_t pages,
                size_t page, bool *again, struct err *err)
{
        size_t words = (pages + 63) / 64;
        size_t seen = 0;

        *again = c->all_seen;
        if (c->all_seen)
                return true;
        if (!c->seen) {
                c->seen = calloc(words, sizeof *c->seen);
                if (!c->seen)
                        return err_nomem(err);
        }
        *again = c->seen[page / 64] >> (page % 64) & 1;
        c->seen[page / 64] |= UINT64_C(1) << (page % 64);
        if (!*again && c->state == CHUNK_OPEN) {
                a->open_missing--;
                c->all_seen = a->open_missing == 0;
        } else if (!*again) {
                for (size_t i = 0; i < words; i++)
                        seen += (size_t)__builtin_popcountll(c->seen[i]);
                c->all_seen = seen == pages;
        }
        if (c->all_seen) {
                free(c->seen);
                c->seen = NULL;
        }
        return true;
}

static bool apply(uint8_t *page, uint32_t page_size, enum page_kind kind,
                  const uint8_t *bytes, size_t len, struct err *err)
{
        switch (kind) {
        case PAGE_RAW:
                assert(len == page_size);
                memcpy(page, bytes, len);
                return true;
        case PAGE_FILL:
                memset(page, bytes[0], page_size);
                return true;
        case PAGE_DELTA:
                return xbzrle_apply(page, page_size, bytes, len, err);
        }
        return false;
}

static bool read_patch(struct assembler *a, uint64_t place, struct patch *p,
                       uint8_t bytes[TARGET_PAGE_MAX], struct err *err)
{
        TRY(spool_read(a->patches, place - 1, p, sizeof *p, err));
        assert(p->len <= TARGET_PAGE_MAX);
        return spool_read(a->patches, place - 1 + sizeof *p, bytes, p->len,
                          err);
}

/*
 * From the newest patch back: per page the newest whole content counts, with
 * the deltas that came after it, which are then applied oldest first.
 */
struct delta_list {
        uint64_t *places;
        size_t count, room;
};

static bool add_delta(struct delta_list *list, uint64_t place, struct err *err)
{
        if (list->count == list->room) {
                size_t room = list->room ? list->room * 2 : 64;
                uint64_t *grown = realloc(list->places, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                list->places = grown;
                list->room = room;
        }
        list->places[list->count++] = place;
        return true;
}

static bool walk_patches(struct assembler *a, uint64_t newest, uint8_t *chunk,
                         uint8_t *settled, struct delta_list *deltas,
                         struct err *err)
{
        uint8_t bytes[TARGET_PAGE_MAX];
        struct patch p;

        for (uint64_t at = newest; at != NO_PATCH; at = p.before) {
                TRY(read_patch(a, at, &p, bytes, err));
                if (settled[p.page])
                        continue;
                if (p.kind == PAGE_DELTA) {
                        TRY(add_delta(deltas, at, err));
                        continue;
                }
                settled[p.page] = 1;
                TRY(apply(chunk + (size_t)p.page * a->page_size, a->page_size,
                          (enum page_kind)p.kind, bytes, p.len, err));
        }
        while (deltas->count-- > 0) {
                TRY(read_patch(a, deltas->places[deltas->count], &p, bytes,
                               err));
                TRY(apply(chunk + (size_t)p.page * a->page_size, a->page_size,
                          PAGE_DELTA, bytes, p.len, err));
        }
        return true;
}

static bool apply_patches(struct assembler *a, struct chunk_record *c,
                          uint8_t *chunk, struct err *err)
{
        CLEANUP_FREE uint8_t *settled =
                calloc(CHUNK_SIZE / a->page_size, sizeof *settled);
        struct delta_list deltas = {0};
        bool ok;

        if (!settled)
                return err_nomem(err);
        ok = walk_patches(a, c->patches, chunk, settled, &deltas, err);
        free(deltas.places);
        c->patches = NO_PATCH;
        return ok;
}

static bool add_patch(struct assembler *a, struct chunk_record *c, size_t page,
                      enum page_kind kind, const uint8_t *bytes, size_t len,
                      struct err *err)
{
        struct patch p = {
                .before = c->patches,
                .page = (uint32_t)page,
                .kind = (uint16_t)kind,
                .len = (uint32_t)len,
        };
        uint64_t place = spool_size(a->patches) + 1;

        TRY(spool_append(a->patches, &p, sizeof p, err));
        TRY(spool_append(a->patches, bytes, len, err));
        c->patches = place;
        return true;
}

static bool begin_chunk(struct assembler *a, unsigned block, uint64_t chunk,
                        struct err *err)
{
        struct chunk *b;

        if (a->dir_block != block)
                name_ram_dir(a->blocks->blocks[block].name, a->dir);
        a->dir_block = block;
        TRY(writer_borrow(a->w, &b, err));
        b->len = chunk_len(a, block, chunk);
        b->address = (chunk - a->first[block]) * CHUNK_SIZE;
        b->tag = chunk;
        memcpy(b->dir, a->dir, sizeof b->dir);
        a->open = b;
        return true;
}

static bool is_blank(const struct assembler *a, size_t page)
{
        return a->blank[page / 64] >> (page % 64) & 1;
}

static void fill_blanks(struct assembler *a)
{
        for (size_t page = 0; page * a->page_size < a->open->len; page++)
                if (is_blank(a, page))
                        memset(a->open->bytes + page * a->page_size, 0,
                               a->page_size);
        memset(a->blank, 0, sizeof a->blank);
}

/* rewrite: an earlier one of that name is in the file and must be replaced,
 * even by zeros. */
static bool submit(struct assembler *a, bool rewrite, struct err *err)
{
        a->is_open = false;
        a->chunks[a->open_chunk].state = CHUNK_SUBMITTED;
        if (!a->open) {
                assembler_written(a, a->open_chunk, 0, 0);
                return true;
        }
        fill_blanks(a);
        a->open->drop_zero = !rewrite;
        return writer_submit(a->w, steal(a->open), err);
}

/* A page of the open chunk. */
static bool put_page(struct assembler *a, unsigned block, size_t page,
                     enum page_kind kind, const uint8_t *bytes, size_t len,
                     struct err *err)
{
        uint64_t bit = UINT64_C(1) << (page % 64);
        uint8_t *to;

        if (kind == PAGE_FILL && bytes[0] == 0) {
                a->blank[page / 64] |= bit;
                return true;
        }
        if (!a->open)
                TRY(begin_chunk(a, block, a->open_chunk, err));
        to = a->open->bytes + page * a->page_size;
        if (kind == PAGE_DELTA && is_blank(a, page))
                memset(to, 0, a->page_size);
        a->blank[page / 64] &= ~bit;
        return apply(to, a->page_size, kind, bytes, len, err);
}

static bool open_chunk(struct assembler *a, unsigned block, uint64_t chunk,
                       size_t pages, struct err *err)
{
        struct chunk_record *c = &a->chunks[chunk];
        size_t seen = 0;

        if (a->is_open)
                TRY(submit(a, false, err));
        a->is_open = true;
        a->open_chunk = chunk;
        memset(a->blank, 0xff, sizeof a->blank);
        c->state = CHUNK_OPEN;
        for (size_t i = 0; c->seen && i < (pages + 63) / 64; i++)
                seen += (size_t)__builtin_popcountll(c->seen[i]);
        a->open_missing = pages - seen;
        a->stray = UINT64_MAX;
        if (c->patches == NO_PATCH)
                return true;
        TRY(begin_chunk(a, block, chunk, err));
        fill_blanks(a);
        return apply_patches(a, c, a->open->bytes, err);
}

/*
 * Whether an untouched chunk becomes the open one.  A page from elsewhere in
 * the middle of the first pass (a background snapshot serves write faults out
 * of order) is a patch; two in a row for one chunk mean that the pass moved on
 * and the open chunk has pages that never come.
 */
static bool moves_on(struct assembler *a, uint64_t chunk)
{
        bool moves = !a->is_open || a->stray == chunk;

        a->stray = chunk;
        return moves;
}

bool assembler_page(struct assembler *a, uint32_t page_size, unsigned block,
                    uint64_t offset, enum page_kind kind, const uint8_t *bytes,
                    size_t len, struct err *err)
{
        uint64_t chunk = a->first[block] + offset / CHUNK_SIZE;
        size_t page = (size_t)(offset % CHUNK_SIZE) / page_size;
        size_t pages = chunk_len(a, block, chunk) / page_size;
        struct chunk_record *c = &a->chunks[chunk];
        bool again;

        a->page_size = page_size;
        if (c->state == CHUNK_UNTOUCHED && moves_on(a, chunk))
                TRY(open_chunk(a, block, chunk, pages, err));
        TRY(see(a, c, pages, page, &again, err));
        a->pages_again += again;
        if (c->state == CHUNK_OPEN) {
                TRY(put_page(a, block, page, kind, bytes, len, err));
                /* At once, so that RAM stays before items that follow it. */
                return a->open_missing > 0 || submit(a, false, err);
        }
        if (!again && kind == PAGE_DELTA)
                return err_set(err, ERR_CORRUPT,
                               "XBZRLE delta for a page that has not come");
        return add_patch(a, c, page, kind, bytes, len, err);
}

static bool rewrite(struct assembler *a, unsigned block, uint64_t chunk,
                    struct err *err)
{
        struct chunk_record *c = &a->chunks[chunk];
        bool stored = c->state == CHUNK_SUBMITTED && c->stored_len > 0;

        if (c->state == CHUNK_SUBMITTED && !stored)
                a->zero_bytes -= chunk_len(a, block, chunk);
        TRY(begin_chunk(a, block, chunk, err));
        a->open_chunk = chunk;
        memset(a->blank, 0, sizeof a->blank);
        if (stored)
                TRY(writer_read_back(a->w, c->data_offset, c->stored_len,
                                     a->open->bytes, a->open->len, err));
        else
                memset(a->open->bytes, 0, a->open->len);
        TRY(apply_patches(a, c, a->open->bytes, err));
        return submit(a, stored, err);
}

bool assembler_end(struct assembler *a, struct err *err)
{
        if (a->is_open)
                TRY(submit(a, false, err));
        TRY(writer_flush(a->w, err));
        for (unsigned block = 0; block < a->blocks->count; block++)
                for (uint64_t i = a->first[block]; i < a->first[block + 1]; i++)
                        if (a->chunks[i].patches != NO_PATCH)
                                TRY(rewrite(a, block, i, err));
        return writer_flush(a->w, err);
}

uint64_t assembler_pages_again(const struct assembler *a)
{
        return a->pages_again;
}

uint64_t assembler_zero_bytes(const struct assembler *a)
{
        uint64_t bytes = a->zero_bytes;

        for (unsigned block = 0; block < a->blocks->count; block++)
                for (uint64_t i = a->first[block]; i < a->first[block + 1]; i++)
                        if (a->chunks[i].state == CHUNK_UNTOUCHED)
                                bytes += chunk_len(a, block, i);
        return bytes;
}

struct range {
        bool (*fn)(void *arg, unsigned block, uint64_t offset, uint64_t len,
                   struct err *err);
        void *arg;
        unsigned block;
        uint64_t begin, len;
};

static bool flush_range(struct range *r, struct err *err)
{
        if (r->len)
                TRY(r->fn(r->arg, r->block, r->begin, r->len, err));
        r->len = 0;
        return true;
}

static bool extend(struct range *r, unsigned block, uint64_t offset,
                   uint64_t len, struct err *err)
{
        if (r->len && (r->block != block || r->begin + r->len != offset))
                TRY(flush_range(r, err));
        if (!r->len) {
                r->block = block;
                r->begin = offset;
        }
        r->len += len;
        return true;
}

bool assembler_missing(const struct assembler *a,
                       bool (*fn)(void *arg, unsigned block, uint64_t offset,
                                  uint64_t len, struct err *err),
                       void *arg, struct err *err)
{
        struct range r = {.fn = fn, .arg = arg};

        for (unsigned block = 0; block < a->blocks->count; block++) {
                for (uint64_t i = a->first[block]; i < a->first[block + 1];
                     i++) {
                        const struct chunk_record *c = &a->chunks[i];
                        uint64_t at = (i - a->first[block]) * CHUNK_SIZE;
                        size_t len = chunk_len(a, block, i);

                        if (c->all_seen)
                                continue;
                        if (!c->seen) {
                                TRY(extend(&r, block, at, len, err));
                                continue;
                        }
                        for (size_t p = 0; p < len / a->page_size; p++)
                                if (!(c->seen[p / 64] >> (p % 64) & 1))
                                        TRY(extend(&r, block,
                                                   at + p * a->page_size,
                                                   a->page_size, err));
                }
        }
        return flush_range(&r, err);
}
