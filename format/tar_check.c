/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/tar_check.h"

#include "format/stasis_format.h"

#include <stdio.h>
#include <string.h>

/* ustar header fields (POSIX.1-2017, pax): offset and length. */
enum {
        NAME_AT = 0,
        NAME_LEN = 100,
        SIZE_AT = 124,
        SIZE_LEN = 12,
        SUM_AT = 148,
        SUM_LEN = 8,
        TYPE_AT = 156,
        PREFIX_AT = 345,
        PREFIX_LEN = 155,
};

static bool bad(struct err *err, uint64_t offset, const char *why)
{
        err_at(err, offset);
        return err_set(err, ERR_CORRUPT, "%s", why);
}

static bool octal(const uint8_t *p, size_t len, uint64_t *out)
{
        size_t i = 0;

        *out = 0;
        for (; i < len && p[i] >= '0' && p[i] <= '7'; i++)
                *out = *out << 3 | (uint64_t)(p[i] - '0');
        return i > 0 && (i == len || p[i] == ' ' || p[i] == 0);
}

static bool sum_ok(const uint8_t *h)
{
        uint64_t stored, sum = 0;

        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += i >= SUM_AT && i < SUM_AT + SUM_LEN ? ' ' : h[i];
        return octal(h + SUM_AT, SUM_LEN, &stored) && stored == sum;
}

/* What pax records may say of a member here. */
struct pax {
        char path[1024]; /* "": nothing */
        bool has_size;
        uint64_t size;
};

static bool decimal(const uint8_t *p, size_t len, uint64_t *out)
{
        *out = 0;
        for (size_t i = 0; i < len; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return false;
                *out = *out * 10 + (uint64_t)(p[i] - '0');
        }
        /* So many digits cannot overflow. */
        return len > 0 && len <= 18;
}

static bool take_record(const uint8_t *p, size_t len, struct pax *out)
{
        if (len > 5 && memcmp(p, "path=", 5) == 0) {
                len -= 5;
                if (len >= sizeof out->path || memchr(p + 5, 0, len))
                        return false;
                memcpy(out->path, p + 5, len);
                out->path[len] = '\0';
        } else if (len > 5 && memcmp(p, "size=", 5) == 0) {
                out->has_size = true;
                return decimal(p + 5, len - 5, &out->size);
        }
        return true;
}

/* Records "LEN KEY=VALUE\n"; LEN counts all of it. */
static bool parse_records(const uint8_t *p, size_t len, struct pax *out)
{
        while (len > 0) {
                const uint8_t *space = memchr(p, ' ', len < 10 ? len : 10);
                size_t head = space ? (size_t)(space - p) : 0;
                uint64_t n;

                if (!space || !decimal(p, head, &n) || n > len ||
                    n < head + 3 || p[n - 1] != '\n' ||
                    !take_record(space + 1, (size_t)n - head - 2, out))
                        return false;
                p += n;
                len -= (size_t)n;
        }
        return true;
}

/* A pax header and its records, and nothing else, in the blocks at h. */
static bool parse_pax(const uint8_t *h, size_t len, struct pax *out)
{
        uint64_t stored;

        return h[TYPE_AT] == 'x' && sum_ok(h) &&
               octal(h + SIZE_AT, SIZE_LEN, &stored) &&
               stored <= len - TAR_BLOCK &&
               len - TAR_BLOCK - stored < TAR_BLOCK &&
               parse_records(h + TAR_BLOCK, (size_t)stored, out);
}

static void ustar_path(const uint8_t *h, char *out, size_t room)
{
        int prefix = (int)strnlen((const char *)h + PREFIX_AT, PREFIX_LEN);
        int name = (int)strnlen((const char *)h + NAME_AT, NAME_LEN);

        snprintf(out, room, "%.*s%s%.*s", prefix, (const char *)h + PREFIX_AT,
                 prefix ? "/" : "", name, (const char *)h + NAME_AT);
}

/* The ustar header at h, together with what pax records said before. */
static bool fits(const uint8_t *h, struct pax *pax, const char *name,
                 uint64_t size)
{
        uint64_t stored = pax->size;

        if (!pax->path[0])
                ustar_path(h, pax->path, sizeof pax->path);
        return (pax->has_size || octal(h + SIZE_AT, SIZE_LEN, &stored)) &&
               stored == size && strcmp(pax->path, name) == 0;
}

bool tar_check(const uint8_t *gap, size_t len, uint64_t offset,
               const char *name, uint64_t size, struct err *err)
{
        size_t padding = (size_t)(-offset % TAR_BLOCK);
        struct pax pax = {.path = ""};
        const uint8_t *h;

        if (len < padding + TAR_BLOCK || (len - padding) % TAR_BLOCK != 0)
                return bad(err, offset, "no room for a tar header");
        for (size_t i = 0; i < padding; i++)
                if (gap[i])
                        return bad(err, offset + i,
                                   "padding of the member before is not zero");
        h = gap + padding + (len - padding - TAR_BLOCK);
        if (len - padding > TAR_BLOCK &&
            !parse_pax(gap + padding, (size_t)(h - gap) - padding, &pax))
                return bad(err, offset + padding, "damaged pax header");
        offset += (uint64_t)(h - gap);
        if (!sum_ok(h) || (h[TYPE_AT] != '0' && h[TYPE_AT] != 0))
                return bad(err, offset, "damaged tar header");
        if (!fits(h, &pax, name, size))
                return bad(err, offset,
                           "the tar header is of another member than the "
                           "index says");
        return true;
}
