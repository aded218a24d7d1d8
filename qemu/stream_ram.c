/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RAM records.  A record is be64 (offset | flags), a block name unless
 * CONTINUE, and what its flag says.  "The same block" carries over from one
 * section to the next.  (spec/migration-stream.md, "RAM")
 */
#include "base/inflate.h"
#include "base/emit.h"
#include "base/text.h"
#include "qemu/stream_private.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_SIZE 8

struct record {
        uint64_t offset; /* without flags */
        unsigned flags;  /* without CONTINUE */
        bool again;      /* CONTINUE */
        size_t len;      /* of record and name */
};

static uint64_t be64_at(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof v);
        return __builtin_bswap64(v);
}

static bool bad_at(struct stream *s, struct err *err, enum status status,
                   const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static bool bad_at(struct stream *s, struct err *err, enum status status,
                   const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        err_setv(err, status, fmt, ap);
        va_end(ap);
        err_at(err, source_offset(s->source));
        err_in_section(err, "ram");
        return false;
}

/*
 * The page size is in the stream only for targets where it varies, and in the
 * vmdesc, which comes last and has the last word.  Before that, the first
 * records tell: behind a page there is a record of another page of the same
 * block, or EOS and what may follow it; behind a zero page's record, the
 * record of the next page.
 */
static bool follows(const uint8_t *p, uint64_t total, uint32_t page_size,
                    uint32_t section_id)
{
        uint8_t footer[FOOTER_SIZE];
        uint64_t record = be64_at(p);
        uint64_t flags = record & (page_size - 1);
        struct emit e;

        if (record == RAM_EOS) {
                emit_init(&e, footer, sizeof footer);
                emit_u8(&e, ITEM_FOOTER);
                emit_u32be(&e, section_id);
                return memcmp(p + RECORD_SIZE, footer, sizeof footer) == 0 ||
                       p[RECORD_SIZE] <= ITEM_COMMAND;
        }
        /* Compressing threads finish out of order: any page will do. */
        return record < total && (flags == (RAM_PAGE | RAM_CONTINUE) ||
                                  flags == (RAM_ZERO | RAM_CONTINUE) ||
                                  flags == (RAM_COMPRESS_PAGE | RAM_CONTINUE));
}

static bool guess_behind_page(struct stream *s, size_t head,
                              uint32_t section_id, struct err *err)
{
        static const uint32_t sizes[] = {4096, 8192, 16384, 65536, 2048,
                                         1024, 256,  32768, 512};

        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                size_t need = head + sizes[i] + RECORD_SIZE + FOOTER_SIZE;
                struct err ended = ERR_INIT;
                const uint8_t *p;

                /* A short stream of small pages ends before a larger guess. */
                if (!stream_view(s, need, &p, &ended)) {
                        if (ended.status == ERR_TRUNCATED)
                                continue;
                        *err = ended;
                        return false;
                }
                if (follows(p + head + sizes[i], s->ram.total, sizes[i],
                            section_id)) {
                        s->page_size = sizes[i];
                        return true;
                }
        }
        return bad_at(s, err, ERR_CORRUPT,
                      "no target page size fits the first page and what "
                      "follows it");
}

static bool guess_behind_zero(struct stream *s, size_t head, uint64_t offset,
                              struct err *err)
{
        const uint8_t *p;
        uint64_t step;

        TRY(stream_view(s, head + 1 + RECORD_SIZE, &p, err));
        step = (be64_at(p + head + 1) & ~(uint64_t)(TARGET_PAGE_MIN - 1)) -
               offset;
        if (step >= TARGET_PAGE_MIN && step <= TARGET_PAGE_MAX &&
            (step & (step - 1)) == 0)
                s->page_size = (uint32_t)step;
        else
                s->page_size = 4096; /* vmdesc has the last word */
        return true;
}

static bool find_page_size(struct stream *s, uint32_t section_id,
                           struct err *err)
{
        const uint8_t *p;
        uint64_t record;
        size_t head;

        if (s->config.page_bits)
                s->page_size = 1U << s->config.page_bits;
        else
                s->page_size = s->advised_page_size;
        if (s->page_size)
                return true;
        TRY(stream_view(s, RECORD_SIZE + 1, &p, err));
        record = be64_at(p);
        if (record == RAM_EOS || record == RAM_MULTIFD_FLUSH)
                return true; /* an empty part: the next one tells */
        head = RECORD_SIZE + 1 + (size_t)p[RECORD_SIZE];
        if (record & RAM_PAGE)
                return guess_behind_page(s, head, section_id, err);
        if (record & RAM_ZERO)
                return guess_behind_zero(
                        s, head, record & ~(uint64_t)(TARGET_PAGE_MIN - 1),
                        err);
        s->page_size = 4096; /* COMPRESS_PAGE: x86 and ppc; vmdesc tells */
        return true;
}

/* The block that a page record names, or the last one. */
static bool record_block(struct stream *s, struct record *r, struct err *err)
{
        char name[256], shown[300];
        const uint8_t *p;
        size_t len;

        if (r->again)
                return s->last_block >= 0 ||
                       bad_at(s, err, ERR_CORRUPT,
                              "record for the same block as before, but there "
                              "was none");
        TRY(stream_view(s, RECORD_SIZE + 1, &p, err));
        len = p[RECORD_SIZE];
        TRY(stream_view(s, RECORD_SIZE + 1 + len, &p, err));
        memcpy(name, p + RECORD_SIZE + 1, len);
        name[len] = '\0';
        r->len += 1 + len;
        s->last_block = ram_blocks_find(&s->ram, name);
        if (s->last_block < 0)
                return bad_at(s, err, ERR_CORRUPT,
                              "page of RAMBlock '%s', which is not in the "
                              "list",
                              text_escape(name, shown, sizeof shown));
        return true;
}

