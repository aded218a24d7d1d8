/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/phrase.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

static bool blank(char c)
{
        return c == ' ' || c == '\t';
}

static bool ends_word(char c)
{
        return c == '\0' || isspace((unsigned char)c);
}

static void keep(struct phrase *p, size_t index, const char *from, size_t len)
{
        struct phrase_capture *c = &p->captures[index];

        assert(index < PHRASE_CAPTURES);
        if (len >= sizeof c->text)
                len = sizeof c->text - 1;
        memcpy(c->text, from, len);
        c->text[len] = '\0';
        c->low = c->high = 0;
        p->count = index + 1;
}

static const char *match(const char *text, const char *pattern,
                         struct phrase *p, size_t index);

/* The number's value, as far as 128 bits hold it. */
static const char *number(const char *text, const char *pattern,
                          struct phrase *p, size_t index, bool hex)
{
        const char *at = text;
        uint64_t low = 0, high = 0;
        size_t digits = 0;

        if (hex && at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
                at += 2;
        else if (!hex && *at == '-')
                at++;
        for (; hex ? isxdigit((unsigned char)*at) : isdigit((unsigned char)*at);
             at++, digits++) {
                unsigned char c = (unsigned char)tolower((unsigned char)*at);
                uint64_t v = (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);

                high = hex ? high << 4 | low >> 60 : 0;
                low = hex ? low << 4 | v : low * 10 + v;
        }
        if (digits == 0 || isalnum((unsigned char)*at))
                return NULL;
        keep(p, index, text, (size_t)(at - text));
        p->captures[index].low = low;
        p->captures[index].high = high;
        return match(at, pattern, p, index + 1);
}

static const char *word(const char *text, const char *pattern, struct phrase *p,
                        size_t index)
{
        for (size_t len = 1; !ends_word(text[len - 1]); len++) {
                const char *end;

                /* With nothing behind it, the whole word. */
                if (*pattern == '\0' && !ends_word(text[len]))
                        continue;
                end = match(text + len, pattern, p, index + 1);
                if (end) {
                        size_t count = p->count;

                        keep(p, index, text, len);
                        p->count = count > index ? count : index + 1;
                        return end;
                }
        }
        return NULL;
}

static const char *quoted(const char *text, const char *pattern,
                          struct phrase *p, size_t index)
{
        const char *close;

        if (*text != '\'' && *text != '"' && *text != '`')
                return word(text, pattern, p, index);
        close = strchr(text + 1, *text == '`' ? '\'' : *text);
        if (!close || memchr(text, '\n', (size_t)(close - text)))
                return NULL;
        keep(p, index, text + 1, (size_t)(close - text) - 1);
        return match(close + 1, pattern, p, index + 1);
}

static const char *capture(const char *text, const char *pattern,
                           struct phrase *p, size_t index)
{
        char kind = pattern[1];
        size_t len;

        pattern += 2;
        switch (kind) {
        case 'x':
        case 'd':
                return number(text, pattern, p, index, kind == 'x');
        case 'w':
                return word(text, pattern, p, index);
        case 'q':
                return quoted(text, pattern, p, index);
        default:
                assert(kind == 'l' && *pattern == '\0');
                len = strcspn(text, "\r\n");
                if (len == 0)
                        return NULL;
                keep(p, index, text, len);
                return text + len;
        }
}

static const char *match(const char *text, const char *pattern,
                         struct phrase *p, size_t index)
{
        for (; *pattern; pattern++) {
                if (*pattern == '%')
                        return capture(text, pattern, p, index);
                if (*pattern == ' ') {
                        if (!blank(*text))
                                return NULL;
                        while (blank(*text))
                                text++;
                        continue;
                }
                if (tolower((unsigned char)*text) !=
                    tolower((unsigned char)*pattern))
                        return NULL;
                text++;
        }
        return text;
}

bool phrase_find(const char *text, const char *pattern, struct phrase *out)
{
        for (const char *at = text; *at; at++) {
                const char *end;

                if (at > text &&
                    (*pattern == '%' ? !isspace((unsigned char)at[-1])
                                     : isalnum((unsigned char)at[-1])))
                        continue;
                out->count = 0;
                end = match(at, pattern, out, 0);
                if (!end)
                        continue;
                out->begin = at;
                out->end = end;
                return true;
        }
        return false;
}
