/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "restore/examine.h"
#include "restore/rules.h"

#include <stdio.h>

struct options {
        const char *qmp, *rules, *spool;
        bool strict, json;
        struct option_list force, base;
        unsigned threads;
};

static const struct option table[] = {
        {
                .name = "qmp",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, qmp),
                .value = "SOCK",
                .help = "ask the QEMU behind this monitor, which waits or "
                        "runs; it is not touched",
        },
        CMD_OPTION_BASE(struct options),
        {
                .name = "rules",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, rules),
                .value = "FILE",
                .help = "values that fields may have, in JSON, beside those "
                        "that are built in; no target is needed then",
        },
        {
                .name = "strict",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, strict),
                .help = "a value that breaks a rule speaks against a load; no "
                        "target is needed then",
        },
        CMD_OPTION_FORCE_REASON(struct options),
        CMD_OPTION_THREADS(struct options),
        CMD_OPTION_SPOOL(struct options),
        CMD_OPTION_JSON(struct options),
        {0},
};

static const char *const severities[] = {
        [REASON_REFUSED] = "refused",
        [REASON_WRONG] = "wrong",
        [REASON_WARNING] = "warning",
};

static const char *const verdicts[] = {
        [LOADS_UNKNOWN] = "unknown",
        [LOADS_YES] = "yes",
        [LOADS_NO] = "no",
};

static json_t *describe_reason(const struct reason *r)
{
        return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "code", r->code,
                         "severity", severities[r->severity], "forced",
                         r->forced, "section", r->section, "snapshot",
                         r->snapshot, "target", r->target, "message",
                         r->message);
}

/* known: what speaks against it could be found out. */
static json_t *describe(const char *name, const struct check *c,
                        const struct examination *x, bool known)
{
        char file[512], said[4096];
        json_t *list = json_array();

        for (size_t i = 0; i < c->count; i++)
                json_array_append_new(list, describe_reason(&c->list[i]));
        return json_pack(
                "{s:s, s:b, s:s, s:b, s:b, s:s, s:o}", "file",
                text_escape(name, file, sizeof file), "fits",
                known && x->loads != LOADS_NO && check_clear(c, REASON_WRONG),
                "loads", verdicts[x->loads], "probed", x->probed, "tried",
                x->tried, "qemu_said", text_escape(x->said, said, sizeof said),
                "reasons", list);
}

static void print(const char *name, const struct check *c,
                  const struct examination *x, bool values_only, bool known)
{
        char shown[512];

        text_escape(name, shown, sizeof shown);
        for (size_t i = 0; i < c->count; i++) {
                const struct reason *r = &c->list[i];

                printf("%s: %s: %s%s\n", severities[r->severity], r->code,
                       r->message, r->forced ? " (overridden)" : "");
        }
        if (values_only)
                printf("%s: its values %s\n", shown,
                       check_find(c, "value") ? "break rules"
                                              : "break no rule");
        else if (x->loads == LOADS_YES)
                printf("%s: %s\n", shown,
                       check_clear(c, REASON_WRONG)
                               ? "loads there"
                               : "QEMU would load it there, but the guest "
                                 "would not be as it was");
        else if (x->loads == LOADS_UNKNOWN)
                printf("%s: %s\n", shown,
                       known ? "nothing speaks against it, but it was not tried"
                             : "whether it loads there is not known");
}

static bool judge(struct check *c, bool known, bool values_only,
                  struct err *err)
{
        if (!known)
                return err_set(err, ERR_QEMU,
                               "the target could not be probed: whether it "
                               "loads there is not known");
        if (values_only && !check_clear(c, REASON_WRONG))
                return err_set(err, ERR_MISMATCH, "its values break rules");
        return check_verdict(c, err);
}

static bool check(const struct options *o, const struct operands *operands,
                  struct err *err)
{
        struct examine_options options = {
                .command = operands->command,
                .qmp = o->qmp,
                .values_only = !o->qmp && !operands->command,
                .strict = o->strict,
                .bases = o->base.items,
                .base_count = o->base.count,
                .threads = cmd_threads(o->threads),
                .spool_dir = o->spool,
        };
        CLEANUP(check_fini) struct check c = {0};
        json_auto_t *rules = NULL;
        struct examination x;
        CLEANUP_FD int fd = -1;
        const char *name;
        bool known;

        if (o->qmp && operands->command)
                return err_set(err, ERR_USAGE,
                               "--qmp and -- CMD... cannot both be");
        if (options.values_only && !o->rules && !o->strict)
                return err_set(err, ERR_USAGE,
                               "say where it is to load: -- CMD... or --qmp; "
                               "or look at its values: --rules, --strict");
        if (o->rules)
                TRY(rules_read(o->rules, &rules, err));
        options.rules = rules;
        TRY(check_init(&c, o->force.items, o->force.count, NULL, err));
        TRY(cmd_open_input(operands->items[0], &fd, &name, err));
        TRY(examine_run(fd, name, &options, &c, &x, err));
        known = !operands->command || x.probed;
        if (o->json)
                TRY(cmd_print_json(describe(name, &c, &x, known), err));
        else
                print(name, &c, &x, options.values_only, known);
        TRY(cmd_flush(err));
        c.logged = c.count; /* they have been told on stdout */
        return judge(&c, known, options.values_only, err) ||
               err_in_file(err, name);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT};
        struct operands operands;
        struct err err = ERR_INIT;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!check(&o, &operands, &err))
                return cmd_fail(self, &err);
        return 0;
}

static const char *const examples[] = {
        "stasis check web01.stasis -- qemu-system-x86_64 -M pc -m 4G ...",
        "stasis check --json --qmp /run/new.qmp web01.stasis",
        NULL,
};

const struct command cmd_check = {
        .name = "check",
        .summary = "tell whether a snapshot would load there, and why not",
        .usage = "[OPTION...] FILE [-- CMD...]",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .takes_command = true,
        .run = run,
};
