/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cursor.h"

#include <stdio.h>
#include <string.h>

void cursor_init(struct cursor *c, const void *bytes, size_t len,
                 uint64_t origin, const char *section, struct err *err)
{
        *c = (struct cursor){
                .bytes = bytes,
                .len = len,
                .origin = origin,
                .section = section,
                .field = "",
                .err = err,
        };
}

size_t cursor_left(const struct cursor *c)
{
        return c->len - c->pos;
}

uint64_t cursor_offset(const struct cursor *c)
{
        return c->origin + c->pos;
}

bool cursor_bad(struct cursor *c, enum status status, const char *fmt, ...)
{
        va_list ap;

        if (c->err->status != ERR_NONE)
                return false;
        va_start(ap, fmt);
        err_setv(c->err, status, fmt, ap);
        va_end(ap);
        err_at(c->err, c->origin + c->field_pos);
        err_in_section(c->err, c->section);
        if (!c->err->field[0])
                snprintf(c->err->field, sizeof c->err->field, "%s", c->field);
        return false;
}

static bool take(struct cursor *c, const char *field, uint64_t n,
                 const uint8_t **out)
{
        c->field = field;
        c->field_pos = c->pos;
        if (n > cursor_left(c)) {
                cursor_bad(c, ERR_TRUNCATED, "needs %llu bytes, %zu are left",
                           (unsigned long long)n, cursor_left(c));
                return false;
        }
        *out = c->bytes + c->pos;
        c->pos += (size_t)n;
        return true;
}

static uint64_t be(const uint8_t *p, size_t n)
{
        uint64_t v = 0;

        for (size_t i = 0; i < n; i++)
                v = v << 8 | p[i];
        return v;
}

static uint64_t le(const uint8_t *p, size_t n)
{
        uint64_t v = 0;

        for (size_t i = n; i-- > 0;)
                v = v << 8 | p[i];
        return v;
}

bool cursor_u8(struct cursor *c, const char *field, uint8_t *out)
{
        const uint8_t *p;

        TRY(take(c, field, 1, &p));
        *out = *p;
        return true;
}

bool cursor_u16be(struct cursor *c, const char *field, uint16_t *out)
{
        const uint8_t *p;

        TRY(take(c, field, 2, &p));
        *out = (uint16_t)be(p, 2);
        return true;
}

bool cursor_u32be(struct cursor *c, const char *field, uint32_t *out)
{
        const uint8_t *p;

        TRY(take(c, field, 4, &p));
        *out = (uint32_t)be(p, 4);
        return true;
}

bool cursor_u64be(struct cursor *c, const char *field, uint64_t *out)
{
        const uint8_t *p;

        TRY(take(c, field, 8, &p));
        *out = be(p, 8);
        return true;
}

bool cursor_u32le(struct cursor *c, const char *field, uint32_t *out)
{
        const uint8_t *p;

        TRY(take(c, field, 4, &p));
        *out = (uint32_t)le(p, 4);
        return true;
}

bool cursor_u64le(struct cursor *c, const char *field, uint64_t *out)
{
        const uint8_t *p;

        TRY(take(c, field, 8, &p));
        *out = le(p, 8);
        return true;
}

bool cursor_view(struct cursor *c, const char *field, uint64_t n,
                 const uint8_t **out)
{
        return take(c, field, n, out);
}

bool cursor_skip(struct cursor *c, const char *field, uint64_t n)
{
        const uint8_t *p;

        return take(c, field, n, &p);
}

bool cursor_str8(struct cursor *c, const char *field, char out[256])
{
        size_t begin = c->pos;
        const uint8_t *p;
        uint8_t len;

        TRY(cursor_u8(c, field, &len));
        TRY(take(c, field, len, &p));
        c->field_pos = begin;
        if (memchr(p, 0, len))
                return cursor_bad(c, ERR_CORRUPT, "a name that holds NUL");
        memcpy(out, p, len);
        out[len] = '\0';
        return true;
}

bool cursor_sub(struct cursor *c, const char *field, uint64_t n,
                struct cursor *child)
{
        uint64_t origin = cursor_offset(c);
        const uint8_t *p;

        TRY(take(c, field, n, &p));
        cursor_init(child, p, (size_t)n, origin, c->section, c->err);
        return true;
}

bool cursor_zero(struct cursor *c, const char *field, size_t n)
{
        const uint8_t *p;

        TRY(take(c, field, n, &p));
        for (size_t i = 0; i < n; i++)
                if (p[i])
                        return cursor_bad(c, ERR_CORRUPT,
                                          "reserved byte %zu is 0x%02x, not 0",
                                          i, p[i]);
        return true;
}

bool cursor_done(struct cursor *c)
{
        c->field = "";
        c->field_pos = c->pos;
        if (c->pos != c->len)
                return cursor_bad(c, ERR_CORRUPT, "%zu bytes are left over",
                                  c->len - c->pos);
        return true;
}
