/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A migration stream of any size, made as it is asked for and with nothing of
 * the code under test: header, configuration, one RAMBlock in parts, a device,
 * vmdesc. */
#ifndef STASIS_TESTS_TOOL_SYNTH_STREAM_H
#define STASIS_TESTS_TOOL_SYNTH_STREAM_H

#include "base/limits.h"
#include "qemu/stream_fixture.h"

#define SYNTH_PAGE       ((uint64_t)FIXTURE_PAGE)
#define SYNTH_PER_CHUNK  (CHUNK_SIZE / SYNTH_PAGE)
#define SYNTH_PART_PAGES (64 * SYNTH_PER_CHUNK)
#define SYNTH_DEVICE     32768

enum synth_content {
        SYNTH_FILL,    /* a byte, repeated: costs and compresses to nothing  */
        SYNTH_COUNTER, /* a counter's words: compress, with some work        */
        SYNTH_RANDOM,  /* do not compress                                    */
        SYNTH_GIVEN,   /* the caller's                                       */
};

struct synth {
        uint64_t ram; /* bytes, a multiple of the page                      */
        enum synth_content content;
        const uint8_t *given;  /* all of SYNTH_GIVEN's RAM                  */
        uint64_t per_chunk;    /* of a MiB's pages so many are not zero     */
        uint64_t zero_percent; /* of those that are left, so many are       */
        uint64_t again;        /* pages that come again, otherwise filled   */
        bool (*put)(void *arg, const void *bytes, size_t len);
        void *arg;
        struct fixture f;
};

static inline uint64_t synth_mix(uint64_t n)
{
        n = (n ^ n >> 31) * 0x9e3779b97f4a7c15;
        n = (n ^ n >> 29) * 0xbf58476d1ce4e5b9;
        return n ^ n >> 32;
}

/* Hands on what there is when there may be no room for a page more. */
static inline bool synth_flush(struct synth *s, size_t room)
{
        struct emit *e = &s->f.e;
        size_t len = e->len;

        if (emit_room(e) >= room)
                return true;
        emit_init(e, s->f.bytes, sizeof s->f.bytes);
        return s->put(s->arg, s->f.bytes, len);
}

/* Content that no other page, and no other pass, has. */
static inline void synth_fill(const struct synth *s, uint64_t page,
                              uint64_t pass, uint8_t *out)
{
        uint64_t from = (pass << 56) + page * SYNTH_PAGE / 8;
        uint64_t word;

        if (s->content == SYNTH_FILL) {
                memset(out, (int)(synth_mix(from) % 255 + 1), SYNTH_PAGE);
                memcpy(out, &from, sizeof from);
                return;
        }
        if (s->content == SYNTH_GIVEN) {
                memcpy(out, s->given + page * SYNTH_PAGE, SYNTH_PAGE);
                return;
        }
        for (size_t i = 0; i < SYNTH_PAGE / 8; i++) {
                word = from + i + 1;
                if (s->content == SYNTH_RANDOM)
                        word = synth_mix(word);
                memcpy(out + 8 * i, &word, sizeof word);
        }
}

static inline bool synth_is_zero(const struct synth *s, uint64_t page)
{
        uint64_t in_chunk = page % SYNTH_PER_CHUNK;
        uint64_t first = synth_mix(page / SYNTH_PER_CHUNK);

        if ((in_chunk - first) % SYNTH_PER_CHUNK >= s->per_chunk)
                return true;
        return synth_mix(~page) % 100 < s->zero_percent;
}

static inline bool synth_page(struct synth *s, uint64_t page, uint64_t pass)
{
        struct emit *e = &s->f.e;
        bool first = page == 0 && pass == 0;
        bool zero = pass == 0 && synth_is_zero(s, page);
        uint64_t flags = (first ? 0U : 0x20U) | (zero ? 2U : 8U);

        if (!synth_flush(s, SYNTH_PAGE + 64))
                return false;
        emit_u64be(e, page * SYNTH_PAGE | flags);
        if (first)
                emit_str8(e, "pc.ram");
        if (zero) {
                emit_u8(e, 0);
                return true;
        }
        synth_fill(s, page, pass, e->bytes + e->len);
        e->len += SYNTH_PAGE;
        return true;
}

static inline bool synth_pages(struct synth *s)
{
        uint64_t pages = s->ram / SYNTH_PAGE;

        for (uint64_t i = 0; i < pages; i++) {
                if (i % SYNTH_PART_PAGES == 0)
                        fixture_part(&s->f, 2);
                if (!synth_page(s, i, 0))
                        return false;
                if ((i + 1) % SYNTH_PART_PAGES == 0 || i + 1 == pages)
                        fixture_eos(&s->f);
        }
        fixture_part(&s->f, 3);
        for (uint64_t i = 1; i <= s->again; i++)
                if (!synth_page(s, synth_mix(i) % pages, i % 127 + 1))
                        return false;
        fixture_eos(&s->f);
        return true;
}

/* False as soon as put() said so. */
static inline bool synth_stream(struct synth *s)
{
        struct fixture *f = &s->f;

        fixture_begin(f, true, "pc-i440fx-7.2");
        fixture_section(f, 1, FIXTURE_RAM_ID, "ram", 0, 4);
        emit_u64be(&f->e, s->ram | 4);
        emit_str8(&f->e, "pc.ram");
        emit_u64be(&f->e, s->ram);
        emit_u64be(&f->e, 0x10);
        fixture_footer(f, FIXTURE_RAM_ID);
        if (!synth_pages(s) || !synth_flush(s, 4 * SYNTH_DEVICE))
                return false;
        fixture_device(f, 4, "timer", 0, 24, 0x11, 24);
        fixture_device(f, 5, "0000:00:02.0/vga", 0, SYNTH_DEVICE, 0x04,
                       SYNTH_DEVICE);
        fixture_eof(f, true);
        return s->put(s->arg, f->bytes, f->e.len);
}

#endif
