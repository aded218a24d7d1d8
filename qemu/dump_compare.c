/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two dumps against each other, and a snapshot's device against a dump.
 *
 * On the wire there are no names and no structures, only fields in order.  So
 * where names differ, a field of one side may be the first of a structure that
 * the other has put around it (or taken away): that structure is entered, and
 * left at its end.  "unused" bytes stand for fields that were dropped, or are
 * to come.
 */
#include "qemu/dump_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct compare {
        const char *section;
        dump_tell *tell;
        void *arg;
};

static void tell(const struct compare *c, enum dump_kind kind, const char *vmsd,
                 const char *field, const char *src, const char *dst)
{
        const struct dump_finding f = {
                .kind = kind,
                .section = c->section,
                .vmsd = vmsd,
                .field = field,
                .src = src,
                .dst = dst,
        };

        c->tell(c->arg, &f);
}

static void tell_numbers(const struct compare *c, enum dump_kind kind,
                         const char *vmsd, const char *field, long long src,
                         long long dst)
{
        char s[24], d[24];

        snprintf(s, sizeof s, "%lld", src);
        snprintf(d, sizeof d, "%lld", dst);
        tell(c, kind, vmsd, field, s, d);
}

static void compare_versions(const struct compare *c, const char *vmsd,
                             const char *field, const json_t *src,
                             const json_t *dst)
{
        long long s = dump_number(src, "version_id");
        long long d = dump_number(dst, "version_id");
        const json_t *min = json_object_get(dst, "minimum_version_id");

        if (s > d)
                tell_numbers(c, DUMP_VERSION, vmsd, field, s, d);
        /* A section's own minimum is that of its description. */
        if (min && *vmsd && s < json_integer_value(min))
                tell_numbers(c, DUMP_MINIMUM_VERSION, vmsd, field, s,
                             json_integer_value(min));
}

/* A list of fields with the structures in it that were entered. */
struct walk {
        const json_t *lists[DUMP_DEPTH + 1];
        size_t at[DUMP_DEPTH + 1];
        unsigned depth;
};

static const json_t *next(struct walk *w)
{
        for (;;) {
                const json_t *f =
                        json_array_get(w->lists[w->depth], w->at[w->depth]);

                w->at[w->depth]++;
                if (f || w->depth == 0)
                        return f;
                w->depth--;
        }
}

/* Enters f if its structure begins with a field called name. */
static bool enter(struct walk *w, const json_t *f, const char *name)
{
        const json_t *inner = json_object_get(f, "Description");
        const json_t *fields = json_object_get(inner, "Fields");
        const json_t *first = json_array_get(fields, 0);

        if (!first || w->depth == DUMP_DEPTH ||
            !dump_same_name(dump_text(inner, "name"), dump_text(first, "field"),
                            name))
                return false;
        w->depth++;
        w->lists[w->depth] = fields;
        w->at[w->depth] = 0;
        return true;
}

static bool unused(const json_t *f)
{
        return strcmp(dump_text(f, "field"), "unused") == 0;
}

/* One side's unused bytes s or d against the other's fields, until both have
 * used as many. */
static bool balance(struct walk *src, struct walk *dst, const json_t *s,
                    const json_t *d)
{
        bool pad_src = unused(s);
        long long left = dump_number(pad_src ? s : d, "size") -
                         dump_number(pad_src ? d : s, "size");

        while (left > 0) {
                const json_t *f = next(pad_src ? dst : src);

                if (!f)
                        return false;
                left -= dump_number(f, "size");
        }
        return left == 0;
}

static void compare_vmsds(const struct compare *c, const json_t *src,
                          const json_t *dst);

static void compare_pair(const struct compare *c, const char *vmsd,
                         const json_t *s, const json_t *d)
{
        const json_t *inner = json_object_get(s, "Description");
        const json_t *theirs = json_object_get(d, "Description");
        const char *name = dump_text(s, "field");

        compare_versions(c, vmsd, name, s, d);
        if (!inner) {
                if (dump_number(s, "size") != dump_number(d, "size"))
                        tell_numbers(c, DUMP_FIELD_SIZE, vmsd, name,
                                     dump_number(s, "size"),
                                     dump_number(d, "size"));
        } else if (!theirs) {
                tell(c, DUMP_VMSD_MISSING, vmsd, name, dump_text(inner, "name"),
                     "");
        } else {
                compare_vmsds(c, inner, theirs);
        }
}

