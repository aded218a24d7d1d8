/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/postcopy.h"

#include "qemu/emission.h"
#include "qemu/stream_format.h"

#include <string.h>
#include <unistd.h>

/* Version of POSTCOPY_RAM_DISCARD. */
#define DISCARD_VERSION 0

/* Writes if there is something to write to, counts in any case. */
struct tally {
        struct emit *out;
        size_t len;
};

static void u8(struct tally *t, uint8_t v)
{
        t->len += 1;
        if (t->out)
                emit_u8(t->out, v);
}

static void u16(struct tally *t, uint16_t v)
{
        t->len += 2;
        if (t->out)
                emit_u16be(t->out, v);
}

static void u32(struct tally *t, uint32_t v)
{
        t->len += 4;
        if (t->out)
                emit_u32be(t->out, v);
}

static void u64(struct tally *t, uint64_t v)
{
        t->len += 8;
        if (t->out)
                emit_u64be(t->out, v);
}

static void bytes(struct tally *t, const void *p, size_t len)
{
        t->len += len;
        if (t->out)
                emit_bytes(t->out, p, len);
}

static void name(struct tally *t, const char *s)
{
        u8(t, (uint8_t)strlen(s));
        bytes(t, s, strlen(s));
}

static void command(struct tally *t, enum stream_command c, size_t len)
{
        u8(t, ITEM_COMMAND);
        u16(t, (uint16_t)c);
        u16(t, (uint16_t)len);
}

static void footer(struct tally *t, const struct devices *d, uint32_t id)
{
        if (!d->footers)
                return;
        u8(t, ITEM_FOOTER);
        u32(t, id);
}

static void advise(struct tally *t, const struct devices *d,
                   const uint64_t *page_sizes, uint32_t target_page_size)
{
        uint64_t all = 0;

        for (unsigned i = 0; i < d->ram.count; i++)
                all |= page_sizes[i];
        command(t, COMMAND_POSTCOPY_ADVISE, 16);
        u64(t, all);
        u64(t, target_page_size);
}

/* A destination that was advised wants to be told page sizes other than its
 * system's. */
static void ram_start(struct tally *t, const struct devices *d,
                      const uint64_t *page_sizes)
{
        u8(t, ITEM_START);
        u32(t, d->ram.section_id);
        name(t, "ram");
        u32(t, 0);
        u32(t, RAM_VERSION);
        u64(t, d->ram.total | RAM_MEM_SIZE);
        for (unsigned i = 0; i < d->ram.count; i++) {
                name(t, d->ram.blocks[i].name);
                u64(t, d->ram.blocks[i].size);
                if (page_sizes[i] != (uint64_t)sysconf(_SC_PAGESIZE))
                        u64(t, page_sizes[i]);
        }
        u64(t, RAM_EOS);
        footer(t, d, d->ram.section_id);
}

static void discard(struct tally *t, const struct ram_block *b)
{
        command(t, COMMAND_POSTCOPY_RAM_DISCARD, 3 + strlen(b->name) + 16);
        u8(t, DISCARD_VERSION);
        name(t, b->name);
        u8(t, 0);
        u64(t, 0);
        u64(t, b->size);
}

static size_t item_len(const struct devices *d, const struct device_section *s)
{
        return (size_t)(s->payload - s->item) + s->len +
               (d->footers ? FOOTER_SIZE : 0);
}

static void sections(struct tally *t, const struct devices *d, bool early)
{
        for (size_t i = 0; i < d->count; i++) {
                const struct device_section *s = &d->list[i];

                if (!s->live && s->early == early)
                        bytes(t, s->item, item_len(d, s));
        }
}

size_t postcopy_opening(const struct devices *d, const uint64_t *page_sizes,
                        uint32_t target_page_size, struct emit *out)
{
        struct tally t = {.out = out};
        uint8_t link[EMISSION_LINK_SIZE];

        emission_link(link);
        bytes(&t, d->head, d->head_len);
        bytes(&t, link, sizeof link);
        advise(&t, d, page_sizes, target_page_size);
        sections(&t, d, true);
        ram_start(&t, d, page_sizes);
        /* Without one QEMU would load the pages as precopy's, into memory that
         * it watches for faults: it hangs for ever. */
        for (unsigned i = 0; i < d->ram.count; i++)
                discard(&t, &d->ram.blocks[i]);
        return t.len;
}

static size_t package(const struct devices *d, struct emit *out)
{
        struct tally t = {.out = out};

        command(&t, COMMAND_POSTCOPY_LISTEN, 0);
        sections(&t, d, false);
        command(&t, COMMAND_POSTCOPY_RUN, 0);
        return t.len;
}

size_t postcopy_package(const struct devices *d, struct emit *out)
{
        struct tally t = {.out = out};
        size_t len = package(d, NULL);

        command(&t, COMMAND_PACKAGED, 4);
        u32(&t, (uint32_t)len);
        if (out)
                package(d, out);
        return t.len + len;
}

size_t postcopy_end(const struct devices *d, struct emit *out)
{
        struct tally t = {.out = out};

        u8(&t, ITEM_END);
        u32(&t, d->ram.section_id);
        u64(&t, RAM_EOS);
        footer(&t, d, d->ram.section_id);
        u8(&t, ITEM_EOF);
        return t.len;
}

void postcopy_ask_bitmap(const char *block, struct emit *out)
{
        struct tally t = {.out = out};

        command(&t, COMMAND_RECV_BITMAP, 1 + strlen(block));
        name(&t, block);
}

void postcopy_resume(struct emit *out)
{
        struct tally t = {.out = out};

        command(&t, COMMAND_POSTCOPY_RESUME, 0);
}
