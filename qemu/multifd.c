/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/multifd.h"

#include "base/text.h"

#include <string.h>

#define MAGIC   0x11223344U
#define VERSION 1U

#define FLAG_SYNC 0x01U
#define FLAG_ZSTD 0x04U

/* Offsets in a packet. */
#define BLOCK_NAME 64
#define PAGES      320

static bool check_magic(struct cursor *c)
{
        uint32_t magic, version;

        TRY(cursor_u32be(c, "magic", &magic));
        if (magic != MAGIC)
                return cursor_bad(c, ERR_CORRUPT, "magic 0x%08x, not 0x%08x",
                                  magic, MAGIC);
        TRY(cursor_u32be(c, "version", &version));
        return version == VERSION ||
               cursor_bad(c, ERR_UNSUPPORTED, "multifd version %u, not %u",
                          version, VERSION);
}

bool multifd_hello_parse(const uint8_t bytes[MULTIFD_HELLO_SIZE],
                         unsigned channels, unsigned *id_out, struct err *err)
{
        struct cursor c;
        uint8_t id;

        cursor_init(&c, bytes, MULTIFD_HELLO_SIZE, 0, "multifd greeting", err);
        TRY(check_magic(&c));
        TRY(cursor_skip(&c, "uuid", 16));
        TRY(cursor_u8(&c, "channel", &id));
        *id_out = id;
        return id < channels ||
               cursor_bad(&c, ERR_CORRUPT, "channel %u of %u", id, channels);
}

size_t multifd_header_size(uint32_t page_size)
{
        return PAGES + 8 * (size_t)(MULTIFD_PAGES_BYTES / page_size);
}

/* What a method is called for which QEMU has a flag. */
static const char *method_name(uint32_t flags)
{
        switch (flags) {
        case 0:
                return "none";
        case 0x02:
                return "zlib";
        case FLAG_ZSTD:
                return "zstd";
        case 0x08:
                return "qpl";
        case 0x10:
                return "uadk";
        case 0x20:
                return "qatzip";
        default:
                return "an unknown method";
        }
}

/* A packet without pages may name no method. */
static bool check_flags(struct cursor *c, uint32_t flags, bool pages, bool zstd)
{
        uint32_t method = flags & 0x3e;

        if (flags & 0x40)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "device state over multifd (vfio)");
        if (flags & ~0x3fU)
                return cursor_bad(c, ERR_UNSUPPORTED, "flags 0x%x", flags);
        if (method == (zstd ? FLAG_ZSTD : 0) || !pages)
                return true;
        return cursor_bad(c, ERR_UNSUPPORTED, "compressed with %s, not %s",
                          method_name(method), zstd ? "zstd" : "none");
}

static uint64_t be64_at(const uint8_t *p)
{
        uint64_t v;

        memcpy(&v, p, sizeof v);
        return __builtin_bswap64(v);
}

uint64_t multifd_offset(const struct multifd_packet *p, unsigned n)
{
        return be64_at(p->page + 8 * (size_t)n);
}

static bool check_pages(struct cursor *c, const uint8_t *head,
                        uint32_t page_size, const struct ram_blocks *blocks,
                        struct multifd_packet *p)
{
        char name[256], shown[300];
        uint64_t size;
        int block;

        memcpy(name, head + BLOCK_NAME, sizeof name);
        if (!memchr(name, 0, sizeof name))
                return cursor_bad(c, ERR_CORRUPT, "a name without an end");
        block = ram_blocks_find(blocks, name);
        if (block < 0)
                return cursor_bad(c, ERR_CORRUPT, "no RAMBlock %s",
                                  text_escape(name, shown, sizeof shown));
        size = blocks->blocks[block].size;
        p->block = (unsigned)block;
        for (unsigned i = 0; i < p->normal + p->zero; i++) {
                uint64_t at = multifd_offset(p, i);

                if (at % page_size || at >= size || size - at < page_size)
                        return cursor_bad(
                                c, ERR_CORRUPT, "a page at 0x%llx of %s",
                                (unsigned long long)at,
                                text_escape(name, shown, sizeof shown));
        }
        return true;
}

static bool check_payload(struct cursor *c, uint32_t page_size, bool zstd,
                          struct multifd_packet *p)
{
        /* Without pages it is what it was in the packet before. */
        if (p->normal == 0)
                p->payload = 0;
        else if (p->payload == 0 || p->payload > MULTIFD_PAYLOAD_MAX ||
                 (!zstd && p->payload != p->normal * page_size))
                return cursor_bad(c, ERR_CORRUPT, "%u bytes for %u pages",
                                  p->payload, p->normal);
        return true;
}

bool multifd_packet_parse(const uint8_t *head, uint32_t page_size, bool zstd,
                          const struct ram_blocks *blocks,
                          struct multifd_packet *out, struct err *err)
{
        uint32_t most = MULTIFD_PAGES_BYTES / page_size;
        uint32_t flags, normal, zero;
        struct cursor c;

        *out = (struct multifd_packet){.page = head + PAGES};
        cursor_init(&c, head, multifd_header_size(page_size), 0,
                    "multifd packet", err);
        TRY(check_magic(&c));
        TRY(cursor_u32be(&c, "flags", &flags));
        out->sync = flags & FLAG_SYNC;
        TRY(cursor_skip(&c, "pages allocated", 4));
        TRY(cursor_u32be(&c, "pages", &normal));
        TRY(cursor_u32be(&c, "payload", &out->payload));
        TRY(cursor_u64be(&c, "number", &out->number));
        TRY(cursor_u32be(&c, "zero pages", &zero));
        if (normal > most || zero > most - normal)
                return cursor_bad(&c, ERR_CORRUPT,
                                  "%u pages and %u of zeros, of %u", normal,
                                  zero, most);
        TRY(check_flags(&c, flags, normal > 0, zstd));
        out->normal = normal;
        out->zero = zero;
        TRY(check_payload(&c, page_size, zstd, out));
        return normal + zero == 0 ||
               check_pages(&c, head, page_size, blocks, out);
}
