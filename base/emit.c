/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/emit.h"

#include <assert.h>
#include <string.h>

void emit_init(struct emit *e, void *bytes, size_t size)
{
        *e = (struct emit){.bytes = bytes, .size = size};
}

size_t emit_room(const struct emit *e)
{
        return e->size - e->len;
}

static uint8_t *claim(struct emit *e, size_t n)
{
        uint8_t *p = e->bytes + e->len;

        assert(n <= emit_room(e));
        e->len += n;
        return p;
}

static void be(struct emit *e, uint64_t v, size_t n)
{
        uint8_t *p = claim(e, n);

        while (n-- > 0) {
                p[n] = (uint8_t)v;
                v >>= 8;
        }
}

static void le(struct emit *e, uint64_t v, size_t n)
{
        uint8_t *p = claim(e, n);

        for (size_t i = 0; i < n; i++) {
                p[i] = (uint8_t)v;
                v >>= 8;
        }
}

void emit_u8(struct emit *e, uint8_t v)
{
        be(e, v, 1);
}

void emit_u16be(struct emit *e, uint16_t v)
{
        be(e, v, 2);
}

void emit_u32be(struct emit *e, uint32_t v)
{
        be(e, v, 4);
}

void emit_u64be(struct emit *e, uint64_t v)
{
        be(e, v, 8);
}

void emit_u32le(struct emit *e, uint32_t v)
{
        le(e, v, 4);
}

void emit_u64le(struct emit *e, uint64_t v)
{
        le(e, v, 8);
}

void emit_bytes(struct emit *e, const void *bytes, size_t len)
{
        uint8_t *p = claim(e, len);

        if (len > 0)
                memcpy(p, bytes, len);
}

void emit_zero(struct emit *e, size_t len)
{
        memset(claim(e, len), 0, len);
}

void emit_str8(struct emit *e, const char *s)
{
        size_t len = strlen(s);

        assert(len <= 255);
        emit_u8(e, (uint8_t)len);
        emit_bytes(e, s, len);
}
