/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/tar_check.h"

#include "format/stasis_format.h"

#include <stdio.h>
#include <stdlib.h>
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

/* The value of a pax record "LEN path=VALUE\n". */
static bool pax_path(const uint8_t *p, size_t len, char *out, size_t room)
{
        while (len > 0) {
                char digits[12] = "";
                size_t n, head;

                for (head = 0; head < len && head < 10 && p[head] != ' ';
                     head++)
                        digits[head] = (char)p[head];
                n = strtoul(digits, NULL, 10);
                if (n < head + 3 || n > len || p[n - 1] != '\n')
                        return false;
                if (n > head + 6 && memcmp(p + head, " path=", 6) == 0) {
                        n -= head + 7;
                        if (n >= room)
                                return false;
                        memcpy(out, p + head + 6, n);
                        out[n] = '\0';
                        return true;
                }
                p += n;
                len -= n;
        }
        return false;
}

static void ustar_path(const uint8_t *h, char *out, size_t room)
{
        int prefix = (int)strnlen((const char *)h + PREFIX_AT, PREFIX_LEN);
        int name = (int)strnlen((const char *)h + NAME_AT, NAME_LEN);

        snprintf(out, room, "%.*s%s%.*s", prefix, (const char *)h + PREFIX_AT,
                 prefix ? "/" : "", name, (const char *)h + NAME_AT);
}

bool tar_check(const uint8_t *gap, size_t len, size_t padding, uint64_t offset,
               const char *name, uint64_t size, struct err *err)
{
        char path[1024] = "";
        const uint8_t *h;
        uint64_t stored;

        for (size_t i = 0; i < padding; i++)
                if (gap[i])
                        return bad(err, offset + i,
                                   "padding of the member before is not zero");
        h = gap + padding;
        len -= padding;
        offset += padding;
        if (len > TAR_BLOCK) {
                if (h[TYPE_AT] != 'x' || !sum_ok(h) ||
                    !octal(h + SIZE_AT, SIZE_LEN, &stored) ||
                    stored > len - TAR_BLOCK ||
                    !pax_path(h + TAR_BLOCK, (size_t)stored, path, sizeof path))
                        return bad(err, offset, "damaged pax header");
                h += len - TAR_BLOCK;
                offset += len - TAR_BLOCK;
        }
        if (!sum_ok(h) || (h[TYPE_AT] != '0' && h[TYPE_AT] != 0))
                return bad(err, offset, "damaged tar header");
        if (!path[0])
                ustar_path(h, path, sizeof path);
        if (!octal(h + SIZE_AT, SIZE_LEN, &stored) || stored != size ||
            strcmp(path, name) != 0)
                return bad(err, offset,
                           "the tar header is of another member than the "
                           "index says");
        return true;
}
