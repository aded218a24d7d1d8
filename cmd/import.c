/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/import.h"

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/common.h"

#include <jansson.h>
#include <stdio.h>

struct options {
        const char *compress, *spool;
        unsigned threads;
        int progress;
        bool force, json;
};

static const struct option table[] = {
        CMD_OPTION_COMPRESS(struct options),
        CMD_OPTION_THREADS(struct options),
        {
                .name = "force",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, force),
                .help = "replace FILE if it exists",
        },
        CMD_OPTION_SPOOL(struct options),
        CMD_OPTION_PROGRESS(struct options),
        CMD_OPTION_JSON(struct options),
        {.name = NULL},
};

static int print_report(const struct capture_report *r)
{
        json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "stream_bytes",
                              (json_int_t)r->stream_bytes, "snapshot_bytes",
                              (json_int_t)r->snapshot_bytes, "ram_bytes",
                              (json_int_t)r->ram_bytes, "zero_bytes",
                              (json_int_t)r->zero_bytes, "pages_again",
                              (json_int_t)r->pages_again, "trailing_bytes",
                              (json_int_t)r->trailing_bytes);
        int rc = j ? json_dumpf(j, stdout, JSON_INDENT(1)) : -1;

        putchar('\n');
        json_decref(j);
        return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static bool import(const struct options *o, const struct operands *operands,
                   struct capture_report *report, struct err *err)
{
        struct import_options options = {
                .threads = cmd_threads(o->threads),
                .spool_dir = o->spool,
                .force = o->force,
        };
        CLEANUP_FD int in = -1;
        const char *in_name;
        bool ok;

        TRY(cmd_parse_compress(o->compress, &options.compress, &options.level,
                               err));
        TRY(cmd_open_input(operands->items[0], &in, &in_name, err));
        TRY(progress_new(o->progress, &options.progress, err));
        ok = import_run(in, in_name, operands->items[1], &options, report, err);
        progress_free(options.progress);
        return ok;
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct capture_report report;
        struct err err = ERR_INIT;
        struct operands operands;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (o.json && operands.items[1][0] == '-' && !operands.items[1][1])
                err_set(&err, ERR_USAGE,
                        "--json and a snapshot cannot both go to standard "
                        "output");
        else
                import(&o, &operands, &report, &err);
        if (err.status != ERR_NONE)
                return cmd_fail(self, &err);
        return o.json ? print_report(&report) : 0;
}

static const char *const examples[] = {
        "stasis import web01.stream web01.stasis",
        "migrate \"exec:stasis import - /srv/web01.stasis\"   "
        "(in QEMU's monitor)",
        NULL,
};

const struct command cmd_import = {
        .name = "import",
        .summary = "turn a recorded migration stream into a snapshot",
        .usage = "[OPTION...] STREAM|- FILE|-",
        .examples = examples,
        .options = table,
        .operands_min = 2,
        .operands_max = 2,
        .run = run,
};