static bool check_offset(struct stream *s, const struct record *r,
                         struct err *err)
{
        const struct ram_block *b = &s->ram.blocks[s->last_block];

        if (r->offset < b->size && b->size - r->offset >= s->page_size)
                return true;
        return bad_at(s, err, ERR_CORRUPT,
                      "page at 0x%" PRIx64 " of a RAMBlock of 0x%" PRIx64
                      " bytes",
                      r->offset, b->size);
}

/* Tells the page; the record with its body of `len` bytes is then taken. */
static bool tell(struct stream *s, const struct record *r, enum page_kind kind,
                 size_t skip, size_t len, struct err *err)
{
        const uint8_t *p;

        TRY(stream_view(s, r->len + skip + len, &p, err));
        TRY(s->events.page(s->events.arg, (unsigned)s->last_block, r->offset,
                           kind, p + r->len + skip, len, err));
        source_take(s->source, r->len + skip + len);
        return true;
}

static bool xbzrle_record(struct stream *s, const struct record *r,
                          struct err *err)
{
        const uint8_t *p;
        size_t len;

        TRY(stream_view(s, r->len + 3, &p, err));
        p += r->len;
        len = (size_t)p[1] << 8 | p[2];
        if (p[0] != 1 || len > s->page_size)
                return bad_at(s, err, ERR_CORRUPT,
                              "XBZRLE record with encoding %u and length %zu",
                              p[0], len);
        return tell(s, r, PAGE_DELTA, 3, len, err);
}

static bool compressed_record(struct stream *s, const struct record *r,
                              struct err *err)
{
        const uint8_t *p;
        uint32_t len;

        TRY(stream_view(s, r->len + 4, &p, err));
        memcpy(&len, p + r->len, sizeof len);
        len = __builtin_bswap32(len);
        /* QEMU's own bound: compressBound of a page. */
        if (len == 0 || len > s->page_size + (s->page_size >> 3) + 64)
                return bad_at(s, err, ERR_CORRUPT,
                              "compressed page of %u bytes", len);
        TRY(stream_view(s, r->len + 4 + len, &p, err));
        if (!inflate_zlib(s->page, s->page_size, p + r->len + 4, len, err)) {
                err_at(err, source_offset(s->source));
                return err_in_section(err, "ram");
        }
        TRY(s->events.page(s->events.arg, (unsigned)s->last_block, r->offset,
                           PAGE_RAW, s->page, s->page_size, err));
        source_take(s->source, r->len + 4 + len);
        return true;
}

static bool page_record(struct stream *s, struct record *r, struct err *err)
{
        TRY(record_block(s, r, err));
        TRY(check_offset(s, r, err));
        switch (r->flags) {
        case RAM_PAGE:
                return tell(s, r, PAGE_RAW, 0, s->page_size, err);
        case RAM_ZERO:
                return tell(s, r, PAGE_FILL, 0, 1, err);
        case RAM_XBZRLE:
                return xbzrle_record(s, r, err);
        default:
                return compressed_record(s, r, err);
        }
}

static bool other_record(struct stream *s, const struct record *r,
                         struct err *err)
{
        if (r->flags == RAM_MULTIFD_FLUSH && r->offset == 0 && !r->again) {
                s->multifd = true;
                source_take(s->source, RECORD_SIZE);
                return stream_barrier(s, err);
        }
        if (r->flags == RAM_HOOK)
                return bad_at(s, err, ERR_UNSUPPORTED,
                              "an RDMA migration: its pages are not in the "
                              "stream");
        return bad_at(s, err, ERR_CORRUPT,
                      "unknown combination of RAM record flags 0x%x",
                      r->flags | (r->again ? RAM_CONTINUE : 0U));
}

bool stream_ram_records(struct stream *s, uint32_t section_id, struct err *err)
{
        if (!s->page_size)
                TRY(find_page_size(s, section_id, err));
        for (;;) {
                uint64_t mask = (s->page_size ? s->page_size : 4096U) - 1;
                struct record r = {.len = RECORD_SIZE};
                const uint8_t *p;
                uint64_t record;

                TRY(stream_view(s, RECORD_SIZE, &p, err));
                record = be64_at(p);
                r.offset = record & ~mask;
                r.again = record & RAM_CONTINUE;
                r.flags = (unsigned)(record & mask & ~(uint64_t)RAM_CONTINUE);
                if (r.flags == RAM_EOS && r.offset == 0 && !r.again) {
                        source_take(s->source, RECORD_SIZE);
                        /* Without FLUSH each end of a section is one. */
                        return s->ram.multifd_flush || stream_barrier(s, err);
                }
                if (s->page_size &&
                    (r.flags == RAM_PAGE || r.flags == RAM_ZERO ||
                     r.flags == RAM_XBZRLE || r.flags == RAM_COMPRESS_PAGE))
                        TRY(page_record(s, &r, err));
                else
                        TRY(other_record(s, &r, err));
        }
}
