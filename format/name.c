/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/name.h"

#include "format/digest.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMPONENT_CUT  180
#define ADDRESS_DIGITS 16

static bool is_plain(unsigned char c, bool first)
{
        return c > ' ' && c < 0x7f && c != '/' && c != '%' &&
               !(first && c == '.');
}

const char *name_component(const char *foreign, char out[NAME_COMPONENT_MAX])
{
        static const char hex[] = "0123456789ABCDEF";
        size_t len = 0;

        for (const char *p = foreign; *p; p++) {
                unsigned char c = (unsigned char)*p;
                bool plain = is_plain(c, p == foreign);

                if (len + (plain ? 1 : 3) > COMPONENT_CUT) {
                        snprintf(out + len, NAME_COMPONENT_MAX - len,
                                 "~%016" PRIx64,
                                 digest_short(foreign, strlen(foreign)));
                        return out;
                }
                if (plain) {
                        out[len++] = (char)c;
                } else {
                        out[len++] = '%';
                        out[len++] = hex[c >> 4];
                        out[len++] = hex[c & 15];
                }
        }
        out[len] = '\0';
        return out;
}

/* Could name_component have made it? */
static bool is_component(const char *s)
{
        if (strlen(s) >= NAME_COMPONENT_MAX)
                return false;
        for (const char *p = s; *p; p++) {
                if (*p == '%') {
                        if (!isxdigit((unsigned char)p[1]) ||
                            !isxdigit((unsigned char)p[2]) ||
                            islower((unsigned char)p[1]) ||
                            islower((unsigned char)p[2]))
                                return false;
                        p += 2;
                } else if (!is_plain((unsigned char)*p, p == s)) {
                        return false;
                }
        }
        return *s != '\0';
}

static unsigned hex_digit(char c)
{
        return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

bool name_foreign(const char *component, char out[NAME_COMPONENT_MAX])
{
        char again[NAME_COMPONENT_MAX];
        size_t len = 0;

        if (!is_component(component))
                return false;
        for (const char *p = component; *p; p++) {
                if (*p != '%') {
                        out[len++] = *p;
                        continue;
                }
                out[len++] = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
                p += 2;
        }
        out[len] = '\0';
        return strcmp(name_component(out, again), component) == 0;
}

const char *name_ram_dir(const char *block, char out[512])
{
        char component[NAME_COMPONENT_MAX];

        snprintf(out, 512, "ram/%s", name_component(block, component));
        return out;
}

const char *name_disk_dir(const char *disk, char out[512])
{
        char component[NAME_COMPONENT_MAX];

        snprintf(out, 512, "disk/%s", name_component(disk, component));
        return out;
}

const char *name_stream_dir(unsigned item, const char *kind, const char *idstr,
                            char out[512])
{
        char component[NAME_COMPONENT_MAX];

        if (idstr[0])
                snprintf(out, 512, "stream/%06u.%s.%s", item, kind,
                         name_component(idstr, component));
        else
                snprintf(out, 512, "stream/%06u.%s", item, kind);
        return out;
}

static bool bad(struct err *err, const char *why)
{
        return err_set(err, ERR_CORRUPT, "member name: %s", why);
}

/* ADDRESS or ADDRESS.zst, and nothing else. */
static bool parse_address(const char *s, struct name *out, struct err *err)
{
        out->address = 0;
        for (int i = 0; i < ADDRESS_DIGITS; i++) {
                unsigned digit;

                if (s[i] >= '0' && s[i] <= '9')
                        digit = (unsigned)(s[i] - '0');
                else if (s[i] >= 'a' && s[i] <= 'f')
                        digit = (unsigned)(s[i] - 'a') + 10;
                else
                        return bad(err, "not 16 hex digits of an address");
                out->address = out->address << 4 | digit;
        }
        out->zst = strcmp(s + ADDRESS_DIGITS, ".zst") == 0;
        if (!out->zst && s[ADDRESS_DIGITS])
                return bad(err, "unknown suffix");
        return true;
}

/* "stream/NNNNNN.KIND" or "stream/NNNNNN.KIND.COMPONENT" in out->dir. */
static bool parse_item(struct name *out, struct err *err)
{
        const char *s = out->dir + strlen("stream/");
        size_t len;

        out->item = 0;
        for (int i = 0; i < 6; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return bad(err, "not six digits of an item");
                out->item = out->item * 10 + (unsigned)(s[i] - '0');
        }
        if (s[6] != '.')
                return bad(err, "no kind of item");
        s += 7;
        len = strcspn(s, ".");
        if (len == 0 || len >= sizeof out->kind)
                return bad(err, "no kind of item");
        memcpy(out->kind, s, len);
        out->kind[len] = '\0';
        if (s[len] && !is_component(s + len + 1))
                return bad(err, "not a component");
        return true;
}

static bool starts(const char *s, const char *prefix)
{
        return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A line break in a name would make two lines of the index of it. */
static bool is_printable(const char *s)
{
        while (*s > ' ' && *s < 0x7f)
                s++;
        return *s == '\0';
}

bool name_parse(const char *member, struct name *out, struct err *err)
{
        struct name n = {.class = NAME_UNKNOWN};
        const char *slash = strrchr(member, '/');
        const char *prefix;

        if (!is_printable(member))
                return bad(err, "not printable ASCII");
        if (starts(member, "stasis/"))
                n.class = NAME_STASIS;
        else if (starts(member, "ram/"))
                n.class = NAME_RAM;
        else if (starts(member, "disk/"))
                n.class = NAME_DISK;
        else if (starts(member, "stream/"))
                n.class = NAME_STREAM;
        if (n.class == NAME_STASIS || n.class == NAME_UNKNOWN) {
                *out = n;
                return true;
        }
        prefix = strchr(member, '/') + 1;
        if (slash < prefix || (size_t)(slash - member) >= sizeof n.dir ||
            memchr(prefix, '/', (size_t)(slash - prefix)) || slash == prefix)
                return bad(err, "not TOP/COMPONENT/ADDRESS");
        memcpy(n.dir, member, (size_t)(slash - member));
        if (n.class == NAME_STREAM)
                TRY(parse_item(&n, err));
        else if (!is_component(n.dir + (prefix - member)))
                return bad(err, "not a component");
        n.zeros = n.class == NAME_DISK && strcmp(slash, "/zeros") == 0;
        if (!n.zeros)
                TRY(parse_address(slash + 1, &n, err));
        *out = n;
        return true;
}
