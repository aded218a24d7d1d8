/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/fields.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include "qemu/fields_private.h"
#include "qemu/stream_format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Structs within structs; QEMU's deepest is about 6. */
#define DEPTH_MAX 64
/* A null pointer in an array of pointers is this one byte. */
#define NULL_MARK '0'
/* Bounds the time that a description of empty fields can cost. */
#define FIELDS_MAX (64 * MiB)

/* Names as QEMU writes them; what the loader demands of a value ("equal";
 * "le", less or equal) is no part of its bytes.  All are big-endian. */
static const struct {
        const char *name;
        enum field_kind kind;
} types[] = {
        {"bool", FIELD_BOOL},
        {"int8", FIELD_SIGNED},
        {"int16", FIELD_SIGNED},
        {"int32", FIELD_SIGNED},
        {"int64", FIELD_SIGNED},
        {"int32 equal", FIELD_SIGNED},
        {"int64 equal", FIELD_SIGNED},
        {"int32 le", FIELD_SIGNED},
        {"uint8", FIELD_UNSIGNED},
        {"uint16", FIELD_UNSIGNED},
        {"uint32", FIELD_UNSIGNED},
        {"uint64", FIELD_UNSIGNED},
        {"uint8 equal", FIELD_UNSIGNED},
        {"uint16 equal", FIELD_UNSIGNED},
        {"uint32 equal", FIELD_UNSIGNED},
        {"uint64 equal", FIELD_UNSIGNED},
        {"int32_as_uint16", FIELD_UNSIGNED},
        {"uint16_from_uint8", FIELD_UNSIGNED},
        {"CPU_Double_U", FIELD_UNSIGNED},
        {"timer", FIELD_SIGNED},
        {"nullptr", FIELD_NULL},
};

static bool decode_vmsd(struct fields *f, const json_t *vmsd,
                        unsigned occurrence);

/* ---- telling ------------------------------------------------------------- */

bool fields_bad(struct fields *f, const char *fmt, ...)
{
        char shown[400], why[200];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(why, sizeof why, fmt, ap);
        va_end(ap);
        return err_set(f->err, ERR_CORRUPT, "field %s, byte %zu: %s",
                       text_escape(f->path, shown, sizeof shown), f->at, why);
}

