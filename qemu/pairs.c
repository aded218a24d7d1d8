/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU has two grammars for this (QemuOpts and keyval) and JSON beside them;
 * for keys and values that do not repeat they say the same.
 */
#include "qemu/pairs.h"

#include "base/cleanup.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MAX_PAIRS 4096
#define MAX_KEY   512

void pairs_fini(struct pairs *p)
{
        for (size_t i = 0; i < p->count; i++) {
                free(p->list[i].key);
                free(p->list[i].value);
        }
        free(p->list);
        *p = (struct pairs){0};
}

/* Takes both. */
static bool append(struct pairs *p, char *key, char *value, struct err *err)
{
        struct pair *grown = NULL;

        if (key && p->count < MAX_PAIRS)
                grown = reallocarray(p->list, p->count + 1, sizeof *grown);
        if (!grown) {
                free(key);
                free(value);
                return err_nomem(err);
        }
        p->list = grown;
        p->list[p->count++] = (struct pair){key, value};
        return true;
}

bool pairs_add(struct pairs *p, const char *key, const char *value,
               struct err *err)
{
        char *copy;

        if (!value)
                return true;
        copy = strdup(value);
        if (!copy)
                return err_nomem(err);
        return append(p, strdup(key), copy, err);
}

/* ---- text ---------------------------------------------------------------- */

/* The value that starts at *s, up to a comma that is not doubled; *s then
 * stands at that comma or the end. */
static char *take_value(const char **s)
{
        char *out = malloc(strlen(*s) + 1), *to = out;

        for (; out && **s && (**s != ',' || (*s)[1] == ','); ++*s) {
                if (**s == ',')
                        ++*s;
                *to++ = **s;
        }
        if (out)
                *to = '\0';
        return out;
}

static bool parse_pair(struct pairs *p, const char **s, const char *implied,
                       struct err *err)
{
        size_t key_len = strcspn(*s, "=,");
        char *key, *value;

        if ((*s)[key_len] == '=') {
                key = strndup(*s, key_len);
                *s += key_len + 1;
                value = take_value(s);
                if (!value) {
                        free(key);
                        return err_nomem(err);
                }
                return append(p, key, value, err);
        }
        value = take_value(s);
        if (!value)
                return err_nomem(err);
        if (implied)
                return append(p, strdup(implied), value, err);
        return append(p, value, NULL, err);
}

static bool parse_text(const char *s, const char *implied, struct pairs *out,
                       struct err *err)
{
        while (*s) {
                TRY(parse_pair(out, &s, implied, err));
                implied = NULL;
                s += *s == ',';
        }
        return true;
}

/* ---- JSON ---------------------------------------------------------------- */

static bool flatten(struct pairs *out, const char *key, const json_t *value,
                    struct err *err);

static bool flatten_member(struct pairs *out, const char *under,
                           const char *name, const json_t *value,
                           struct err *err)
{
        char key[MAX_KEY];
        int n;

        n = snprintf(key, sizeof key, "%s%s%s", under, *under ? "." : "", name);
        if (n < 0 || n >= (int)sizeof key)
                return err_set(err, ERR_MISMATCH, "a key is too long");
        return flatten(out, key, value, err);
}

static bool flatten(struct pairs *out, const char *key, const json_t *value,
                    struct err *err)
{
        CLEANUP_FREE char *number = NULL;
        const char *name;
        json_t *member;
        char index[24];
        size_t i;

        json_object_foreach((json_t *)(uintptr_t)value, name, member)
                TRY(flatten_member(out, key, name, member, err));
        json_array_foreach(value, i, member)
        {
                snprintf(index, sizeof index, "%zu", i);
                TRY(flatten_member(out, key, index, member, err));
        }
        switch (json_typeof(value)) {
        case JSON_STRING:
                return pairs_add(out, key, json_string_value(value), err);
        case JSON_TRUE:
        case JSON_FALSE:
                return pairs_add(out, key, json_is_true(value) ? "on" : "off",
                                 err);
        case JSON_INTEGER:
        case JSON_REAL:
                number = json_dumps(value, JSON_ENCODE_ANY);
                return number ? pairs_add(out, key, number, err)
                              : err_nomem(err);
        default:
                return true;
        }
}

bool pairs_parse(const char *arg, const char *implied, struct pairs *out,
                 struct err *err)
{
        json_auto_t *json = NULL;

        *out = (struct pairs){0};
        if (arg[0] != '{')
                return parse_text(arg, implied, out, err);
        json = json_loads(arg, JSON_REJECT_DUPLICATES, NULL);
        if (!json)
                return err_set(err, ERR_MISMATCH, "not valid JSON");
        return flatten(out, "", json, err);
}

/* ---- looking and picking ------------------------------------------------- */

const char *pairs_get(const struct pairs *p, const char *key)
{
        for (size_t i = p->count; i-- > 0;)
                if (strcmp(p->list[i].key, key) == 0)
                        return p->list[i].value ? p->list[i].value : "on";
        return NULL;
}

const char *pairs_get_under(const struct pairs *p, const char *prefix,
                            const char *key)
{
        char whole[MAX_KEY];
        int n = snprintf(whole, sizeof whole, "%s%s", prefix, key);

        if (n < 0 || n >= (int)sizeof whole)
                return NULL;
        return pairs_get(p, whole);
}

static bool is_at(const char *key, const char *name)
{
        size_t n = strlen(name);

        return strncmp(key, name, n) == 0 && (key[n] == '.' || key[n] == '\0');
}

bool pairs_have(const struct pairs *p, const char *key)
{
        for (size_t i = 0; i < p->count; i++)
                if (is_at(p->list[i].key, key))
                        return true;
        return false;
}

static void pick(struct pairs *p, const char *const *keys, bool listed)
{
        size_t n = 0;

        for (size_t i = 0; i < p->count; i++) {
                struct pair pair = p->list[i];
                bool found = false;

                for (const char *const *k = keys; *k && !found; k++)
                        found = is_at(pair.key, *k);
                if (found == listed) {
                        p->list[n++] = pair;
                } else {
                        free(pair.key);
                        free(pair.value);
                }
        }
        p->count = n;
}

void pairs_keep(struct pairs *p, const char *const *keys)
{
        pick(p, keys, true);
}

void pairs_drop(struct pairs *p, const char *const *keys)
{
        pick(p, keys, false);
}

char *pairs_text(const struct pairs *p)
{
        size_t size = 1;
        char *out, *to;

        for (size_t i = 0; i < p->count; i++) {
                const char *v = p->list[i].value;

                size += strlen(p->list[i].key) + 2 + (v ? 2 * strlen(v) : 0);
        }
        out = to = malloc(size);
        if (!out)
                return NULL;
        for (size_t i = 0; i < p->count; i++) {
                if (i > 0)
                        *to++ = ',';
                to = stpcpy(to, p->list[i].key);
                if (!p->list[i].value)
                        continue;
                *to++ = '=';
                for (const char *v = p->list[i].value; *v; v++) {
                        if (*v == ',')
                                *to++ = ',';
                        *to++ = *v;
                }
        }
        *to = '\0';
        return out;
}
