/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device sections: by idstr and instance, then field by field by path.  A
 * section whose fields cannot be told is one field of bytes.
 */
#include "restore/diff_private.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* More than any device has; beyond, it is compared as bytes. */
#define FIELDS_MAX (1u << 21)

#define NONE SIZE_MAX

/* One section's fields, in the order of their bytes. */
struct listing {
        struct field *fields; /* owned; path: see paths */
        size_t *paths;        /* owned; each one's place in text */
        size_t *match;        /* owned; its index in the other listing, NONE */
        size_t count, room;
        char *text; /* owned */
        size_t text_len, text_room;
};

static void listing_fini(struct listing *l)
{
        free(l->fields);
        free(l->paths);
        free(l->match);
        free(l->text);
        *l = (struct listing){0};
}

static bool make_room(struct listing *l, size_t path_len, struct err *err)
{
        if (l->count == l->room) {
                size_t room = l->room ? 2 * l->room : 64;
                struct field *fields =
                        realloc(l->fields, room * sizeof *fields);
                size_t *paths;

                if (fields)
                        l->fields = fields;
                paths = realloc(l->paths, room * sizeof *paths);
                if (paths)
                        l->paths = paths;
                if (!fields || !paths)
                        return err_nomem(err);
                l->room = room;
        }
        if (path_len >= l->text_room - l->text_len) {
                size_t room = 2 * (l->text_len + path_len + 1);
                char *text = realloc(l->text, room);

                if (!text)
                        return err_nomem(err);
                l->text = text;
                l->text_room = room;
        }
        return true;
}

static bool add(void *arg, const struct field *f, struct err *err)
{
        struct listing *l = arg;
        size_t len = strlen(f->path);

        if (l->count >= FIELDS_MAX)
                return err_set(err, ERR_LIMIT, "too many fields");
        TRY(make_room(l, len, err));
        memcpy(l->text + l->text_len, f->path, len + 1);
        l->fields[l->count] = *f;
        l->paths[l->count] = l->text_len;
        l->text_len += len + 1;
        l->count++;
        return true;
}

/* Only no memory is an error. */
static bool list_fields(const struct device_section *s, struct listing *l,
                        bool *told_out, struct err *err)
{
        struct err why = ERR_INIT;

        *told_out = s->vmdesc && fields_described(s->vmdesc) &&
                    fields_decode(s->vmdesc, s->payload, s->len, add, l, &why);
        if (why.status == ERR_NOMEM)
                return err_nomem(err);
        for (size_t i = 0; i < l->count; i++)
                l->fields[i].path = l->text + l->paths[i];
        return true;
}

static int by_path(const void *a, const void *b, void *arg)
{
        const struct field *fields = arg;
        size_t i = *(const size_t *)a, k = *(const size_t *)b;
        int order = strcmp(fields[i].path, fields[k].path);

        return order ? order : i < k ? -1 : i > k;
}

static size_t *sorted(const struct listing *l)
{
        size_t *order = calloc(l->count + 1, sizeof *order);

        for (size_t i = 0; order && i < l->count; i++)
                order[i] = i;
        if (order)
                qsort_r(order, l->count, sizeof *order, by_path, l->fields);
        return order;
}

/* Mostly the same fields stand at the same places. */
static bool match_in_order(struct listing *a, struct listing *b)
{
        if (a->count != b->count)
                return false;
        for (size_t i = 0; i < a->count; i++) {
                if (strcmp(a->fields[i].path, b->fields[i].path) != 0)
                        return false;
                a->match[i] = b->match[i] = i;
        }
        return true;
}

static bool match(struct listing *a, struct listing *b, struct err *err)
{
        CLEANUP_FREE size_t *in_a = NULL;
        CLEANUP_FREE size_t *in_b = NULL;
        size_t i = 0, k = 0;

        a->match = calloc(a->count + 1, sizeof *a->match);
        b->match = calloc(b->count + 1, sizeof *b->match);
        if (!a->match || !b->match)
                return err_nomem(err);
        if (match_in_order(a, b))
                return true;
        for (size_t n = 0; n < a->count; n++)
                a->match[n] = NONE;
        for (size_t n = 0; n < b->count; n++)
                b->match[n] = NONE;
        in_a = sorted(a);
        in_b = sorted(b);
        if (!in_a || !in_b)
                return err_nomem(err);
        while (i < a->count && k < b->count) {
                int order = strcmp(a->fields[in_a[i]].path,
                                   b->fields[in_b[k]].path);

                if (order == 0) {
                        a->match[in_a[i]] = in_b[k];
                        b->match[in_b[k]] = in_a[i];
                }
                i += order <= 0;
                k += order >= 0;
        }
        return true;
}

static bool tell_field(struct diff *d, const struct difference *device,
                       const struct field *a, const struct field *b,
                       struct err *err)
{
        struct difference difference = *device;

        difference.kind = DIFFERENCE_FIELD;
        difference.field[0] = a;
        difference.field[1] = b;
        difference.path = a ? a->path : b->path;
        return diff_tell(d, &difference, err);
}

