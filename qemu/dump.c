/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape of a dump is checked once, here; who walks through it later relies
 * on it.
 *
 *      root         { "vmschkmachine": { "Name": ... }, TYPE: SECTION, ... }
 *      SECTION      { "Name"?, "version_id", "minimum_version_id",
 *                     "Description"? }
 *      Description  { "name", "version_id", "minimum_version_id",
 *                     "Fields"?: [ FIELD ], "Subsections"?: [ Description ] }
 *      FIELD        { "field", "version_id", "field_exists", "size", "num"?,
 *                     "Description"? }
 */
#include "qemu/dump_private.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>

static bool bad(struct err *err, const char *name, const char *what)
{
        char safe[256];

        return err_set(err, ERR_CORRUPT, "-dump-vmstate: '%s': %s",
                       text_escape(name, safe, sizeof safe), what);
}

static bool versions(const json_t *o, const char *name, struct err *err)
{
        if (!json_is_integer(json_object_get(o, "version_id")) ||
            !json_is_integer(json_object_get(o, "minimum_version_id")))
                return bad(err, name, "no versions");
        return true;
}

static bool description(const json_t *d, unsigned depth, struct err *err);

static bool field(const json_t *f, const char *vmsd, unsigned depth,
                  struct err *err)
{
        const json_t *inner = json_object_get(f, "Description");

        if (!json_is_string(json_object_get(f, "field")) ||
            !json_is_integer(json_object_get(f, "version_id")) ||
            !json_is_integer(json_object_get(f, "size")) ||
            !json_is_boolean(json_object_get(f, "field_exists")))
                return bad(err, vmsd, "a field is not described in full");
        return !inner || description(inner, depth + 1, err);
}

static bool description(const json_t *d, unsigned depth, struct err *err)
{
        const char *name = json_string_value(json_object_get(d, "name"));
        const json_t *fields = json_object_get(d, "Fields");
        const json_t *subsections = json_object_get(d, "Subsections");
        const json_t *item;
        size_t i;

        if (!name)
                return bad(err, "Description", "no name");
        if (depth > DUMP_DEPTH)
                return bad(err, name, "descriptions lie too deep");
        TRY(versions(d, name, err));
        if ((fields && !json_is_array(fields)) ||
            (subsections && !json_is_array(subsections)))
                return bad(err, name, "fields or subsections are no list");
        json_array_foreach(fields, i, item)
        {
                TRY(field(item, name, depth, err));
        }
        json_array_foreach(subsections, i, item)
        {
                TRY(description(item, depth + 1, err));
        }
        return true;
}

static bool section(struct dump *d, const char *name, json_t *s,
                    struct err *err)
{
        json_t *inner = json_object_get(s, "Description");

        if (strcmp(name, "vmschkmachine") == 0)
                return json_is_string(json_object_get(s, "Name")) ||
                       bad(err, name, "no name");
        TRY(versions(s, name, err));
        if (!inner)
                return true;
        TRY(description(inner, 1, err));
        name = dump_text(inner, "name");
        if (json_object_get(d->by_name, name))
                return true;
        return json_object_set(d->by_name, name, inner) == 0 || err_nomem(err);
}

static bool sections(struct dump *d, struct err *err)
{
        const char *name;
        json_t *s;

        if (!json_is_object(d->root))
                return bad(err, "", "not a list of device types");
        json_object_foreach(d->root, name, s)
        {
                TRY(section(d, name, s, err));
        }
        return true;
}

bool dump_parse(const uint8_t *json, size_t len, struct dump **out,
                struct err *err)
{
        struct dump *d;
        json_error_t why;

        if (len > LIMIT_VMDESC_BYTES)
                return err_set(err, ERR_LIMIT,
                               "-dump-vmstate wrote %zu bytes, at most %llu "
                               "are read",
                               len, LIMIT_VMDESC_BYTES);
        d = calloc(1, sizeof *d);
        if (!d)
                return err_nomem(err);
        d->root = json_loadb((const char *)json, len, 0, &why);
        d->by_name = json_object();
        if (!d->root)
                err_set(err, ERR_CORRUPT,
                        "what -dump-vmstate wrote is not JSON: line %d",
                        why.line);
        else if (!d->by_name)
                err_nomem(err);
        else if (sections(d, err))
                *out = steal(d);
        if (!d)
                return true;
        dump_free(d);
        return false;
}

void dump_free(struct dump *d)
{
        if (!d)
                return;
        json_decref(d->by_name);
        json_decref(d->root);
        free(d);
}

const char *dump_text(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));

        assert(s);
        return s;
}

long long dump_number(const json_t *object, const char *key)
{
        return json_integer_value(json_object_get(object, key));
}

const char *dump_machine(const struct dump *d)
{
        const json_t *m = json_object_get(d->root, "vmschkmachine");

        return m ? dump_text(m, "Name") : "";
}

bool dump_find(const struct dump *d, const char *vmsd, struct dump_vmsd *out)
{
        const json_t *v = json_object_get(d->by_name, vmsd);

        if (!v)
                return false;
        *out = (struct dump_vmsd){
                .version = dump_number(v, "version_id"),
                .minimum_version = dump_number(v, "minimum_version_id"),
                .fields = json_object_get(v, "Fields"),
                .subsections = json_object_get(v, "Subsections"),
        };
        return true;
}

const char *dump_code(enum dump_kind kind)
{
        switch (kind) {
        case DUMP_MACHINE:
                return "machine-type";
        case DUMP_SECTION_MISSING:
                return "device-missing";
        case DUMP_VERSION:
        case DUMP_MINIMUM_VERSION:
                return "device-version";
        case DUMP_SUBSECTION_MISSING:
                return "subsection-unknown";
        default:
                return "field-size";
        }
}

const char *dump_words(enum dump_kind kind)
{
        static const char *const words[] = {
                [DUMP_MACHINE] = "other machine type",
                [DUMP_SECTION_MISSING] = "device type missing",
                [DUMP_PART_MISSING] = "description incomplete",
                [DUMP_VERSION] = "version too new",
                [DUMP_MINIMUM_VERSION] = "version too old",
                [DUMP_VMSD_OTHER] = "other description",
                [DUMP_VMSD_MISSING] = "no structure",
                [DUMP_FIELD_MISSING] = "field missing",
                [DUMP_FIELD_OTHER] = "other field",
                [DUMP_FIELD_SIZE] = "other size",
                [DUMP_PADDING] = "unused bytes do not balance",
                [DUMP_SUBSECTION_MISSING] = "subsection missing",
        };

        return words[kind];
}
