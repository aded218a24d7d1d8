/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/assemble.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "format/name.h"
#include "qemu/stream_format.h"
#include "save/patches.h"

#include <assert.h>
#include <string.h>

#define STRAYS_MAX 64
/* What QEMU leaves for the pause of 300 ms is seldom more: places. */
#define PREPARED_MAX 128
#define PAGES_MAX    (CHUNK_SIZE / TARGET_PAGE_MIN) /* of a chunk */

enum chunk_state {
        CHUNK_UNTOUCHED, /* no page went into a buffer                      */
        CHUNK_OPEN,
        CHUNK_SUBMITTED, /* in the writer's hands; written or dropped as zero */
};

struct chunk_record {
        uint64_t data_offset; /* where its stored bytes are                  */
        uint64_t *seen;       /* a bit a page; NULL: none, or all, have come */
        uint64_t *patched;    /* a bit a page that has a patch; NULL: none   */
        uint32_t place;       /* of its patches, plus 1; 0: none yet         */
        uint32_t stored_len : 24; /* 0: zero, not written                    */
        uint32_t state : 4;       /* enum chunk_state                        */
        uint32_t all_seen : 1;
        uint32_t written : 1; /* data_offset and stored_len are known        */
};

_Static_assert(sizeof(struct chunk_record) == 32, "a promise of the header");

struct assembler {
        struct writer *w;
        const struct ram_blocks *blocks;
        struct chunk_record *chunks; /* of all blocks, one after the other   */
        uint64_t *first;             /* a block's first chunk; [count]: all  */
        struct patches *patches;
        /* The chunk that is open.  Memory is touched for content only: zero
         * pages are most of many a guest's. */
        bool is_open;
        uint64_t open_chunk;
        struct chunk *open; /* borrowed from the writer; NULL: all zero yet */
        uint64_t blank[PAGES_MAX / 64]; /* its pages still to be zeroed      */
        size_t open_missing; /* pages of it that have not come               */
        bool any_order;
        unsigned strays; /* pages for others since the last one for it   */
        uint32_t page_size;
        uint64_t pages_again;
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
        if (!patches_new(spool_dir, &a->patches, err)) {
                assembler_free(a);
                return false;
        }
        *out = a;
        return true;
}

void assembler_expect_any_order(struct assembler *a)
{
        a->any_order = true;
}

bool assembler_expect_haste(struct assembler *a, struct err *err)
{
        uint64_t chunks = a->first[a->blocks->count];

        return patches_prepare(
                a->patches,
                chunks < PREPARED_MAX ? (uint32_t)chunks : PREPARED_MAX, err);
}

void assembler_free(struct assembler *a)
{
        if (!a)
                return;
        for (uint64_t i = 0; a->chunks && i < a->first[a->blocks->count]; i++) {
                free(a->chunks[i].seen);
                free(a->chunks[i].patched);
        }
        if (a->open)
                writer_return(a->w, a->open);
        free(a->chunks);
        free(a->first);
        patches_free(a->patches);
        free(a);
}

static size_t chunk_len(const struct assembler *a, unsigned block,
                        uint64_t chunk)
{
        uint64_t begin = (chunk - a->first[block]) * CHUNK_SIZE;
        uint64_t left = a->blocks->blocks[block].size - begin;

        return left < CHUNK_SIZE ? (size_t)left : (size_t)CHUNK_SIZE;
}

