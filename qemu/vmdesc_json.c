/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The JSON of vmdesc made fit for a JSON reader: see fields_parse. */
#include "qemu/fields.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* Deeper is no vmdesc; the JSON reader has its own limit, too. */
#define DEPTH_MAX 512

struct text {
        char *bytes; /* owned */
        size_t len, room;
};

struct scan {
        const uint8_t *in;
        size_t len, at;
        struct text out;
        /* Of each open container: whether the next string is a key, and how
         * many "vmsd_name" it has had.  Arrays have no keys. */
        struct {
                bool object, at_key;
                unsigned seen;
        } open[DEPTH_MAX];
        size_t depth;
};

static bool put(struct text *t, const void *bytes, size_t len, struct err *err)
{
        if (len > t->room - t->len) {
                size_t room = 2 * (t->len + len);
                char *grown = realloc(t->bytes, room);

                if (!grown)
                        return err_nomem(err);
                t->bytes = grown;
                t->room = room;
        }
        memcpy(t->bytes + t->len, bytes, len);
        t->len += len;
        return true;
}

static bool is_key(const uint8_t *s, size_t len, const char *key)
{
        return len == strlen(key) && memcmp(s, key, len) == 0;
}

static bool is_repeated(const uint8_t *s, size_t len)
{
        return is_key(s, len, "vmsd_name") || is_key(s, len, "version") ||
               is_key(s, len, "fields") || is_key(s, len, "subsections");
}

/* A string from its quote on; numbered when it is a key that came before. */
static bool string(struct scan *s, struct err *err)
{
        const uint8_t *begin = s->in + ++s->at;
        size_t len, top = s->depth - 1;
        char suffix[24] = "";

        while (s->at < s->len && s->in[s->at] != '"')
                s->at += s->in[s->at] == '\\' ? 2 : 1;
        if (s->at >= s->len)
                return err_set(err, ERR_CORRUPT, "a string without end");
        len = (size_t)(s->in + s->at - begin);
        if (s->depth && s->open[top].at_key && is_repeated(begin, len)) {
                if (is_key(begin, len, "vmsd_name"))
                        s->open[top].seen++;
                if (s->open[top].seen > 1)
                        snprintf(suffix, sizeof suffix, "#%u",
                                 s->open[top].seen - 1);
        }
        return put(&s->out, "\"", 1, err) && put(&s->out, begin, len, err) &&
               put(&s->out, suffix, strlen(suffix), err) &&
               put(&s->out, "\"", 1, err);
}

static bool structure(struct scan *s, uint8_t c, struct err *err)
{
        if (c == '{' || c == '[') {
                if (s->depth == DEPTH_MAX)
                        return err_set(err, ERR_CORRUPT, "nested too deeply");
                s->open[s->depth].object = s->open[s->depth].at_key = c == '{';
                s->open[s->depth++].seen = 0;
        } else if (c == '}' || c == ']') {
                if (s->depth == 0)
                        return err_set(err, ERR_CORRUPT, "not JSON");
                s->depth--;
        } else if (s->depth && (c == ',' || c == ':')) {
                s->open[s->depth - 1].at_key =
                        c == ',' && s->open[s->depth - 1].object;
        }
        return true;
}

static bool scan(struct scan *s, struct err *err)
{
        for (; s->at < s->len; s->at++) {
                if (s->in[s->at] == '"') {
                        TRY(string(s, err));
                        continue;
                }
                TRY(structure(s, s->in[s->at], err));
                TRY(put(&s->out, s->in + s->at, 1, err));
        }
        return true;
}

bool fields_parse(const uint8_t *json, size_t len, json_t **out,
                  struct err *err)
{
        struct scan s = {.in = json, .len = len};
        bool ok;

        if (len > LIMIT_VMDESC_BYTES)
                return err_set(err, ERR_LIMIT, "vmdesc is too large");
        ok = scan(&s, err);
        *out = ok ? json_loadb(s.out.bytes, s.out.len, 0, NULL) : NULL;
        free(s.out.bytes);
        if (ok && !*out)
                err_set(err, ERR_CORRUPT, "not JSON");
        return *out || err_in_section(err, "vmdesc");
}
