/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/pin.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/progress.h"
#include "base/text.h"
#include "format/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SAMPLES     256
#define SAMPLE_SIZE 4096

struct pinned {
        contents_read *read;
        void *arg;
        uint64_t size;
        struct digest *digest;
        uint8_t *buffer; /* MiB */
};

static void json_release(json_t **v)
{
        json_decref(*v);
}

/* ---- taking one --------------------------------------------------------- */

static bool add_range(const struct pinned *p, uint64_t offset, uint64_t len,
                      struct err *err)
{
        while (len > 0) {
                size_t n = len < MiB ? (size_t)len : MiB;

                if (progress_cancelled(err))
                        return false;
                TRY(p->read(p->arg, offset, p->buffer, n, err));
                digest_update(p->digest, p->buffer, n);
                offset += n;
                len -= n;
        }
        return true;
}

static bool add_edges(const struct pinned *p, uint64_t offset, uint64_t size,
                      struct err *err)
{
        uint64_t edge = size < CONTENTS_EDGE ? size : CONTENTS_EDGE;

        return add_range(p, offset, edge, err) &&
               add_range(p, offset + size - edge, edge, err);
}

/* Offset 0 is the disk; what begins elsewhere, a partition. */
static bool add_superblocks(const struct pinned *p, const json_t *contents,
                            struct err *err)
{
        json_t *entry;
        size_t i;

        TRY(add_edges(p, 0, p->size, err));
        json_array_foreach(contents, i, entry)
        {
                json_int_t offset =
                        json_integer_value(json_object_get(entry, "offset"));
                json_int_t size =
                        json_integer_value(json_object_get(entry, "size"));

                if (offset)
                        TRY(add_edges(p, (uint64_t)offset, (uint64_t)size,
                                      err));
        }
        return true;
}

static bool add_samples(const struct pinned *p, struct err *err)
{
        for (uint64_t i = 0; i < SAMPLES; i++) {
                /* i / SAMPLES of the size, which may be near 2^64. */
                uint64_t offset =
                        p->size / SAMPLES * i + p->size % SAMPLES * i / SAMPLES;
                uint64_t len;

                offset -= offset % SAMPLE_SIZE;
                len = p->size - offset;
                TRY(add_range(p, offset, len < SAMPLE_SIZE ? len : SAMPLE_SIZE,
                              err));
        }
        return true;
}

/* What was added since, under a key. */
static bool take_digest(const struct pinned *p, json_t *pin, const char *key,
                        struct err *err)
{
        uint8_t digest[DIGEST_SIZE];
        char hex[DIGEST_HEX];

        digest_result(p->digest, digest);
        digest_reset(p->digest);
        if (json_object_set_new(pin, key,
                                json_string(digest_hex(digest, hex))) != 0)
                return err_nomem(err);
        return true;
}

static bool take(const struct pinned *p, bool whole, json_t *pin,
                 struct err *err)
{
        json_t *contents;

        TRY(contents_probe(p->read, p->arg, p->size, &contents, err));
        if (json_object_set_new(pin, "contents", contents) != 0 ||
            json_object_set_new(pin, "virtual_size",
                                json_integer((json_int_t)p->size)) != 0)
                return err_nomem(err);
        TRY(add_superblocks(p, contents, err));
        TRY(take_digest(p, pin, "superblocks", err));
        TRY(add_samples(p, err));
        TRY(take_digest(p, pin, "samples", err));
        if (!whole)
                return true;
        TRY(add_range(p, 0, p->size, err));
        return take_digest(p, pin, "whole", err);
}

bool pin_take(contents_read *read, void *arg, uint64_t size, bool whole,
              json_t **out, struct err *err)
{
        CLEANUP(json_release) json_t *pin = json_object();
        CLEANUP_FREE uint8_t *buffer = malloc(MiB);
        struct pinned p = {.read = read,
                           .arg = arg,
                           .size = size,
                           .digest = digest_new(),
                           .buffer = buffer};
        bool ok;

        ok = pin && buffer && p.digest ? take(&p, whole, pin, err)
                                       : err_nomem(err);
        digest_free(p.digest);
        if (ok)
                *out = steal(pin);
        return ok;
}

/* ---- comparing ---------------------------------------------------------- */

static bool is_digest(const json_t *v)
{
        uint8_t digest[DIGEST_SIZE];

        return json_is_string(v) && json_string_length(v) == DIGEST_HEX - 1 &&
               digest_parse(json_string_value(v), digest);
}

