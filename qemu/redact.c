/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An argument is one of: a word after an option whose whole value is secret,
 * a JSON object, or KEY=VALUE pairs separated by commas, where a comma within
 * a value is written twice.  A value may itself be json:{...}.  When in doubt
 * the whole value goes.
 */
#include "qemu/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const secret_keys[] = {
        "password", "passwd", "pass",   "passphrase",         "cookie", "key",
        "osk",      "append", "string", "initiator-password", NULL,
};

static bool in_list(const char *const *list, const char *s, size_t len)
{
        for (; *list; list++)
                if (strlen(*list) == len && memcmp(*list, s, len) == 0)
                        return true;
        return false;
}

static bool is_switch(const char *value, size_t len)
{
        static const char *const words[] = {"on",   "off",   "yes", "no",
                                            "true", "false", NULL};

        return in_list(words, value, len);
}

/* "file.password" and "iscsi.password" are passwords too.  context: the
 * option's text or the object's type, for keys that are secret only there. */
static bool is_secret_key(const char *key, size_t len, const char *option,
                          const char *context)
{
        const char *dot = memrchr(key, '.', len);

        if (dot) {
                len -= (size_t)(dot + 1 - key);
                key = dot + 1;
        }
        if (in_list(secret_keys, key, len))
                return true;
        if (len == 4 && memcmp(key, "data", 4) == 0)
                return strncmp(context, "secret", 6) == 0 ||
                       strstr(context, "qom-type=secret") != NULL;
        return len == 5 && memcmp(key, "value", 5) == 0 &&
               strcmp(option, "smbios") == 0;
}

/* The password of scheme://user:password@host, in place. */
static void redact_urls(char *s)
{
        for (char *at = strstr(s, "://"); at; at = strstr(at, "://")) {
                size_t len = strcspn(at += 3, "/,\"");
                char *end = memrchr(at, '@', len);
                char *colon = end ? memchr(at, ':', (size_t)(end - at)) : NULL;

                if (colon)
                        memset(colon + 1, '*', (size_t)(end - colon - 1));
        }
}

static bool redact_json(json_t *value, const char *type)
{
        const char *own = json_string_value(json_object_get(value, "qom-type"));
        const char *key;
        json_t *member;
        size_t i;

        if (own)
                type = own;
        json_object_foreach(value, key, member)
        {
                bool secret = is_secret_key(key, strlen(key), "", type);

                if (secret && json_is_string(member) &&
                    !is_switch(json_string_value(member),
                               json_string_length(member))) {
                        if (json_string_set(member, REDACTED) != 0)
                                return false;
                } else if (!redact_json(member, type)) {
                        return false;
                }
        }
        json_array_foreach(value, i, member)
        {
                if (!redact_json(member, type))
                        return false;
        }
        return true;
}

/* A JSON text, or NULL: no memory. What does not parse is a secret. */
static char *redact_json_text(const char *text)
{
        json_auto_t *value = json_loads(text, 0, NULL);

        if (!value)
                return strdup(REDACTED);
        if (!redact_json(value, ""))
                return NULL;
        return json_dumps(value, JSON_COMPACT);
}

/* Where the value that starts at s ends: at a comma that is not doubled. */
static size_t value_len(const char *s)
{
        size_t n = 0;

        while (s[n] && (s[n] != ',' || s[n + 1] == ','))
                n += s[n] == ',' ? 2 : 1;
        return n;
}

static bool is_secret_pair(const char *pair, size_t len, const char *option,
                           const char *whole)
{
        const char *eq = memchr(pair, '=', len);
        size_t key_len = eq ? (size_t)(eq - pair) : 0;

        if (!eq)
                return false;
        if (strncmp(eq + 1, "json:", 5) == 0)
                return true;
        return is_secret_key(pair, key_len, option, whole) &&
               !is_switch(eq + 1, len - key_len - 1);
}

/* KEY=VALUE pairs; NULL: no memory. */
static char *redact_pairs(const char *arg, const char *option)
{
        char *out = malloc(strlen(arg) * (sizeof REDACTED) + sizeof REDACTED);
        size_t used = 0;
        const char *s = arg;

        while (out) {
                size_t len = value_len(s), keep = len;
                bool secret = is_secret_pair(s, len, option, arg);

                if (secret)
                        keep = (size_t)((const char *)memchr(s, '=', len) - s) +
                               1;
                memcpy(out + used, s, keep);
                used += keep;
                if (secret) {
                        memcpy(out + used, REDACTED, sizeof REDACTED - 1);
                        used += sizeof REDACTED - 1;
                }
                s += len;
                if (!*s)
                        break;
                out[used++] = *s++;
        }
        if (out)
                out[used] = 0;
        return out;
}

static char *redact_arg(const char *arg, const char *option)
{
        if (strcmp(option, "append") == 0)
                return strdup(REDACTED);
        if (arg[0] == '{')
                return redact_json_text(arg);
        /* A file name as an argument of its own: -cdrom json:{...} */
        if (strncmp(arg, "json:", 5) == 0)
                return strdup("json:" REDACTED);
        return redact_pairs(arg, option);
}

/* The name if what follows is judged by it, else "". */
static const char *option_name(const char *arg)
{
        const char *name = arg + strspn(arg, "-");

        if (name == arg)
                return "";
        if (strcmp(name, "append") == 0)
                return "append";
        return strcmp(name, "smbios") == 0 ? "smbios" : "";
}

bool redact_argv(json_t *argv)
{
        const char *option = "";
        json_t *item;
        size_t i;

        if (!json_is_array(argv))
                return false;
        json_array_foreach(argv, i, item)
        {
                const char *arg = json_string_value(item);
                CLEANUP_FREE char *shown = NULL;

                if (!arg)
                        return false;
                shown = redact_arg(arg, option);
                if (!shown)
                        return false;
                redact_urls(shown);
                option = option_name(arg);
                if (json_string_set(item, shown) != 0)
                        return false;
        }
        return true;
}
