/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line a difference; of what is long, the beginning, and how much differs. */
#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "restore/diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Of a buffer, this many bytes from the first that differs; of ranges and of
 * values' text, so much.  --json has more. */
#define SHOWN_BYTES  8
#define SHOWN_RANGES 4
#define SHOWN_TEXT   200

struct options {
        bool json;
        unsigned threads;
        int progress;
};

static const struct option table[] = {
        CMD_OPTION_JSON(struct options),
        CMD_OPTION_THREADS(struct options),
        CMD_OPTION_PROGRESS(struct options),
        {0},
};

struct output {
        bool json;
        uint64_t told;
        struct progress *progress;
};

static const char sides[] = "AB";

/* ---- for people ---------------------------------------------------------- */

static void print_escaped(const char *s)
{
        char shown[700];

        fputs(text_escape(s, shown, sizeof shown), stdout);
}

/* Strings as they are, all else as JSON. */
static void print_value(const json_t *value)
{
        CLEANUP_FREE char *text = NULL;
        char shown[SHOWN_TEXT];

        if (!json_is_string(value))
                text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
                                                 JSON_SORT_KEYS);
        fputs(text_escape(text                    ? text
                          : json_is_string(value) ? json_string_value(value)
                                                  : "?",
                          shown, sizeof shown),
              stdout);
}

static void print_config(const struct difference *d)
{
        print_escaped(d->path);
        fputs(": ", stdout);
        if (json_is_array(d->value[0]) && json_is_array(d->value[1])) {
                fputs("only in A: ", stdout);
                print_value(d->value[0]);
                fputs("; only in B: ", stdout);
                print_value(d->value[1]);
        } else if (d->value[0] && d->value[1]) {
                print_value(d->value[0]);
                fputs(" -> ", stdout);
                print_value(d->value[1]);
        } else {
                printf("only in %c: ", sides[!d->value[0]]);
                print_value(d->value[!d->value[0]]);
        }
}

static void print_device(const struct difference *d)
{
        const struct device_section *s = d->section[!d->section[0]];

        print_escaped(s->idstr);
        if (s->instance_id)
                printf(", instance %" PRIu32, s->instance_id);
        if (d->kind == DIFFERENCE_FIELD)
                return;
        if (d->section[0] && d->section[1])
                printf(": version %" PRIu32 " -> %" PRIu32,
                       d->section[0]->version_id, d->section[1]->version_id);
        else
                printf(": only in %c", sides[!d->section[0]]);
}

static void print_bytes(const struct field *f, size_t at)
{
        for (size_t i = at; i < f->size && i < at + SHOWN_BYTES; i++)
                printf("%s%02x", i > at ? " " : "", f->bytes[i]);
        if (f->size > at + SHOWN_BYTES)
                printf(" ...");
}

static void print_buffers(const struct field *a, const struct field *b)
{
        size_t len = a->size < b->size ? a->size : b->size, at, differing = 0;

        for (at = 0; at < len && a->bytes[at] == b->bytes[at]; at++) {
        }
        for (size_t i = at; i < len; i++)
                differing += a->bytes[i] != b->bytes[i];
        if (a->size != b->size)
                printf("%zu -> %zu bytes", a->size, b->size);
        else if (a->size > SHOWN_BYTES)
                printf("%zu of %zu bytes differ", differing, a->size);
        if (a->size != b->size || a->size > SHOWN_BYTES)
                printf(at < len ? ", from byte %zu on: " : "; ", at);
        else
                at = 0;
        print_bytes(a, at);
        fputs(" -> ", stdout);
        print_bytes(b, at);
}

static void print_field(const struct difference *d)
{
        const struct field *a = d->field[0], *b = d->field[1];
        char x[FIELD_TEXT], y[FIELD_TEXT];

        print_device(d);
        fputs(": ", stdout);
        print_escaped(d->path);
        fputs(": ", stdout);
        if (a && b && a->kind == FIELD_BYTES && b->kind == FIELD_BYTES) {
                print_buffers(a, b);
        } else if (a && b) {
                printf("%s -> %s", field_text(a, x), field_text(b, y));
                if (strcmp(a->type, b->type) != 0) {
                        fputs(", ", stdout);
                        print_escaped(a->type);
                        fputs(" -> ", stdout);
                        print_escaped(b->type);
                }
        } else {
                printf("only in %c: %s", sides[!a], field_text(a ? a : b, x));
        }
}