static bool check_pin(const json_t *pin, struct err *err)
{
        const json_t *size = json_object_get(pin, "virtual_size");
        const json_t *whole = json_object_get(pin, "whole");

        if (!json_is_integer(size) || json_integer_value(size) < 0 ||
            !json_is_array(json_object_get(pin, "contents")) ||
            !is_digest(json_object_get(pin, "superblocks")) ||
            !is_digest(json_object_get(pin, "samples")) ||
            (whole && !is_digest(whole)))
                return err_set(err, ERR_CORRUPT, "pin: not what a pin is");
        return true;
}

static const char *text_of(const json_t *entry, const char *key)
{
        const char *value = json_string_value(json_object_get(entry, key));

        return value ? value : "";
}

static json_int_t offset_of(const json_t *entry)
{
        return json_integer_value(json_object_get(entry, "offset"));
}

/* "ext4 at 1048576" */
static const char *name_entry(const json_t *entry, char *out, size_t size)
{
        const char *table = text_of(entry, "partition_table");
        const char *type = text_of(entry, "type");
        char safe[24], at[40] = "";

        if (offset_of(entry))
                snprintf(at, sizeof at, " at %" JSON_INTEGER_FORMAT,
                         offset_of(entry));
        if (table[0])
                snprintf(out, size, "%s partition table%s",
                         text_escape(table, safe, sizeof safe), at);
        else
                snprintf(out, size, "%s%s",
                         type[0] ? text_escape(type, safe, sizeof safe)
                                 : "partition",
                         at);
        return out;
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
        const json_t *x = json_object_get(a, key), *y = json_object_get(b, key);

        return x == y || json_equal(x, y);
}

static bool same_thing(const json_t *a, const json_t *b)
{
        return same(a, b, "type") && same(a, b, "partition_table");
}

/* Of two entries, or one that is missing on either side, that differ. */
static void describe(const json_t *was, const json_t *is, char why[200])
{
        char before[80], now[80];

        if (was && (!is || offset_of(was) < offset_of(is))) {
                snprintf(why, 200, "the %s is gone",
                         name_entry(was, before, sizeof before));
                return;
        }
        name_entry(is, now, sizeof now);
        if (!was || offset_of(is) < offset_of(was)) {
                snprintf(why, 200, "the %s was not there", now);
                return;
        }
        if (!same_thing(was, is))
                snprintf(why, 200, "what was %s is %s now",
                         name_entry(was, before, sizeof before), now);
        else if (!same(was, is, "uuid"))
                snprintf(why, 200, "the %s has another UUID", now);
        else if (!same(was, is, "label"))
                snprintf(why, 200, "the %s has another label", now);
        else
                snprintf(why, 200, "the %s is of another size or use", now);
}

static void compare_contents(const json_t *was, const json_t *is, char why[200])
{
        size_t n = json_array_size(was), m = json_array_size(is);

        for (size_t i = 0; i < n || i < m; i++) {
                const json_t *a = json_array_get(was, i);
                const json_t *b = json_array_get(is, i);

                if (a && b && json_equal(a, b))
                        continue;
                describe(a, b, why);
                return;
        }
}

static void compare_pins(const json_t *was, const json_t *is, char why[200])
{
        static const struct {
                const char *key, *differs;
        } digests[] = {
                {"superblocks", "its superblocks differ"},
                {"samples",
                 "its content differs (in blocks that were sampled)"},
                {"whole", "its content differs"},
        };

        compare_contents(json_object_get(was, "contents"),
                         json_object_get(is, "contents"), why);
        for (size_t i = 0; !why[0] && i < sizeof digests / sizeof *digests; i++)
                if (!same(was, is, digests[i].key))
                        snprintf(why, 200, "%s", digests[i].differs);
}

bool pin_compare(const json_t *recorded, contents_read *read, void *arg,
                 uint64_t size, char why[200], struct err *err)
{
        CLEANUP(json_release) json_t *found = NULL;
        uint64_t was;

        TRY(check_pin(recorded, err));
        why[0] = '\0';
        was = (uint64_t)json_integer_value(
                json_object_get(recorded, "virtual_size"));
        if (size != was) {
                snprintf(why, 200, "%s from %" PRIu64 " to %" PRIu64 " bytes",
                         size > was ? "grown" : "shrunk", was, size);
                return true;
        }
        TRY(pin_take(read, arg, size, json_object_get(recorded, "whole"),
                     &found, err));
        compare_pins(recorded, found, why);
        return true;
}