static void compare_fields(const struct compare *c, const char *vmsd,
                           const json_t *src, const json_t *dst)
{
        struct walk in_src = {.lists = {src}}, in_dst = {.lists = {dst}};
        const json_t *s = next(&in_src), *d = next(&in_dst);

        while (s && d) {
                const char *name = dump_text(s, "field");
                const char *other = dump_text(d, "field");

                if (dump_same_name(vmsd, name, other)) {
                        compare_pair(c, vmsd, s, d);
                } else if (enter(&in_dst, d, name)) {
                        d = next(&in_dst);
                        continue;
                } else if (enter(&in_src, s, other)) {
                        s = next(&in_src);
                        continue;
                } else if (!unused(s) && !unused(d)) {
                        tell(c, DUMP_FIELD_OTHER, vmsd, name, name, other);
                        return;
                } else if (!balance(&in_src, &in_dst, s, d)) {
                        tell(c, DUMP_PADDING, vmsd, name, name, other);
                        return;
                }
                s = next(&in_src);
                d = next(&in_dst);
        }
        if (s)
                tell(c, DUMP_FIELD_MISSING, vmsd, dump_text(s, "field"),
                     dump_text(s, "field"), "");
}

static const json_t *named(const json_t *list, const char *name)
{
        const json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
        {
                if (strcmp(dump_text(item, "name"), name) == 0)
                        return item;
        }
        return NULL;
}

static void compare_subsections(const struct compare *c, const char *vmsd,
                                const json_t *src, const json_t *dst)
{
        const json_t *s;
        size_t i;

        json_array_foreach(src, i, s)
        {
                const char *name = dump_text(s, "name");
                const json_t *d = named(dst, name);

                if (d)
                        compare_vmsds(c, s, d);
                else
                        tell(c, DUMP_SUBSECTION_MISSING, vmsd, "", name, "");
        }
}

/* As deep as dump_parse lets descriptions lie. */
static void compare_vmsds(const struct compare *c, const json_t *src,
                          const json_t *dst)
{
        const json_t *fields = json_object_get(src, "Fields");
        const json_t *subsections = json_object_get(src, "Subsections");
        const char *vmsd = dump_text(src, "name");

        compare_versions(c, vmsd, "", src, dst);
        if (!dump_same_name(c->section, vmsd, dump_text(dst, "name"))) {
                tell(c, DUMP_VMSD_OTHER, vmsd, "", vmsd,
                     dump_text(dst, "name"));
                return;
        }
        if (fields && !json_object_get(dst, "Fields"))
                tell(c, DUMP_PART_MISSING, vmsd, "", "Fields", "");
        else
                compare_fields(c, vmsd, fields, json_object_get(dst, "Fields"));
        if (subsections && !json_object_get(dst, "Subsections"))
                tell(c, DUMP_PART_MISSING, vmsd, "", "Subsections", "");
        else
                compare_subsections(c, vmsd, subsections,
                                    json_object_get(dst, "Subsections"));
}

static void compare_section(const struct compare *c, const json_t *src,
                            const json_t *dst)
{
        const json_t *s = json_object_get(src, "Description");
        const json_t *d = json_object_get(dst, "Description");

        if (!dst) {
                tell(c, DUMP_SECTION_MISSING, "", "", c->section, "");
                return;
        }
        compare_versions(c, "", "", src, dst);
        if (s && d)
                compare_vmsds(c, s, d);
        else if (s)
                tell(c, DUMP_PART_MISSING, "", "", "Description", "");
}

void dump_compare(const struct dump *src, const struct dump *dst,
                  dump_tell *told, void *arg)
{
        const char *name;
        json_t *section;

        json_object_foreach(src->root, name, section)
        {
                const struct compare c = {name, told, arg};
                const json_t *theirs = json_object_get(dst->root, name);
                const char *other = dump_other_section(name);

                if (strcmp(name, "vmschkmachine") == 0) {
                        if (strcmp(dump_machine(src), dump_machine(dst)) != 0)
                                tell(&c, DUMP_MACHINE, "", "",
                                     dump_machine(src), dump_machine(dst));
                        continue;
                }
                if (!theirs && other)
                        theirs = json_object_get(dst->root, other);
                compare_section(&c, section, theirs);
        }
}

/* vmdesc makes names that a vmsd has twice unlike by "[k]", the k-th of them.
 * Returns NO_PLACE if there is none. */
#define NO_PLACE SIZE_MAX

static size_t place_of(const json_t *fields, const char *vmsd, const char *name)
{
        const char *bracket = strrchr(name, '[');
        char plain[256], end = '\0';
        size_t i, found = 0, wanted = 0;
        const json_t *f;

        json_array_foreach(fields, i, f)
        {
                if (dump_same_name(vmsd, dump_text(f, "field"), name))
                        return i;
        }
        if (!bracket || sscanf(bracket, "[%5zu]%c", &wanted, &end) != 1 ||
            !strchr(bracket, ']') || (size_t)(bracket - name) >= sizeof plain)
                return NO_PLACE;
        snprintf(plain, sizeof plain, "%.*s", (int)(bracket - name), name);
        json_array_foreach(fields, i, f)
        {
                if (dump_same_name(vmsd, dump_text(f, "field"), plain) &&
                    found++ == wanted)
                        return i;
        }
        return NO_PLACE;
}