static void print_ranges(const struct diff_region *r)
{
        size_t n = r->range_count < SHOWN_RANGES ? (size_t)r->range_count
                                                 : SHOWN_RANGES;

        for (size_t i = 0; i < n; i++)
                printf("%s0x%" PRIx64 "+0x%" PRIx64, i ? ", " : ": ",
                       r->ranges[i].offset, r->ranges[i].length);
        if (r->range_count > n)
                printf(", and %" PRIu64 " more ranges", r->range_count - n);
}

static void print_region(const struct difference *d)
{
        const struct diff_region *r = d->region;
        bool ram = d->kind == DIFFERENCE_RAM;
        const char *unit = ram ? "pages" : "sectors";
        uint64_t size = r->size[0] > r->size[1] ? r->size[0] : r->size[1];

        printf(ram ? "RAM " : "disk ");
        print_escaped(r->name);
        if (!r->present[0] || !r->present[1]) {
                printf(": only in %c", sides[!r->present[0]]);
                return;
        }
        if (r->size[0] != r->size[1])
                printf(": size %" PRIu64 " -> %" PRIu64, r->size[0],
                       r->size[1]);
        if (!r->differing)
                return;
        printf("%s%" PRIu64 " of %" PRIu64 " %s differ",
               r->size[0] != r->size[1] ? "; " : ": ",
               (r->differing + r->unit - 1) / r->unit,
               (size + r->unit - 1) / r->unit, unit);
        for (int s = 0; s < 2; s++) {
                if (r->zero[s])
                        printf(", %" PRIu64 " are zero in %c only",
                               r->zero[s] / r->unit, sides[s]);
                if (r->hole[s])
                        printf(", %" PRIu64 " are not in %c's overlay",
                               r->hole[s] / r->unit, sides[s]);
        }
        print_ranges(r);
}

static void print_text(const struct difference *d)
{
        switch (d->kind) {
        case DIFFERENCE_CONFIG:
                print_config(d);
                break;
        case DIFFERENCE_DEVICE:
                print_device(d);
                break;
        case DIFFERENCE_FIELD:
                print_field(d);
                break;
        case DIFFERENCE_RAM:
        case DIFFERENCE_DISK:
                print_region(d);
                break;
        }
        putchar('\n');
}

/* ---- for programs -------------------------------------------------------- */

static const char *const keys[] = {"a", "b"};

/* A key is missing where there is nothing. */
static bool set(json_t *j, const char *key, json_t *value)
{
        return value && json_object_set_new(j, key, value) == 0;
}

static bool describe_device(json_t *j, const struct difference *d)
{
        const struct device_section *s = d->section[!d->section[0]];
        char shown[600];
        bool ok;

        ok = set(j, "device",
                 json_string(text_escape(s->idstr, shown, sizeof shown))) &&
             set(j, "instance_id", json_integer(s->instance_id));
        for (int i = 0; i < 2 && d->kind == DIFFERENCE_DEVICE; i++)
                if (d->section[i])
                        ok = ok && set(j, keys[i],
                                       json_pack("{s:I}", "version_id",
                                                 (json_int_t)d->section[i]
                                                         ->version_id));
        return ok;
}

static bool describe_field(json_t *j, const struct difference *d)
{
        char shown[1100];
        bool ok = describe_device(j, d) &&
                  set(j, "path",
                      json_string(text_escape(d->path, shown, sizeof shown)));

        for (int i = 0; i < 2; i++)
                if (d->field[i])
                        ok = ok &&
                             set(j, keys[i],
                                 json_pack("{s:s, s:I, s:I, s:o}", "type",
                                           text_escape(d->field[i]->type, shown,
                                                       sizeof shown),
                                           "offset",
                                           (json_int_t)d->field[i]->offset,
                                           "size",
                                           (json_int_t)d->field[i]->size,
                                           "value", field_value(d->field[i])));
        return ok;
}

