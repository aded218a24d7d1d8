/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/rules.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "qemu/fields.h"
#include "restore/rules_builtin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A file of rules is written by hand. */
#define RULES_BYTES MiB
/* Values of one rule that are kept until another field's have come. */
#define KEPT_MAX 65536
/* Reasons from one section: the rest of a broken array says no more. */
#define TOLD_MAX 8

/* Of a rule's [*], the indices that a path has there, joined by dots. */
#define INDICES 64

/* Values are told as they are: signed or unsigned, both fit. */
__extension__ typedef __int128 whole;

struct kept {
        char indices[INDICES];
        char path[128];
        whole value;
};

struct values {
        struct kept *list; /* owned */
        size_t count, room;
};

struct rule_run {
        struct check *check;
        const struct device_section *section;
        const json_t *rule;
        enum severity severity;
        const char *field, *less_than; /* less_than: may be NULL */
        struct values fields, bounds;
        unsigned told;
};

/* ---- paths --------------------------------------------------------------- */

/* Whether path is pattern with an index for each [*]. */
static bool matches(const char *pattern, const char *path,
                    char indices[INDICES])
{
        size_t used = 0;

        indices[0] = '\0';
        while (*pattern) {
                size_t digits;

                if (strncmp(pattern, "[*]", 3) != 0) {
                        if (*pattern++ != *path++)
                                return false;
                        continue;
                }
                digits = *path == '[' ? strspn(path + 1, "0123456789") : 0;
                if (digits == 0 || path[1 + digits] != ']' ||
                    used + digits + 2 > INDICES)
                        return false;
                memcpy(indices + used, path + 1, digits);
                used += digits;
                indices[used++] = '.';
                indices[used] = '\0';
                pattern += 3;
                path += digits + 2;
        }
        return *path == '\0';
}

/* "hpet" is the device's class or its whole idstr. */
static bool is_of(const json_t *rule, const struct device_section *s)
{
        const char *device = json_string_value(json_object_get(rule, "device"));

        return strcmp(device, "*") == 0 || strcmp(device, s->idstr) == 0 ||
               strcmp(device, device_class(s->idstr)) == 0;
}

/* ---- one value ----------------------------------------------------------- */

static whole number_of(const struct field *f)
{
        return f->kind == FIELD_SIGNED ? (whole)(int64_t)f->value
                                       : (whole)f->value;
}

static const char *show(whole value, char out[32])
{
        if (value < 0)
                snprintf(out, 32, "%" PRId64, (int64_t)value);
        else
                snprintf(out, 32, "%" PRIu64, (uint64_t)value);
        return out;
}

