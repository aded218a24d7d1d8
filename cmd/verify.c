/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "restore/verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

struct options {
        bool quick, strict, json;
        unsigned threads;
        int progress;
};

static const struct option table[] = {
        {
                .name = "quick",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, quick),
                .help = "check the digests of stored bytes only, without "
                        "decompressing",
        },
        {
                .name = "strict",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, strict),
                .help = "also decode each device section: vmdesc must account "
                        "for every byte, and no section come twice or before "
                        "the end of RAM",
        },
        CMD_OPTION_JSON(struct options),
        CMD_OPTION_THREADS(struct options),
        CMD_OPTION_PROGRESS(struct options),
        {0},
};

static json_t *describe(const char *name, bool ok, const struct options *o,
                        const struct verify_report *r, const struct err *err)
{
        char shown[512];
        json_t *j = json_pack("{s:s, s:b, s:b}", "file",
                              text_escape(name, shown, sizeof shown), "sound",
                              ok, "quick", o->quick);

        if (ok)
                json_object_update_new(
                        j,
                        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                                  "ram_chunks", (json_int_t)r->ram_chunks,
                                  "ram_chunks_replaced",
                                  (json_int_t)r->ram_replaced, "disk_chunks",
                                  (json_int_t)r->disk_chunks, "stream_chunks",
                                  (json_int_t)r->stream_chunks, "stream_items",
                                  (json_int_t)r->stream_items, "raw_bytes",
                                  (json_int_t)r->raw_bytes, "stored_bytes",
                                  (json_int_t)r->stored_bytes));
        if (ok && o->strict)
                json_object_set_new(
                        j, "strict",
                        json_pack("{s:I, s:I, s:I}", "sections",
                                  (json_int_t)r->strict.sections, "fields",
                                  (json_int_t)r->strict.fields, "undescribed",
                                  (json_int_t)r->strict.undescribed));
        if (!ok)
                json_object_update_new(
                        j, json_pack("{s:s, s:s, s:o, s:s}", "status",
                                     err_status_name(err->status), "section",
                                     err->section, "offset",
                                     err->offset == NO_OFFSET
                                             ? json_null()
                                             : json_integer(
                                                       (json_int_t)err->offset),
                                     "why", err->why));
        return j;
}

static void print(const char *name, const struct options *o,
                  const struct verify_report *r)
{
        char shown[512], raw[32], stored[32];

        printf("%s: sound: %" PRIu64 " chunks, %s in %s; %" PRIu64
               " stream items%s",
               text_escape(name, shown, sizeof shown),
               r->ram_chunks + r->stream_chunks + r->disk_chunks,
               text_bytes(r->raw_bytes, raw, sizeof raw),
               text_bytes(r->stored_bytes, stored, sizeof stored),
               r->stream_items, o->quick ? " (quick: stored bytes only)" : "");
        if (o->strict)
                printf("; %" PRIu64 " device sections, %" PRIu64
                       " fields, %" PRIu64 " sections that vmdesc does not "
                       "describe",
                       r->strict.sections, r->strict.fields,
                       r->strict.undescribed);
        putchar('\n');
}

static bool verify(const char *operand, const struct options *o,
                   struct err *err)
{
        struct verify_options options = {
                .quick = o->quick,
                .strict = o->strict,
                .threads = cmd_threads(o->threads),
        };
        struct verify_report report = {0};
        CLEANUP_FD int fd = -1;
        const char *name;
        bool ok;

        if (o->quick && o->strict)
                return err_set(err, ERR_USAGE,
                               "--quick and --strict cannot both be");
        TRY(cmd_open_input(operand, &fd, &name, err));
        TRY(progress_new(o->progress, &options.progress, err));
        ok = verify_run(fd, name, &options, &report, err);
        progress_free(options.progress);
        /* A failed check is told on stdout too, for programs. */
        if (o->json)
                return cmd_print_json(describe(name, ok, o, &report, err),
                                      err) &&
                       ok;
        if (ok)
                print(name, o, &report);
        return ok && cmd_flush(err);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct operands operands;
        struct err err = ERR_INIT;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!verify(operands.items[0], &o, &err))
                return cmd_fail(self, &err);
        return 0;
}

static const char *const examples[] = {
        "stasis verify web01.stasis",
        "ssh host cat web01.stasis | stasis verify -",
        NULL,
};

const struct command cmd_verify = {
        .name = "verify",
        .summary = "check every byte of a snapshot",
        .usage = "[OPTION...] FILE|-",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .run = run,
};