void assembler_written(struct assembler *a, uint64_t tag, uint64_t data_offset,
                       uint32_t stored_len)
{
        struct chunk_record *c = &a->chunks[tag];

        c->data_offset = data_offset;
        c->stored_len = stored_len & 0xffffff;
        c->written = true;
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

/* ---- pages for a chunk that is not open ---------------------------------- */

static bool has_patch(const struct chunk_record *c, size_t page)
{
        return c->patched && c->patched[page / 64] >> (page % 64) & 1;
}

static bool reserve_place(struct assembler *a, struct chunk_record *c,
                          size_t pages, struct err *err)
{
        if (!c->patched)
                c->patched = calloc((pages + 63) / 64, sizeof *c->patched);
        if (!c->patched)
                return err_nomem(err);
        if (!c->place)
                c->place = patches_place(a->patches) + 1;
        return true;
}

static bool keep_page(struct assembler *a, struct chunk_record *c, size_t page,
                      const uint8_t *bytes, struct err *err)
{
        c->patched[page / 64] |= UINT64_C(1) << (page % 64);
        return patches_write(a->patches, c->place - 1, page * a->page_size,
                             bytes, a->page_size, err);
}

/* The chunk as it was written. */
static bool read_written(struct writer *from, const struct chunk_record *c,
                         uint8_t *bytes, size_t len, struct err *err)
{
        if (c->stored_len > 0)
                return writer_read_back(from, c->data_offset, c->stored_len,
                                        bytes, len, err);
        memset(bytes, 0, len);
        return true;
}

/* Each page of it that has no patch gets one, so that deltas can follow. */
static bool patch_all(struct assembler *a, struct chunk_record *c, size_t len,
                      struct err *err)
{
        CLEANUP_FREE uint8_t *bytes = malloc(CHUNK_SIZE);

        if (!bytes)
                return err_nomem(err);
        if (!c->written)
                TRY(writer_flush(a->w, err));
        TRY(read_written(a->w, c, bytes, len, err));
        for (size_t page = 0; page * a->page_size < len; page++)
                if (!has_patch(c, page))
                        TRY(keep_page(a, c, page, bytes + page * a->page_size,
                                      err));
        return true;
}

static bool add_patch(struct assembler *a, struct chunk_record *c, size_t len,
                      size_t page, enum page_kind kind, const uint8_t *bytes,
                      size_t bytes_len, struct err *err)
{
        uint8_t content[TARGET_PAGE_MAX];

        TRY(reserve_place(a, c, len / a->page_size, err));
        if (kind == PAGE_RAW)
                return keep_page(a, c, page, bytes, err);
        if (kind == PAGE_DELTA && !has_patch(c, page))
                TRY(patch_all(a, c, len, err));
        if (kind == PAGE_DELTA)
                TRY(patches_read(a->patches, c->place - 1, page * a->page_size,
                                 content, a->page_size, err));
        TRY(apply(content, a->page_size, kind, bytes, bytes_len, err));
        return keep_page(a, c, page, content, err);
}

static bool apply_patches(struct assembler *a, struct chunk_record *c,
                          uint8_t *chunk, size_t len, struct err *err)
{
        for (size_t page = 0; page * a->page_size < len; page++)
                if (has_patch(c, page))
                        TRY(patches_read(a->patches, c->place - 1,
                                         page * a->page_size,
                                         chunk + page * a->page_size,
                                         a->page_size, err));
        free(c->patched);
        c->patched = NULL;
        return true;
}

/* ---- the open chunk ------------------------------------------------------ */

static bool begin_chunk(struct assembler *a, struct writer *w, unsigned block,
                        uint64_t chunk, struct err *err)
{
        struct chunk *b;

        if (a->dir_block != block)
                name_ram_dir(a->blocks->blocks[block].name, a->dir);
        a->dir_block = block;
        TRY(writer_borrow(w, &b, err));
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

static bool submit(struct assembler *a, struct err *err)
{
        a->is_open = false;
        a->chunks[a->open_chunk].state = CHUNK_SUBMITTED;
        if (!a->open) {
                assembler_written(a, a->open_chunk, 0, 0);
                return true;
        }
        fill_blanks(a);
        a->open->drop_zero = true;
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
                TRY(begin_chunk(a, a->w, block, a->open_chunk, err));
        to = a->open->bytes + page * a->page_size;
        if (kind == PAGE_DELTA && is_blank(a, page))
                memset(to, 0, a->page_size);
        a->blank[page / 64] &= ~bit;
        return apply(to, a->page_size, kind, bytes, len, err);
}

/* What has come of the open chunk becomes patches, and it is open no more. */
static bool shelve(struct assembler *a, struct err *err)
{
        struct chunk_record *c = &a->chunks[a->open_chunk];
        struct chunk *b = steal(a->open);
        size_t pages = b ? b->len / a->page_size : 0;
        bool ok = !b || reserve_place(a, c, pages, err);

        a->is_open = false;
        c->state = CHUNK_UNTOUCHED;
        for (size_t page = 0; ok && page < pages; page++) {
                uint8_t *bytes = b->bytes + page * a->page_size;

                if (!(c->seen[page / 64] >> (page % 64) & 1))
                        continue;
                if (is_blank(a, page))
                        memset(bytes, 0, a->page_size);
                ok = keep_page(a, c, page, bytes, err);
        }
        if (b)
                writer_return(a->w, b);
        return ok;
}

static bool open_chunk(struct assembler *a, unsigned block, uint64_t chunk,
                       size_t pages, struct err *err)
{
        struct chunk_record *c = &a->chunks[chunk];
        size_t seen = 0;

        if (a->is_open)
                TRY(a->any_order ? shelve(a, err) : submit(a, err));
        a->is_open = true;
        a->open_chunk = chunk;
        memset(a->blank, 0xff, sizeof a->blank);
        c->state = CHUNK_OPEN;
        for (size_t i = 0; c->seen && i < (pages + 63) / 64; i++)
                seen += (size_t)__builtin_popcountll(c->seen[i]);
        a->open_missing = pages - seen;
        if (!c->patched)
                return true;
        TRY(begin_chunk(a, a->w, block, chunk, err));
        fill_blanks(a);
        return apply_patches(a, c, a->open->bytes, a->open->len, err);
}

/*
 * Whether an untouched chunk becomes the open one.  A page from elsewhere in
 * the middle of the first pass (a background snapshot serves write faults out
 * of order) is a patch; many without one for the open chunk mean that the pass
 * moved on and that it has pages that never come.
 */
static bool moves_on(struct assembler *a)
{
        bool moves = !a->is_open || ++a->strays >= STRAYS_MAX;

        if (moves)
                a->strays = 0;
        return moves;
}

bool assembler_page(struct assembler *a, uint32_t page_size, unsigned block,
                    uint64_t offset, enum page_kind kind, const uint8_t *bytes,
                    size_t len, struct err *err)
{
        uint64_t chunk = a->first[block] + offset / CHUNK_SIZE;
        size_t page = (size_t)(offset % CHUNK_SIZE) / page_size;
        size_t chunk_bytes = chunk_len(a, block, chunk);
        size_t pages = chunk_bytes / page_size;
        struct chunk_record *c = &a->chunks[chunk];
        bool again;

        a->page_size = page_size;
        if (c->state == CHUNK_UNTOUCHED && moves_on(a))
                TRY(open_chunk(a, block, chunk, pages, err));
        TRY(see(a, c, pages, page, &again, err));
        a->pages_again += again;
        if (c->state == CHUNK_OPEN) {
                a->strays = 0;
                TRY(put_page(a, block, page, kind, bytes, len, err));
                /* At once, so that RAM stays before items that follow it. */
                return a->open_missing > 0 || submit(a, err);
        }
        if (!again && kind == PAGE_DELTA)
                return err_set(err, ERR_CORRUPT,
                               "XBZRLE delta for a page that has not come");
        return add_patch(a, c, chunk_bytes, page, kind, bytes, len, err);
}

/* Into w, which is a->w or another one: as the writer has it (nothing, if it
 * has none), with what came since. */
static bool write_again(struct assembler *a, struct writer *w, unsigned block,
                        uint64_t chunk, struct err *err)
{
        struct chunk_record *c = &a->chunks[chunk];
        struct chunk *b;

        TRY(begin_chunk(a, w, block, chunk, err));
        b = steal(a->open);
        /* An earlier one of that name must be replaced, even by zeros. */
        b->drop_zero = w != a->w || c->stored_len == 0;
        c->state = CHUNK_SUBMITTED;
        if (read_written(a->w, c, b->bytes, b->len, err) &&
            apply_patches(a, c, b->bytes, b->len, err))
                return writer_submit(w, b, err);
        writer_return(w, b);
        return false;
}

bool assembler_flush(struct assembler *a, struct err *err)
{
        if (a->is_open)
                TRY(submit(a, err));
        return writer_flush(a->w, err);
}

bool assembler_end(struct assembler *a, struct err *err)
{
        for (unsigned block = 0; block < a->blocks->count; block++)
                for (uint64_t i = a->first[block]; i < a->first[block + 1]; i++)
                        if (a->chunks[i].patched)
                                TRY(write_again(a, a->w, block, i, err));
        return writer_flush(a->w, err);
}

bool assembler_end_in(struct assembler *a, struct writer *w, struct err *err)
{
        for (unsigned block = 0; block < a->blocks->count; block++)
                for (uint64_t i = a->first[block]; i < a->first[block + 1]; i++)
                        if (a->chunks[i].patched || a->chunks[i].stored_len)
                                TRY(write_again(a, w, block, i, err));
        TRY(writer_flush(w, err));
        a->w = w;
        return true;
}

uint64_t assembler_superseded(const struct assembler *a)
{
        uint64_t bytes = 0;

        for (uint64_t i = 0; i < a->first[a->blocks->count]; i++)
                if (a->chunks[i].patched)
                        bytes += a->chunks[i].stored_len;
        return bytes;
}

uint64_t assembler_pages_again(const struct assembler *a)
{
        return a->pages_again;
}

uint64_t assembler_zero_bytes(const struct assembler *a)
{
        uint64_t bytes = 0;

        for (unsigned block = 0; block < a->blocks->count; block++)
                for (uint64_t i = a->first[block]; i < a->first[block + 1]; i++)
                        if (a->chunks[i].stored_len == 0)
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