/* Behind a subsection that only one has, what is in it is not told. */
static bool is_within(const char *path, const char *subsection)
{
        size_t len = strlen(subsection);

        return len && strncmp(path, subsection, len) == 0 && path[len] == '.';
}

static bool same_field(const struct field *a, const struct field *b)
{
        return a->kind == b->kind && a->size == b->size &&
               strcmp(a->type, b->type) == 0 &&
               memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* side 0: what both have is told, too. */
static bool tell_listing(struct diff *d, const struct difference *device,
                         const struct listing *l, const struct listing *other,
                         int side, struct err *err)
{
        const char *within = "";

        for (size_t i = 0; i < l->count; i++) {
                const struct field *f = &l->fields[i], *g = NULL;

                if (l->match[i] != NONE)
                        g = &other->fields[l->match[i]];
                if (g && (side == 1 || same_field(f, g)))
                        continue;
                if (!g && is_within(f->path, within))
                        continue;
                if (!g && f->kind == FIELD_SUBSECTION)
                        within = f->path;
                TRY(tell_field(d, device, side ? g : f, side ? f : g, err));
        }
        return true;
}

static bool compare_fields(struct diff *d, const struct difference *device,
                           struct listing *a, struct listing *b,
                           struct err *err)
{
        TRY(match(a, b, err));
        TRY(tell_listing(d, device, a, b, 0, err));
        return tell_listing(d, device, b, a, 1, err);
}

static struct field whole(const struct device_section *s)
{
        return (struct field){
                .path = "bytes",
                .type = "buffer",
                .kind = FIELD_BYTES,
                .bytes = s->payload,
                .size = s->len,
        };
}

static bool compare_sections(struct diff *d, const struct difference *device,
                             struct err *err)
{
        const struct device_section *const *s = device->section;
        struct listing a = {0}, b = {0};
        bool told_a = false, told_b = false, ok;

        if (s[0]->version_id != s[1]->version_id)
                TRY(diff_tell(d, device, err));
        if (s[0]->len == s[1]->len && json_equal(s[0]->vmdesc, s[1]->vmdesc) &&
            memcmp(s[0]->payload, s[1]->payload, s[0]->len) == 0)
                return true;
        ok = list_fields(s[0], &a, &told_a, err) &&
             list_fields(s[1], &b, &told_b, err);
        if (ok && told_a && told_b) {
                ok = compare_fields(d, device, &a, &b, err);
        } else if (ok && (s[0]->len != s[1]->len ||
                          memcmp(s[0]->payload, s[1]->payload, s[0]->len))) {
                struct field in_a = whole(s[0]), in_b = whole(s[1]);

                ok = tell_field(d, device, &in_a, &in_b, err);
        }
        listing_fini(&a);
        listing_fini(&b);
        return ok;
}

/* ---- which section is which ---------------------------------------------- */

static const char *key_of(const struct device_section *s, char out[300])
{
        snprintf(out, 300, "%" PRIu32 " %s", s->instance_id, s->idstr);
        return out;
}

/* Sections' indexes by name and instance. NULL: no memory. */
static json_t *table_of(const struct devices *d)
{
        json_t *table = json_object();
        char key[300];

        for (size_t i = 0; table && i < d->count; i++) {
                key_of(&d->list[i], key);
                if (json_object_get(table, key))
                        continue;
                if (json_object_set_new_nocheck(
                            table, key, json_integer((json_int_t)i)) != 0) {
                        json_decref(table);
                        return NULL;
                }
        }
        return table;
}

static const struct device_section *find(const struct devices *d,
                                         const json_t *table,
                                         const struct device_section *wanted)
{
        char key[300];
        const json_t *i = json_object_get(table, key_of(wanted, key));

        return i ? &d->list[json_integer_value(i)] : NULL;
}

bool diff_devices(struct diff *d, struct err *err)
{
        const struct devices *a = &d->state[0].devices,
                             *b = &d->state[1].devices;
        json_auto_t *in_a = table_of(a), *in_b = table_of(b);

        if (!in_a || !in_b)
                return err_nomem(err);
        for (size_t i = 0; i < a->count; i++) {
                const struct device_section *s = &a->list[i];
                struct difference device = {
                        .kind = DIFFERENCE_DEVICE,
                        .section = {s, find(b, in_b, s)},
                };

                if (!device.section[1] || device.section[1]->live != s->live)
                        TRY(diff_tell(d, &device, err));
                else if (!s->live)
                        TRY(compare_sections(d, &device, err));
        }
        for (size_t i = 0; i < b->count; i++) {
                struct difference device = {
                        .kind = DIFFERENCE_DEVICE,
                        .section = {NULL, &b->list[i]},
                };

                if (!find(a, in_a, &b->list[i]))
                        TRY(diff_tell(d, &device, err));
        }
        return true;
}

bool diff_device_states(const struct devices *a, const struct devices *b,
                        const struct diff_options *options, bool *equal_out,
                        struct err *err)
{
        struct diff d = {
                .options = options,
                .state = {{.devices = *a}, {.devices = *b}},
        };

        TRY(diff_devices(&d, err));
        *equal_out = !d.differs;
        return true;
}