static bool push(struct fields *f, size_t *mark, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static bool push(struct fields *f, size_t *mark, const char *fmt, ...)
{
        size_t room = sizeof f->path - f->path_len;
        va_list ap;
        int n;

        *mark = f->path_len;
        va_start(ap, fmt);
        n = vsnprintf(f->path + f->path_len, room, fmt, ap);
        va_end(ap);
        if (n < 0 || (size_t)n >= room) {
                fields_pop(f, *mark);
                return err_set(f->err, ERR_LIMIT,
                               "the path of a field is too long");
        }
        f->path_len += (size_t)n;
        return true;
}

bool fields_push(struct fields *f, const char *name, size_t *mark)
{
        return push(f, mark, "%s%s", f->path_len ? "." : "", name);
}

bool fields_push_index(struct fields *f, uint64_t index, size_t *mark)
{
        return push(f, mark, "[%" PRIu64 "]", index);
}

void fields_pop(struct fields *f, size_t mark)
{
        f->path_len = mark;
        f->path[mark] = '\0';
}

size_t fields_left(const struct fields *f)
{
        return f->len - f->at;
}

uint64_t fields_peek(const struct fields *f, size_t ahead, size_t size)
{
        uint64_t value = 0;

        if (ahead > fields_left(f) || size > fields_left(f) - ahead)
                return 0;
        for (size_t i = 0; i < size; i++)
                value = value << 8 | f->bytes[f->at + ahead + i];
        return value;
}

static uint64_t value_of(const struct fields *f, enum field_kind kind,
                         size_t size)
{
        uint64_t value = fields_peek(f, 0, size);

        if (kind == FIELD_SIGNED && size < 8 && value >> (8 * size - 1))
                value |= UINT64_MAX << (8 * size);
        return value;
}

bool fields_tell(struct fields *f, const char *type, enum field_kind kind,
                 size_t size)
{
        bool number = kind != FIELD_BYTES && kind != FIELD_SUBSECTION;
        struct field field = {
                .path = f->path,
                .type = type,
                .kind = kind,
                .bytes = f->bytes + f->at,
                .offset = f->at,
                .size = size,
        };

        if (size > fields_left(f))
                return fields_bad(f, "%zu bytes of '%s', %zu are left", size,
                                  type, fields_left(f));
        if (++f->told > FIELDS_MAX)
                return err_set(f->err, ERR_LIMIT, "too many fields");
        if (number && (size == 0 || size > 8))
                field.kind = FIELD_BYTES;
        else if (number)
                field.value = value_of(f, kind, size);
        else if (kind == FIELD_SUBSECTION)
                field.value = fields_peek(f, size - 4, 4);
        if (field.kind == FIELD_NULL && field.value != NULL_MARK)
                return fields_bad(f, "no null pointer");
        f->at += size;
        return f->visit(f->arg, &field, f->err);
}

bool fields_leaf(struct fields *f, const char *name, const char *type,
                 enum field_kind kind, size_t size)
{
        size_t mark;
        bool ok;

        TRY(fields_push(f, name, &mark));
        ok = fields_tell(f, type, kind, size);
        fields_pop(f, mark);
        return ok;
}

/* Type byte, counted name, version. */
bool fields_subsection(struct fields *f, const char *name,
                       const json_t *version)
{
        size_t len = strlen(name);
        uint64_t have = fields_peek(f, 2 + len, 4);

        if (fields_peek(f, 0, 1) != ITEM_SUBSECTION ||
            fields_peek(f, 1, 1) != len || fields_left(f) < 2 + len + 4 ||
            memcmp(f->bytes + f->at + 2, name, len) != 0)
                return fields_bad(f, "subsection %.100s is not there", name);
        if (json_is_integer(version) &&
            have != (uint64_t)json_integer_value(version))
                return fields_bad(f, "version %" PRIu64 " is not described",
                                  have);
        return fields_tell(f, "subsection", FIELD_SUBSECTION, 2 + len + 4);
}

/* ---- the description ----------------------------------------------------- */

/* "fields", or "fields#2": fields_parse. */
static const json_t *numbered(const json_t *object, const char *key,
                              unsigned occurrence)
{
        char name[40];

        if (occurrence == 0)
                return json_object_get(object, key);
        snprintf(name, sizeof name, "%s#%u", key, occurrence);
        return json_object_get(object, name);
}

static bool whole(struct fields *f, const json_t *object, const char *key,
                  uint64_t fallback, uint64_t *out)
{
        const json_t *value = json_object_get(object, key);

        *out = fallback;
        if (!value)
                return true;
        if (!json_is_integer(value) || json_integer_value(value) < 0)
                return fields_bad(f, "vmdesc's \"%s\" is no sane number", key);
        *out = (uint64_t)json_integer_value(value);
        return true;
}

static enum field_kind kind_of(const char *type)
{
        for (size_t i = 0; i < sizeof types / sizeof *types; i++)
                if (strcmp(types[i].name, type) == 0)
                        return types[i].kind;
        return FIELD_BYTES;
}

static bool decode_leaf(struct fields *f, const json_t *field, const char *type)
{
        uint64_t size;

        TRY(whole(f, field, "size", 0, &size));
        if (size > fields_left(f))
                return fields_bad(f,
                                  "%" PRIu64 " bytes of '%.60s', %zu are left",
                                  size, type, fields_left(f));
        if (strcmp(type, "virtio") == 0)
                return fields_virtio(f, (size_t)size);
        return fields_tell(f, type, kind_of(type), (size_t)size);
}

/* One element of a list: its mark, and if it is there what follows it. */
static bool list_element(struct fields *f, const json_t *field, uint64_t index,
                         unsigned first, unsigned parts, size_t key_size,
                         bool *more)
{
        size_t mark;
        bool ok;

        TRY(fields_push_index(f, index, &mark));
        *more = fields_peek(f, 0, 1) == 1;
        if (!*more && (fields_left(f) == 0 || fields_peek(f, 0, 1) != 0))
                ok = fields_bad(f, "no mark of a list's element or end");
        else
                ok = fields_leaf(f, "more", "mark", FIELD_MARK, 1);
        if (ok && *more && key_size)
                ok = fields_leaf(f, "key", "uint64", FIELD_UNSIGNED, key_size);
        for (unsigned p = 0; ok && *more && p < parts; p++) {
                if (!numbered(field, "vmsd_name", first + p))
                        ok = fields_bad(f, "vmdesc describes fewer elements");
                else
                        ok = decode_vmsd(f, field, first + p);
        }
        fields_pop(f, mark);
        return ok;
}

static bool decode_list(struct fields *f, const json_t *field)
{
        bool more = true;

        for (unsigned i = 0; more; i++)
                TRY(list_element(f, field, i, i, 1, 0, &more));
        return true;
}

/* Nodes with a key of eight bytes, or with one that is a struct itself: then
 * two descriptions stand for each. */
static bool decode_tree(struct fields *f, const json_t *field)
{
        uint64_t count = fields_peek(f, 0, 4);
        bool more = true, keyed;

        TRY(fields_leaf(f, "count", "uint32", FIELD_UNSIGNED, 4));
        if (count > fields_left(f))
                return fields_bad(f, "more nodes than bytes");
        keyed = count > 0 && numbered(field, "vmsd_name", (unsigned)count);
        for (unsigned i = 0; more; i++) {
                unsigned parts = keyed ? 2 : 1;

                TRY(list_element(f, field, i, i * parts, parts, keyed ? 0 : 8,
                                 &more));
                if (more ? i >= count : i != count)
                        return fields_bad(f, "not %" PRIu64 " nodes", count);
        }
        return true;
}

/* Before 10.0 a null pointer among structs is described as an empty one. */
static bool is_null_struct(const json_t *vmsd, uint64_t size)
{
        return vmsd && size == 1 &&
               json_array_size(json_object_get(vmsd, "fields")) == 0 &&
               json_array_size(json_object_get(vmsd, "subsections")) == 0;
}

static bool decode_element(struct fields *f, const json_t *field)
{
        const char *type = json_string_value(json_object_get(field, "type"));
        const json_t *inner = json_object_get(field, "struct");
        uint64_t size;

        if (!type)
                return fields_bad(f, "vmdesc tells no type");
        TRY(whole(f, field, "size", 0, &size));
        if (is_null_struct(inner, size))
                return fields_tell(f, "nullptr", FIELD_NULL, 1);
        if (inner)
                return decode_vmsd(f, inner, 0);
        if (strcmp(type, "qtailq") == 0 || strcmp(type, "qlist") == 0)
                return decode_list(f, field);
        if (strcmp(type, "gtree") == 0)
                return decode_tree(f, field);
        if (json_object_get(field, "fields")) /* tmp, vstruct */
                return decode_vmsd(f, field, 0);
        return decode_leaf(f, field, type);
}

/* Before 10.0 an array of pointers that begins with a null one is described as
 * if all were null (s390_css): what the others hold is not told. */
static bool check_null(struct fields *f, const json_t *field, uint64_t size)
{
        char shown[400];

        if (!is_null_struct(json_object_get(field, "struct"), size) ||
            fields_left(f) == 0 || fields_peek(f, 0, 1) == NULL_MARK)
                return true;
        return err_set(f->err, ERR_UNSUPPORTED,
                       "field %s, byte %zu: QEMU describes it as a null "
                       "pointer, which it is not",
                       text_escape(f->path, shown, sizeof shown), f->at);
}

/* count elements from index on; in_array: they are named by their index. */
static bool decode_elements(struct fields *f, const json_t *field,
                            uint64_t index, uint64_t count, bool in_array)
{
        for (uint64_t i = 0; i < count; i++) {
                size_t mark, begin = f->at;
                uint64_t size;
                bool ok;

                if (in_array)
                        TRY(fields_push_index(f, index + i, &mark));
                ok = whole(f, field, "size", 0, &size) &&
                     (i == 0 || check_null(f, field, size)) &&
                     decode_element(f, field);
                /* Exact for the first; the others may differ from it. */
                if (ok && i == 0 && f->at - begin != size)
                        ok = fields_bad(f, "%zu bytes, vmdesc says %" PRIu64,
                                        f->at - begin, size);
                if (in_array)
                        fields_pop(f, mark);
                TRY(ok);
                if (f->at == begin && count > 1)
                        break; /* nothing can follow from nothing */
        }
        return true;
}

static const char *name_at(const json_t *list, size_t i)
{
        return json_string_value(
                json_object_get(json_array_get(list, i), "name"));
}

static bool same_name(const json_t *list, size_t i, size_t k)
{
        const char *a = name_at(list, i), *b = name_at(list, k);

        return a && b && strcmp(a, b) == 0;
}

/*
 * Fields of one name that follow each other are one array: up to 7.2 each has
 * its index, in 10.0 all but the last, in 11.1 none; runs of null pointers and
 * of others have an array_len of their own.  Different fields never have one
 * name.
 */
static bool decode_fields(struct fields *f, const json_t *list)
{
        uint64_t index = 0, count;

        for (size_t i = 0; i < json_array_size(list); i++) {
                const json_t *field = json_array_get(list, i);
                bool again = i > 0 && same_name(list, i - 1, i);
                size_t mark;
                bool ok;

                if (!name_at(list, i))
                        return fields_bad(f, "vmdesc has a field without name");
                TRY(whole(f, field, "array_len", 1, &count));
                TRY(fields_push(f, name_at(list, i), &mark));
                if (!again)
                        index = 0;
                ok = decode_elements(
                        f, field, index, count,
                        again || same_name(list, i, i + 1) ||
                                json_object_get(field, "index") ||
                                json_object_get(field, "array_len"));
                index += count;
                fields_pop(f, mark);
                TRY(ok);
        }
        return true;
}

static bool decode_subsections(struct fields *f, const json_t *list)
{
        const json_t *sub;
        size_t i, mark;

        json_array_foreach(list, i, sub)
        {
                const char *name =
                        json_string_value(json_object_get(sub, "vmsd_name"));
                bool ok;

                if (!name)
                        return fields_bad(f, "a subsection without vmsd_name");
                TRY(fields_push(f, name, &mark));
                ok = fields_subsection(f, name,
                                       json_object_get(sub, "version")) &&
                     decode_vmsd(f, sub, 0);
                fields_pop(f, mark);
                TRY(ok);
        }
        return true;
}

static bool decode_vmsd(struct fields *f, const json_t *vmsd,
                        unsigned occurrence)
{
        bool ok;

        if (++f->depth > DEPTH_MAX)
                return fields_bad(f, "structs are nested too deeply");
        ok = decode_fields(f, numbered(vmsd, "fields", occurrence)) &&
             decode_subsections(f, numbered(vmsd, "subsections", occurrence));
        f->depth--;
        return ok;
}

bool fields_decode(const json_t *device, const uint8_t *payload, size_t len,
                   field_visit *visit, void *arg, struct err *err)
{
        struct fields f = {.bytes = payload,
                           .len = len,
                           .visit = visit,
                           .arg = arg,
                           .err = err};

        TRY(decode_vmsd(&f, device, 0));
        return f.at == len ||
               fields_bad(&f, "%zu bytes that vmdesc does not describe",
                          len - f.at);
}

bool fields_described(const json_t *device)
{
        return json_object_get(device, "vmsd_name") != NULL;
}

/* ---- values -------------------------------------------------------------- */

static json_t *hex_string(const uint8_t *bytes, size_t len)
{
        static const char digits[] = "0123456789abcdef";
        CLEANUP_FREE char *text = malloc(2 * len + 1);

        if (!text)
                return NULL;
        for (size_t i = 0; i < len; i++) {
                text[2 * i] = digits[bytes[i] >> 4];
                text[2 * i + 1] = digits[bytes[i] & 15];
        }
        return json_stringn(text, 2 * len);
}

json_t *field_value(const struct field *f)
{
        char large[24];

        switch (f->kind) {
        case FIELD_BYTES:
                return hex_string(f->bytes, f->size);
        case FIELD_BOOL:
                return json_boolean(f->value != 0);
        case FIELD_NULL:
                return json_null();
        case FIELD_UNSIGNED:
                if (f->value <= INT64_MAX)
                        break;
                snprintf(large, sizeof large, "0x%" PRIx64, f->value);
                return json_string(large);
        case FIELD_SIGNED:
        case FIELD_MARK:
        case FIELD_SUBSECTION:
                break;
        }
        return json_integer((json_int_t)f->value);
}

/* So many bytes are shown. */
#define SHOWN 24

static void bytes_text(const struct field *f, char out[FIELD_TEXT])
{
        size_t used = 0;

        if (f->size > 8 && bytes_are_zero(f->bytes, f->size)) {
                strcpy(out, "zeros");
                return;
        }
        out[0] = '\0';
        for (size_t i = 0; i < f->size && i < SHOWN; i++)
                used += (size_t)sprintf(out + used, "%s%02x", i ? " " : "",
                                        f->bytes[i]);
        if (f->size > SHOWN)
                strcpy(out + used, " ...");
}

const char *field_text(const struct field *f, char out[FIELD_TEXT])
{
        switch (f->kind) {
        case FIELD_BYTES:
                bytes_text(f, out);
                break;
        case FIELD_BOOL:
                strcpy(out, f->value ? "true" : "false");
                break;
        case FIELD_NULL:
                strcpy(out, "null");
                break;
        case FIELD_SIGNED:
                snprintf(out, FIELD_TEXT, "%" PRId64, (int64_t)f->value);
                break;
        case FIELD_SUBSECTION:
                snprintf(out, FIELD_TEXT, "version %" PRIu64, f->value);
                break;
        case FIELD_UNSIGNED:
        case FIELD_MARK:
                snprintf(out, FIELD_TEXT,
                         f->value > 9 ? "%" PRIu64 " (0x%" PRIx64 ")"
                                      : "%" PRIu64,
                         f->value, f->value);
                break;
        }
        return out;
}
