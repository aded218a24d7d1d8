/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The length of the UTF-8 sequence at s if it is well-formed (no overlong
 * form, no surrogate) and printable as far as a terminal is concerned (no C0,
 * C1 or DEL), else 0. */
static size_t utf8_printable(const unsigned char *s)
{
        unsigned lead = s[0], code;
        size_t n;

        if (lead < 0x80)
                return lead >= 0x20 && lead != 0x7f && lead != '\\';
        if (lead >= 0xc2 && lead <= 0xdf)
                n = 2;
        else if ((lead & 0xf0) == 0xe0)
                n = 3;
        else if (lead >= 0xf0 && lead <= 0xf4)
                n = 4;
        else
                return 0;
        code = lead & (0x7fU >> n);
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                code = code << 6 | (s[i] & 0x3fU);
        }
        if (code < 0xa0 || (n == 3 && code < 0x800) ||
            (n == 4 && (code < 0x10000 || code > 0x10ffff)) ||
            (code >= 0xd800 && code <= 0xdfff))
                return 0;
        /* Line and paragraph separators; marks that reorder the line. */
        if ((code >= 0x2028 && code <= 0x202e) ||
            (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
            code == 0x200f)
                return 0;
        return n;
}

const char *text_escape(const char *s, char *out, size_t size)
{
        const unsigned char *p = (const unsigned char *)s;
        size_t len = 0, fits = 0;

        assert(size >= 4);
        while (*p) {
                size_t n = utf8_printable(p), need = n ? n : 4;

                if (len + need >= size)
                        break;
                if (n)
                        memcpy(out + len, p, n);
                else
                        snprintf(out + len, 5, "\\x%02x", *p);
                p += n ? n : 1;
                len += need;
                /* A whole character, and room for "..." behind it. */
                if (len + 3 < size)
                        fits = len;
        }
        if (*p) {
                memcpy(out + fits, "...", 3);
                len = fits + 3;
        }
        out[len] = '\0';
        return out;
}

const char *text_bytes(uint64_t bytes, char *out, size_t size)
{
        static const char *const units[] = {"KiB", "MiB", "GiB",
                                            "TiB", "PiB", "EiB"};
        double value = (double)bytes / 1024;
        unsigned u = 0;

        if (bytes < 1024) {
                snprintf(out, size, "%u bytes", (unsigned)bytes);
                return out;
        }
        /* Not "1024.0 KiB". */
        while (value >= 1023.95 && u < 5) {
                value /= 1024;
                u++;
        }
        snprintf(out, size, "%.1f %s", value, units[u]);
        return out;
}

char *text_shell_quote(const char *word)
{
        static const char safe[] = "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_-./:=,+@%";
        size_t len = strlen(word);
        char *out, *p;

        if (len > 0 && strspn(word, safe) == len)
                return strdup(word);
        if (len > (SIZE_MAX - 3) / 4)
                return NULL;
        out = p = malloc(4 * len + 3);
        if (!out)
                return NULL;
        *p++ = '\'';
        for (; *word; word++) {
                if (*word == '\'') {
                        memcpy(p, "'\\''", 4);
                        p += 4;
                } else {
                        *p++ = *word;
                }
        }
        *p++ = '\'';
        *p = '\0';
        return out;
}