static bool describe_region(json_t *j, const struct difference *d)
{
        const struct diff_region *r = d->region;
        json_t *ranges = json_array();
        char shown[600];
        bool ok = ranges != NULL;

        for (size_t i = 0; ok && i < r->range_count && i < DIFF_RANGES; i++)
                ok = json_array_append_new(
                             ranges,
                             json_pack("{s:I, s:I}", "offset",
                                       (json_int_t)r->ranges[i].offset,
                                       "length",
                                       (json_int_t)r->ranges[i].length)) == 0;
        ok = set(j, d->kind == DIFFERENCE_RAM ? "block" : "disk",
                 json_string(text_escape(r->name, shown, sizeof shown))) &&
             ok;
        for (int i = 0; i < 2; i++)
                if (r->present[i])
                        ok = ok && set(j, keys[i],
                                       json_pack("{s:I, s:I, s:I}", "size",
                                                 (json_int_t)r->size[i], "zero",
                                                 (json_int_t)r->zero[i], "hole",
                                                 (json_int_t)r->hole[i]));
        ok = ok && set(j, "unit", json_integer(r->unit)) &&
             set(j, "differing", json_integer((json_int_t)r->differing)) &&
             set(j, "range_count", json_integer((json_int_t)r->range_count));
        /* set releases nothing that it was not given. */
        if (!ok)
                json_decref(ranges);
        return ok && set(j, "ranges", ranges);
}

static bool describe_config(json_t *j, const struct difference *d)
{
        char shown[700];
        bool ok = set(j, "path",
                      json_string(text_escape(d->path, shown, sizeof shown)));

        for (int i = 0; i < 2; i++)
                if (d->value[i])
                        ok = ok && json_object_set(j, keys[i],
                                                   (json_t *)d->value[i]) == 0;
        return ok;
}

static bool print_json(const struct difference *d, bool first, struct err *err)
{
        static const char *const kinds[] = {"config", "device", "field", "ram",
                                            "disk"};
        json_auto_t *j = json_pack("{s:s}", "kind", kinds[d->kind]);
        bool ok = j != NULL;

        switch (d->kind) {
        case DIFFERENCE_CONFIG:
                ok = ok && describe_config(j, d);
                break;
        case DIFFERENCE_DEVICE:
                ok = ok && describe_device(j, d);
                break;
        case DIFFERENCE_FIELD:
                ok = ok && describe_field(j, d);
                break;
        case DIFFERENCE_RAM:
        case DIFFERENCE_DISK:
                ok = ok && describe_region(j, d);
                break;
        }
        if (!ok)
                return err_nomem(err);
        fputs(first ? "\n" : ",\n", stdout);
        json_dumpf(j, stdout, JSON_COMPACT);
        return true;
}

/* ---- the command --------------------------------------------------------- */

static bool visit(void *arg, const struct difference *d, struct err *err)
{
        struct output *out = arg;

        progress_pause(out->progress);
        if (!out->json)
                print_text(d);
        else
                TRY(print_json(d, out->told == 0, err));
        out->told++;
        return !ferror(stdout) || cmd_flush(err);
}

static bool open_both(const struct operands *operands, int fd[2],
                      struct diff_input in[2], struct err *err)
{
        for (int i = 0; i < 2; i++) {
                TRY(cmd_open_input(operands->items[i], &fd[i], &in[i].name,
                                   err));
                in[i].fd = fd[i];
        }
        return true;
}

static bool diff(const struct operands *operands, const struct options *o,
                 bool *equal_out, struct err *err)
{
        struct output out = {.json = o->json};
        struct diff_options how = {
                .threads = cmd_threads(o->threads),
                .visit = visit,
                .arg = &out,
        };
        struct diff_input in[2];
        int fd[2] = {-1, -1};
        bool ok;

        ok = progress_new(o->progress, &out.progress, err);
        how.progress = out.progress;
        ok = ok && open_both(operands, fd, in, err);
        if (ok && o->json)
                printf("{\"differences\": [");
        ok = ok && diff_run(in, &how, equal_out, err);
        progress_free(out.progress);
        if (ok && o->json)
                printf("%s], \"equal\": %s}\n", out.told ? "\n" : "",
                       *equal_out ? "true" : "false");
        for (int i = 0; i < 2; i++)
                if (fd[i] >= 0)
                        close(fd[i]);
        return ok && cmd_flush(err);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct operands operands;
        struct err err = ERR_INIT;
        bool equal;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!diff(&operands, &o, &equal, &err))
                return cmd_fail(self, &err);
        return equal ? 0 : 1;
}

static const char *const examples[] = {
        "stasis diff before.stasis after.stasis",
        "stasis diff --json before.stasis after.stasis",
        NULL,
};

const struct command cmd_diff = {
        .name = "diff",
        .summary = "tell how two snapshots differ",
        .usage = "[OPTION...] A B",
        .examples = examples,
        .options = table,
        .operands_min = 2,
        .operands_max = 2,
        .run = run,
};
