/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/watch.h"

#include "base/json.h"
#include "cmd/commands.h"
#include "cmd/common.h"

#define SECONDS_DEFAULT 10

struct options {
        const char *qmp, *csv, *bandwidth, *spool;
        unsigned seconds;
        bool json;
};

static const struct option table[] = {
        {
                .name = "qmp",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, qmp),
                .value = "SOCK",
                .help = "QEMU's monitor: the Unix socket of its -qmp option",
        },
        {
                .name = "seconds",
                .kind = OPTION_COUNT,
                .offset = offsetof(struct options, seconds),
                .value = "N",
                .help = "watch for N seconds (default: 10)",
                .min = 1,
                .max = 86400,
        },
        {
                .name = "csv",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, csv),
                .value = "FILE",
                .help = "note there which pages were written to, pass by pass",
        },
        {
                .name = "bandwidth",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, bandwidth),
                .value = "BYTES",
                .help = "QEMU hands over at most that many bytes of memory a "
                        "second; K, M and G may follow (default: no limit)",
        },
        CMD_OPTION_SPOOL(struct options),
        CMD_OPTION_JSON(struct options),
        {.name = NULL},
};

static bool print(const struct passes *p, struct err *err)
{
        json_t *j = json_object();

        if (!json_put(j, "passes", passes_json(p), err) ||
            !json_put(j, "workload", passes_workload(p), err)) {
                json_decref(j);
                return false;
        }
        return cmd_print_json(j, err);
}

static bool watch(const struct options *o, struct err *err)
{
        struct watch_options options = {
                .qmp = o->qmp,
                .seconds = o->seconds,
                .log = o->csv != NULL,
                .spool_dir = o->spool,
        };
        struct passes *p = NULL;
        bool ok;

        if (!o->qmp)
                return err_set(err, ERR_USAGE,
                               "--qmp SOCK is missing: which VM?");
        TRY(cmd_parse_rate("bandwidth", o->bandwidth, &options.bandwidth, err));
        TRY(watch_run(&options, &p, err));
        ok = !o->csv || passes_write_log(p, o->csv, err);
        if (ok && o->json)
                ok = print(p, err);
        else if (ok)
                passes_show(p, stdout);
        passes_free(p);
        return ok && cmd_flush(err);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.seconds = SECONDS_DEFAULT};
        struct err err = ERR_INIT;
        struct operands operands;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        return watch(&o, &err) ? 0 : cmd_fail(self, &err);
}

static const char *const examples[] = {
        "stasis dirty-log --qmp /run/web01.qmp",
        "stasis dirty-log --qmp /run/web01.qmp --seconds 60 --csv web01.csv",
        NULL,
};

const struct command cmd_dirty_log = {
        .name = "dirty-log",
        .summary = "watch how fast a running VM writes to its memory",
        .usage = "--qmp SOCK [OPTION...]",
        .examples = examples,
        .options = table,
        .run = run,
};