static const char *text(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));

        return s ? s : "";
}

/* As deep as the dump goes. */
static void check_vmsd(const struct compare *c, const json_t *state,
                       const json_t *dst);

/* Where each field of a snapshot stands in the dump. */
struct places {
        size_t *at;    /* of field i: its place, or NO_PLACE                 */
        size_t *after; /* the first place of any field behind i              */
        bool *taken;   /* by place                                           */
        size_t count, known;
};

static bool find_places(struct places *p, const char *vmsd, const json_t *state,
                        const json_t *known)
{
        size_t next_place;

        p->count = json_array_size(state);
        p->known = json_array_size(known);
        p->at = calloc(p->count + 1, sizeof *p->at);
        p->after = calloc(p->count + 1, sizeof *p->after);
        p->taken = calloc(p->known + 1, sizeof *p->taken);
        if (!p->at || !p->after || !p->taken)
                return false;
        for (size_t i = 0; i < p->count; i++) {
                const char *name = text(json_array_get(state, i), "name");

                /* An array's elements come one by one. */
                if (i > 0 && strcmp(name, text(json_array_get(state, i - 1),
                                               "name")) == 0)
                        p->at[i] = p->at[i - 1];
                else
                        p->at[i] = place_of(known, vmsd, name);
                if (p->at[i] != NO_PLACE)
                        p->taken[p->at[i]] = true;
        }
        next_place = p->known;
        for (size_t i = p->count; i-- > 0;) {
                p->after[i] = next_place;
                if (p->at[i] != NO_PLACE)
                        next_place = p->at[i];
        }
        return true;
}

/* Between its neighbours' places is one that no field has: it was renamed. */
static bool renamed(const struct places *p, size_t after_place, size_t i)
{
        for (size_t k = after_place; k < p->after[i]; k++)
                if (!p->taken[k])
                        return true;
        return false;
}

static void check_field(const struct compare *c, const json_t *s,
                        const json_t *known)
{
        const json_t *inner = json_object_get(known, "Description");
        const json_t *contents = json_object_get(s, "struct");

        if (contents && inner)
                check_vmsd(c, contents, inner);
}

static void check_fields(const struct compare *c, const char *vmsd,
                         const json_t *state, const json_t *dst)
{
        const json_t *fields = json_object_get(state, "fields");
        const json_t *known = json_object_get(dst, "Fields");
        struct places p = {0};
        size_t next_place = 0;

        if (!find_places(&p, vmsd, fields, known))
                p.count = 0;
        for (size_t i = 0; i < p.count; i++) {
                const json_t *s = json_array_get(fields, i);

                if (p.at[i] != NO_PLACE) {
                        check_field(c, s, json_array_get(known, p.at[i]));
                        next_place = p.at[i] + 1;
                } else if (!renamed(&p, next_place, i)) {
                        tell(c, DUMP_FIELD_MISSING, vmsd, text(s, "name"),
                             text(s, "name"), "");
                }
        }
        free(p.at);
        free(p.after);
        free(p.taken);
}

static void check_vmsd(const struct compare *c, const json_t *state,
                       const json_t *dst)
{
        const char *vmsd = dump_text(dst, "name");
        long long version =
                json_integer_value(json_object_get(state, "version"));
        const json_t *s, *known = json_object_get(dst, "Subsections");
        size_t i;

        if (version > dump_number(dst, "version_id"))
                tell_numbers(c, DUMP_VERSION, vmsd, "", version,
                             dump_number(dst, "version_id"));
        if (version < dump_number(dst, "minimum_version_id"))
                tell_numbers(c, DUMP_MINIMUM_VERSION, vmsd, "", version,
                             dump_number(dst, "minimum_version_id"));
        check_fields(c, vmsd, state, dst);
        json_array_foreach(json_object_get(state, "subsections"), i, s)
        {
                const char *name = text(s, "vmsd_name");
                const json_t *d = named(known, name);

                if (d)
                        check_vmsd(c, s, d);
                else
                        tell(c, DUMP_SUBSECTION_MISSING, vmsd, "", name, "");
        }
}

bool dump_check(const struct dump *d, const char *vmsd, const json_t *device,
                dump_tell *told, void *arg)
{
        const struct compare c = {vmsd, told, arg};
        const json_t *known = json_object_get(d->by_name, vmsd);

        if (!known)
                return false;
        check_vmsd(&c, device, known);
        return true;
}
