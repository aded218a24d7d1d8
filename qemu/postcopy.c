/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/postcopy.h"

#include "base/cursor.h"
#include "base/io.h"
#include "base/progress.h"
#include "qemu/emission.h"
#include "qemu/stream_format.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Version of POSTCOPY_RAM_DISCARD. */
#define DISCARD_VERSION 0

/* Behind a bitmap. */
#define BITMAP_END UINT64_C(0x0123456789abcdef)

/* ---- what is sent -------------------------------------------------------- */

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

/* ---- what comes back ----------------------------------------------------- */

#define HEAD_SIZE 4
/* A message's payload; QEMU's longest is a request with a name, 268 bytes. */
#define PAYLOAD_MAX 512

struct return_path {
        int fd;
        size_t begin, end;
        uint8_t bytes[16 * 1024];
        char block[256]; /* of the last request that named one */
};

struct return_path *return_path_new(int fd)
{
        struct return_path *r = calloc(1, sizeof *r);

        if (r)
                r->fd = fd;
        return r;
}

void return_path_free(struct return_path *r)
{
        free(r);
}

/* At least want bytes in the buffer; false in *there_out: not in time, or the
 * end (*ended_out). */
static bool fill(struct return_path *r, size_t want, int timeout_ms,
                 bool *there_out, bool *ended_out, struct err *err)
{
        struct pollfd p = {.fd = r->fd, .events = POLLIN};

        *there_out = true;
        *ended_out = false;
        while (r->end - r->begin < want) {
                ssize_t n;

                if (r->begin > 0) {
                        memmove(r->bytes, r->bytes + r->begin,
                                r->end - r->begin);
                        r->end -= r->begin;
                        r->begin = 0;
                }
                n = recv(r->fd, r->bytes + r->end, sizeof r->bytes - r->end,
                         MSG_DONTWAIT);
                if (n > 0) {
                        r->end += (size_t)n;
                        continue;
                }
                *there_out = false;
                *ended_out = n == 0 || errno == ECONNRESET || errno == EPIPE;
                if (*ended_out)
                        return true;
                if (errno != EAGAIN && errno != EINTR)
                        return err_os(err, errno, "return path: recv");
                n = poll(&p, 1, timeout_ms);
                if (n < 0 && errno != EINTR)
                        return err_os(err, errno, "poll");
                if (n <= 0)
                        return true;
                *there_out = true;
        }
        return true;
}

static bool bad(unsigned type, size_t len, struct err *err)
{
        return err_set(err, ERR_QEMU,
                       "the destination sends what is no message (type %u, "
                       "%zu bytes)",
                       type, len);
}

static bool request(struct return_path *r, struct cursor *c, bool named,
                    struct return_message *out)
{
        TRY(cursor_u64be(c, "start", &out->start));
        TRY(cursor_u32be(c, "length", &out->len));
        if (named)
                TRY(cursor_str8(c, "RAMBlock", r->block));
        out->type = RETURN_REQUEST;
        memcpy(out->block, r->block, sizeof out->block);
        return true;
}

static bool parse(struct return_path *r, unsigned type, size_t len,
                  struct return_message *out, struct err *err)
{
        struct cursor c;

        cursor_init(&c, r->bytes + r->begin + HEAD_SIZE, len, 0, "return path",
                    err);
        *out = (struct return_message){.type = (enum return_type)type};
        switch (type) {
        case RETURN_SHUT:
        case RETURN_PONG:
        case RETURN_RESUMED:
                return cursor_u32be(&c, "value", &out->value);
        case RETURN_REQUEST_BLOCK:
        case RETURN_REQUEST:
                return request(r, &c, type == RETURN_REQUEST_BLOCK, out);
        case RETURN_BITMAP:
                return cursor_str8(&c, "RAMBlock", out->block);
        case RETURN_SWITCHOVER:
                return true;
        default:
                return bad(type, len, err);
        }
}

bool return_path_next(struct return_path *r, int timeout_ms,
                      struct return_message *out, struct err *err)
{
        const uint8_t *p;
        bool there, ended;
        unsigned type;
        size_t len;

        *out = (struct return_message){.type = RETURN_NONE};
        TRY(fill(r, HEAD_SIZE, timeout_ms, &there, &ended, err));
        if (there) {
                p = r->bytes + r->begin;
                type = (unsigned)p[0] << 8 | p[1];
                len = (size_t)p[2] << 8 | p[3];
                if (len > PAYLOAD_MAX)
                        return bad(type, len, err);
                TRY(fill(r, HEAD_SIZE + len, 10000, &there, &ended, err));
                if (there) {
                        TRY(parse(r, type, len, out, err));
                        r->begin += HEAD_SIZE + len;
                        return true;
                }
                if (!ended)
                        return err_set(err, ERR_QEMU,
                                       "the destination stops in the middle "
                                       "of a message");
        }
        if (ended)
                out->type = RETURN_ENDED;
        return true;
}

size_t postcopy_bits_size(uint64_t pages)
{
        return (size_t)((pages + 63) / 64 * 8);
}

/* What is in the buffer first. */
static bool take(struct return_path *r, int timeout_ms, uint8_t *out,
                 size_t len, struct err *err)
{
        while (len > 0) {
                bool there, ended;
                size_t now;

                TRY(fill(r, 1, timeout_ms, &there, &ended, err));
                if (!there)
                        return err_set(err, ERR_QEMU,
                                       "the destination stops in the middle "
                                       "of a bitmap");
                now = r->end - r->begin;
                if (now > len)
                        now = len;
                memcpy(out, r->bytes + r->begin, now);
                r->begin += now;
                out += now;
                len -= now;
        }
        return true;
}

bool return_path_bits(struct return_path *r, int timeout_ms, uint8_t *bits,
                      uint64_t pages, struct err *err)
{
        uint8_t number[8];
        struct cursor c;
        uint64_t size, end;

        TRY(take(r, timeout_ms, number, sizeof number, err));
        cursor_init(&c, number, sizeof number, 0, "return path", err);
        TRY(cursor_u64be(&c, "bitmap's size", &size));
        if (size != postcopy_bits_size(pages))
                return err_set(err, ERR_QEMU, "a bitmap of %llu bytes, not %zu",
                               (unsigned long long)size,
                               postcopy_bits_size(pages));
        TRY(take(r, timeout_ms, bits, (size_t)size, err));
        TRY(take(r, timeout_ms, number, sizeof number, err));
        cursor_init(&c, number, sizeof number, 0, "return path", err);
        TRY(cursor_u64be(&c, "bitmap's end", &end));
        return end == BITMAP_END ||
               err_set(err, ERR_QEMU, "a bitmap that does not end as one");
}