static bool violated(struct rule_run *r, const char *path, whole value,
                     struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

static bool violated(struct rule_run *r, const char *path, whole value,
                     struct err *err, const char *fmt, ...)
{
        const struct device_section *s = r->section;
        char device[320], shown[400], text[32], rule[300];
        va_list ap;

        if (++r->told > TOLD_MAX)
                return true;
        va_start(ap, fmt);
        vsnprintf(rule, sizeof rule, fmt, ap);
        va_end(ap);
        return check_add(r->check, "value", r->severity, s->idstr,
                         show(value, text), NULL, err, "%s: %s is %s, %s",
                         text_escape(s->idstr, device, sizeof device),
                         text_escape(path, shown, sizeof shown), text, rule);
}

static bool is_one_of(const json_t *list, whole value)
{
        const json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
        {
                if ((whole)json_integer_value(item) == value)
                        return true;
        }
        return false;
}

static bool compare(struct rule_run *r, const struct field *f, struct err *err)
{
        const json_t *min = json_object_get(r->rule, "min"),
                     *max = json_object_get(r->rule, "max"),
                     *equals = json_object_get(r->rule, "equals"),
                     *one_of = json_object_get(r->rule, "one_of");
        whole v = number_of(f);

        if (min && v < json_integer_value(min))
                return violated(r, f->path, v, err,
                                "less than %" JSON_INTEGER_FORMAT,
                                json_integer_value(min));
        if (max && v > json_integer_value(max))
                return violated(r, f->path, v, err,
                                "more than %" JSON_INTEGER_FORMAT,
                                json_integer_value(max));
        if (equals && v != json_integer_value(equals))
                return violated(r, f->path, v, err, "not %" JSON_INTEGER_FORMAT,
                                json_integer_value(equals));
        if (one_of && !is_one_of(one_of, v))
                return violated(r, f->path, v, err,
                                "none of the values that it may have");
        return true;
}

static bool keep(struct values *v, const char *indices, const struct field *f,
                 struct err *err)
{
        struct kept *k;

        if (v->count == KEPT_MAX)
                return true;
        if (v->count == v->room) {
                size_t room = v->room ? 2 * v->room : 16;
                struct kept *grown = realloc(v->list, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                v->list = grown;
                v->room = room;
        }
        k = &v->list[v->count++];
        snprintf(k->indices, sizeof k->indices, "%s", indices);
        snprintf(k->path, sizeof k->path, "%s", f->path);
        k->value = number_of(f);
        return true;
}

static bool look(void *arg, const struct field *f, struct err *err)
{
        struct rule_run *r = arg;
        char indices[INDICES];

        if (f->kind == FIELD_BYTES || f->kind == FIELD_NULL)
                return true;
        if (matches(r->field, f->path, indices)) {
                TRY(compare(r, f, err));
                if (r->less_than)
                        TRY(keep(&r->fields, indices, f, err));
        }
        if (r->less_than && matches(r->less_than, f->path, indices))
                return keep(&r->bounds, indices, f, err);
        return true;
}

/* The other field has the same indices, or none: then it bounds all.  A bound
 * of 0 is a queue, or a list, that is not there. */
static bool compare_kept(struct rule_run *r, struct err *err)
{
        for (size_t i = 0; i < r->fields.count; i++) {
                const struct kept *f = &r->fields.list[i];

                for (size_t k = 0; k < r->bounds.count; k++) {
                        const struct kept *b = &r->bounds.list[k];

                        if (b->indices[0] &&
                            strcmp(b->indices, f->indices) != 0)
                                continue;
                        if (b->value > 0 && f->value >= b->value) {
                                char text[32];

                                TRY(violated(r, f->path, f->value, err,
                                             "not less than %s, %s", b->path,
                                             show(b->value, text)));
                        }
                        break;
                }
        }
        return true;
}

static bool run_rule(struct check *c, const struct device_section *s,
                     const json_t *rule, enum severity severity,
                     struct err *err)
{
        struct rule_run r = {
                .check = c,
                .section = s,
                .rule = rule,
                .severity = severity,
                .field = json_string_value(json_object_get(rule, "field")),
                .less_than =
                        json_string_value(json_object_get(rule, "less_than")),
        };
        struct err undecoded = ERR_INIT;
        bool ok;

        if (!is_of(rule, s))
                return true;
        /* What cannot be decoded is verify's to tell. */
        ok = fields_decode(s->vmdesc, s->payload, s->len, look, &r,
                           &undecoded) ||
             undecoded.status == ERR_CORRUPT ||
             undecoded.status == ERR_UNSUPPORTED;
        if (!ok)
                *err = undecoded;
        ok = ok && compare_kept(&r, err);
        free(r.fields.list);
        free(r.bounds.list);
        return ok;
}

/* ---- PCI configuration space --------------------------------------------- */

struct pci_run {
        struct check *check;
        const struct device_section *section;
        enum severity severity;
};

/* A list of capabilities lies behind the header, and ends. */
static const char *insane(const uint8_t *config)
{
        bool seen[256] = {false};
        unsigned at = config[0x34];

        if ((config[0x0e] & 0x7f) > 2)
                return "its header type is none that there is";
        if (!(config[0x06] & 0x10))
                return NULL; /* status: no capabilities */
        while (at) {
                if (at < 0x40 || at & 3)
                        return "a capability lies within its header";
                if (seen[at])
                        return "its list of capabilities is a ring";
                seen[at] = true;
                at = config[at + 1];
        }
        return NULL;
}

static bool look_at_pci(void *arg, const struct field *f, struct err *err)
{
        const struct pci_run *r = arg;
        char device[320], shown[400];
        const char *why;

        if (strcmp(f->type, "pci config") != 0 || f->size < 256)
                return true;
        why = insane(f->bytes);
        return !why ||
               check_add(r->check, "value", r->severity, r->section->idstr,
                         NULL, NULL, err, "%s: %s: %s",
                         text_escape(r->section->idstr, device, sizeof device),
                         text_escape(f->path, shown, sizeof shown), why);
}

/* ---- all of them --------------------------------------------------------- */

static bool run_rules(struct check *c, const struct device_section *s,
                      const json_t *rules, enum severity severity,
                      struct err *err)
{
        const json_t *rule;
        size_t i;

        json_array_foreach(json_object_get(rules, "rules"), i, rule)
        {
                TRY(run_rule(c, s, rule, severity, err));
        }
        return true;
}

bool rules_check(struct check *c, const struct devices *d, const json_t *more,
                 enum severity severity, struct err *err)
{
        json_auto_t *builtin = json_loads(rules_builtin, 0, NULL);

        if (!builtin)
                return err_nomem(err);
        for (size_t i = 0; i < d->count; i++) {
                const struct device_section *s = &d->list[i];
                struct pci_run pci = {
                        .check = c, .section = s, .severity = severity};
                struct err undecoded = ERR_INIT;

                if (!s->vmdesc || !fields_described(s->vmdesc))
                        continue;
                fields_decode(s->vmdesc, s->payload, s->len, look_at_pci, &pci,
                              &undecoded);
                TRY(run_rules(c, s, builtin, severity, err));
                TRY(run_rules(c, s, more, severity, err));
        }
        return true;
}

/* ---- a file of them ------------------------------------------------------ */

static bool bad(struct err *err, size_t number, const char *why)
{
        return err_set(err, ERR_USAGE, "rule %zu: %s", number + 1, why);
}

static bool all_integers(const json_t *list)
{
        const json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
        {
                if (!json_is_integer(item))
                        return false;
        }
        return json_array_size(list) > 0;
}

static bool check_rule(const json_t *rule, size_t number, struct err *err)
{
        static const char *const bounds[] = {"min", "max", "equals"};
        json_t *value;
        const char *key;
        char shown[60];
        unsigned count = 0;

        if (!json_is_string(json_object_get(rule, "device")) ||
            !json_is_string(json_object_get(rule, "field")))
                return bad(err, number,
                           "\"device\" and \"field\" are strings "
                           "that it must have");
        json_object_foreach((json_t *)(uintptr_t)rule, key, value)
        {
                bool is_whole = false;

                for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
                        is_whole |= strcmp(key, bounds[i]) == 0;
                if (is_whole && !json_is_integer(value))
                        return bad(err, number,
                                   "\"min\", \"max\" and "
                                   "\"equals\" are whole numbers");
                if (strcmp(key, "one_of") == 0 && !all_integers(value))
                        return bad(err, number,
                                   "\"one_of\" is a list of whole numbers");
                if (strcmp(key, "less_than") == 0 && !json_is_string(value))
                        return bad(err, number, "\"less_than\" is a path");
                if (is_whole || strcmp(key, "one_of") == 0 ||
                    strcmp(key, "less_than") == 0)
                        count++;
                else if (strcmp(key, "device") != 0 &&
                         strcmp(key, "field") != 0)
                        return err_set(err, ERR_USAGE,
                                       "rule %zu: \"%s\": no rule has that",
                                       number + 1,
                                       text_escape(key, shown, sizeof shown));
        }
        return count > 0 || bad(err, number,
                                "it has none of \"min\", \"max\", \"equals\", "
                                "\"one_of\", \"less_than\"");
}

static bool parse(const char *text, size_t len, json_t **out, struct err *err)
{
        json_auto_t *root = NULL;
        const json_t *list, *rule;
        json_error_t where;
        size_t i;

        root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
        if (!root)
                return err_set(err, ERR_USAGE, "line %d: %s", where.line,
                               where.text);
        list = json_object_get(root, "rules");
        if (!json_is_array(list))
                return err_set(err, ERR_USAGE, "no list \"rules\"");
        json_array_foreach(list, i, rule)
        {
                TRY(check_rule(rule, i, err));
        }
        *out = json_incref(root);
        return true;
}

bool rules_read(const char *path, json_t **out, struct err *err)
{
        CLEANUP_FREE char *text = NULL;
        size_t len;

        return (io_read_file(path, RULES_BYTES, &text, &len, err) &&
                parse(text, len, out, err)) ||
               err_in_file(err, path);
}
