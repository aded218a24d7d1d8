/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "qemu/fields.h"
#include "restore/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct options {
        bool json;
};

static const struct option table[] = {
        CMD_OPTION_JSON(struct options),
        {0},
};

static bool ignore_field(void *arg, const struct field *f, struct err *err)
{
        (void)arg;
        (void)f;
        (void)err;
        return true;
}

/* Whether the section's fields can be told; why_out otherwise. */
static bool decodes(const struct device_section *s, char why_out[640])
{
        struct err err = ERR_INIT;

        why_out[0] = '\0';
        if (!s->vmdesc)
                snprintf(why_out, 640, "the stream has no vmdesc");
        else if (!fields_described(s->vmdesc))
                snprintf(why_out, 640, "vmdesc does not describe its fields");
        else if (!fields_decode(s->vmdesc, s->payload, s->len, ignore_field,
                                NULL, &err))
                snprintf(why_out, 640, "%s", err.why);
        return !why_out[0];
}

/* The idstr, or what is behind its device path: "virtio-blk". */
static bool is_wanted(const struct device_section *s, const char *wanted)
{
        return !wanted || strcmp(s->idstr, wanted) == 0 ||
               strcmp(device_class(s->idstr), wanted) == 0;
}

static const char *kind_of(const struct device_section *s)
{
        return s->live ? "start" : s->early ? "early" : "full";
}

/* ---- for people ---------------------------------------------------------- */

static bool print_field(void *arg, const struct field *f, struct err *err)
{
        char path[1100], type[80], value[FIELD_TEXT];

        (void)arg;
        (void)err;
        printf("  %8zu %7zu  %-14s %s = %s\n", f->offset, f->size,
               text_escape(f->type, type, sizeof type),
               text_escape(f->path, path, sizeof path), field_text(f, value));
        return true;
}

static bool print_device(const struct device_section *s, struct err *err)
{
        struct field whole = {.bytes = s->payload, .size = s->len};
        char name[600], why[640], value[FIELD_TEXT];

        printf("%s, instance %" PRIu32 ", version %" PRIu32,
               text_escape(s->idstr, name, sizeof name), s->instance_id,
               s->version_id);
        if (s->live) {
                printf(", saved while the guest ran\n");
                return true;
        }
        printf(", %zu bytes\n    offset    size  type           field\n",
               s->len);
        if (decodes(s, why))
                return fields_decode(s->vmdesc, s->payload, s->len, print_field,
                                     NULL, err);
        printf("  %8d %7zu  %-14s (%s) = %s\n", 0, s->len, "bytes", why,
               field_text(&whole, value));
        return true;
}

/* ---- for programs -------------------------------------------------------- */

static bool add_field(void *arg, const struct field *f, struct err *err)
{
        json_t *list = arg;
        char path[1100], type[80];
        json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:o}", "path",
                              text_escape(f->path, path, sizeof path), "type",
                              text_escape(f->type, type, sizeof type), "offset",
                              (json_int_t)f->offset, "size",
                              (json_int_t)f->size, "value", field_value(f));

        return (j && json_array_append_new(list, j) == 0) || err_nomem(err);
}

static bool describe_device(const struct device_section *s, json_t **out,
                            struct err *err)
{
        struct field whole = {.bytes = s->payload, .size = s->len};
        json_auto_t *fields = NULL;
        char name[600], why[640];

        *out = json_pack("{s:s, s:I, s:I, s:s, s:I}", "idstr",
                         text_escape(s->idstr, name, sizeof name),
                         "instance_id", (json_int_t)s->instance_id,
                         "version_id", (json_int_t)s->version_id, "kind",
                         kind_of(s), "bytes", (json_int_t)s->len);
        if (!*out)
                return err_nomem(err);
        if (s->live)
                return true;
        if (!decodes(s, why)) {
                json_t *more =
                        json_pack("{s:b, s:s, s:o}", "described", false, "why",
                                  why, "value", field_value(&whole));

                return (more && json_object_update_new(*out, more) == 0) ||
                       err_nomem(err);
        }
        fields = json_array();
        TRY(fields_decode(s->vmdesc, s->payload, s->len, add_field, fields,
                          err));
        if (json_object_set_new(*out, "described", json_true()) != 0 ||
            json_object_set(*out, "fields", fields) != 0)
                return err_nomem(err);
        return true;
}

/* Device by device: all of them as one value could be large. */
static bool print_json_device(const struct device_section *s, bool first,
                              struct err *err)
{
        json_auto_t *j = NULL;

        TRY(describe_device(s, &j, err));
        printf("%s\n", first ? "" : ",");
        json_dumpf(j, stdout, JSON_INDENT(1));
        return true;
}

/* ---- the command --------------------------------------------------------- */

static void print_head(const struct state *s, bool json)
{
        const struct devices *d = &s->devices;
        const char *machine = d->config.machine;
        char shown[300];

        text_escape(machine, shown, sizeof shown);
        if (json && machine[0]) {
                json_auto_t *j = json_string(shown);
                CLEANUP_FREE char *text = json_dumps(j, JSON_ENCODE_ANY);

                printf("{\"machine\": %s, ", text ? text : "null");
        } else if (json) {
                printf("{\"machine\": null, ");
        } else {
                printf("machine type %s, target page size %" PRIu32 "\n",
                       machine[0] ? shown : "not said", d->page_size);
        }
        if (json)
                printf("\"page_size\": %" PRIu32 ", \"devices\": [",
                       d->page_size);
}

static bool show_all(const struct state *s, const char *wanted, bool json,
                     struct err *err)
{
        const struct devices *d = &s->devices;
        size_t shown = 0;
        char name[300];

        print_head(s, json);
        for (size_t i = 0; i < d->count; i++) {
                const struct device_section *section = &d->list[i];

                if (!is_wanted(section, wanted))
                        continue;
                TRY(json ? print_json_device(section, shown == 0, err)
                         : print_device(section, err));
                shown++;
        }
        if (json)
                printf("\n]}\n");
        if (shown > 0 || !wanted)
                return cmd_flush(err);
        return err_set(err, ERR_USAGE,
                       "no device section %s: `stasis list` "
                       "lists those that are there",
                       text_escape(wanted, name, sizeof name));
}

static bool show(const struct operands *operands, const struct options *o,
                 struct err *err)
{
        CLEANUP_FD int fd = -1;
        struct state s = {0};
        const char *name;
        bool ok;

        TRY(cmd_open_input(operands->items[0], &fd, &name, err));
        ok = state_read(fd, name, &s, err) &&
             (show_all(&s, operands->count > 1 ? operands->items[1] : NULL,
                       o->json, err) ||
              err_in_file(err, name));
        state_fini(&s);
        return ok;
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {0};
        struct operands operands;
        struct err err = ERR_INIT;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!show(&operands, &o, &err))
                return cmd_fail(self, &err);
        return 0;
}

static const char *const examples[] = {
        "stasis show web01.stasis",
        "stasis show web01.stasis virtio-blk",
        "stasis show --json web01.stasis 0000:00:02.0/vga",
        NULL,
};

const struct command cmd_show = {
        .name = "show",
        .summary = "print the device state, field by field",
        .usage = "[OPTION...] FILE|- [DEVICE]",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 2,
        .run = run,
};
