/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/live.h"

#include "cmd/commands.h"
#include "cmd/common.h"
#include "qemu/endpoint.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct options {
        const char *qmp, *compress, *spool, *disks;
        const char *tee, *tls_dir, *tls_hostname;
        struct option_list disk;
        unsigned threads;
        int progress;
        bool force, quit, no_argv, copy_behind, digest_bases, json;
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
                .name = "disk",
                .kind = OPTION_LIST,
                .offset = offsetof(struct options, disk),
                .value = "NAME[=MODE]",
                .help = "store this disk: overlay (what its top image holds; "
                        "the default), full (all that the guest reads) or "
                        "none; may be given several times",
        },
        {
                .name = "disks",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, disks),
                .value = "MODE",
                .help = "store every disk that can be written to, but those "
                        "that --disk names otherwise",
                .words = "overlay full",
        },
        {
                .name = "copy-behind",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, copy_behind),
                .help = "copy the disks while the guest runs again, which "
                        "meanwhile writes to temporary overlays (default: "
                        "while it stands still)",
        },
        {
                .name = "digest-bases",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, digest_bases),
                .help = "digest the images below stored overlays whole "
                        "(default: samples and superblocks)",
        },
        CMD_OPTION_COMPRESS(struct options),
        CMD_OPTION_THREADS(struct options),
        {
                .name = "force",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, force),
                .help = "replace FILE if it exists",
        },
        {
                .name = "quit",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, quit),
                .help = "end the VM once the file is durable (default: it goes "
                        "on)",
        },
        {
                .name = "tee",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, tee),
                .value = "URI",
                .help = "the VM goes to the QEMU that waits at unix:PATH or "
                        "tcp:HOST:PORT as well, and on there; here it stays "
                        "stopped",
        },
        CMD_OPTION_TLS(struct options, "--tee"),
        {
                .name = "no-argv",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, no_argv),
                .help = "leave QEMU's command line out of the file",
        },
        CMD_OPTION_SPOOL(struct options),
        CMD_OPTION_PROGRESS(struct options),
        CMD_OPTION_JSON(struct options),
        {.name = NULL},
};

static int print_report(const struct live_report *r)
{
        const struct capture_report *c = &r->capture;
        json_t *j = json_pack(
                "{s:s, s:s, s:o, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
                r->id, "run_state_before", r->before, "run_state_after",
                r->after[0] ? json_string(r->after) : json_null(),
                "stopped_seconds", r->stopped_seconds, "stream_bytes",
                (json_int_t)c->stream_bytes, "snapshot_bytes",
                (json_int_t)c->snapshot_bytes, "ram_bytes",
                (json_int_t)c->ram_bytes, "zero_bytes",
                (json_int_t)c->zero_bytes, "pages_again",
                (json_int_t)c->pages_again, "disks", (json_int_t)r->disks,
                "disk_bytes", (json_int_t)r->disk_bytes);
        int rc = j ? json_dumpf(j, stdout, JSON_INDENT(1)) : -1;

        putchar('\n');
        json_decref(j);
        return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static bool check_options(const struct options *o, const char *path,
                          struct err *err)
{
        if (!o->qmp)
                return err_set(err, ERR_USAGE,
                               "--qmp SOCK is missing: which VM?");
        if (o->json && strcmp(path, "-") == 0)
                return err_set(err, ERR_USAGE,
                               "--json and a snapshot cannot both go to "
                               "standard output");
        if (o->copy_behind && o->quit)
                return err_set(err, ERR_USAGE,
                               "--copy-behind spares a running guest the "
                               "pause; with --quit there is none to run");
        if (o->copy_behind && o->tee)
                return err_set(err, ERR_USAGE,
                               "--copy-behind lets the guest run again here; "
                               "with --tee it runs elsewhere");
        TRY(cmd_check_tls(o->tls_dir, o->tls_hostname, "--tee", o->tee, err));
        if (o->copy_behind && !o->disks && !o->disk.count)
                return err_set(err, ERR_USAGE,
                               "--copy-behind: which disks? (--disks, --disk)");
        if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
                return err_set(err, ERR_USAGE, "standard output is a terminal");
        return true;
}

static bool save(const struct options *o, const char *path,
                 struct live_report *report, struct err *err)
{
        struct endpoint_options tee = {.tls_dir = o->tls_dir,
                                       .tls_hostname = o->tls_hostname};
        struct live_options options = {
                .qmp = o->qmp,
                .tee = o->tee,
                .tee_options = &tee,
                .threads = cmd_threads(o->threads),
                .spool_dir = o->spool,
                .force = o->force,
                .quit = o->quit,
                .no_argv = o->no_argv,
                .disks = {.chosen = o->disk.items,
                          .chosen_count = o->disk.count,
                          .all = o->disks,
                          .digest_bases = o->digest_bases,
                          .behind = o->copy_behind},
        };
        bool ok;

        TRY(check_options(o, path, err));
        TRY(cmd_parse_compress(o->compress, &options.compress, &options.level,
                               err));
        TRY(progress_new(o->progress, &options.progress, err));
        ok = live_save(path, &options, report, err);
        progress_free(options.progress);
        return ok;
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct live_report report;
        struct err err = ERR_INIT;
        struct operands operands;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!save(&o, operands.items[0], &report, &err))
                return cmd_fail(self, &err);
        return o.json ? print_report(&report) : 0;
}

static const char *const examples[] = {
        "stasis save --qmp /run/web01.qmp web01.stasis",
        "stasis save --qmp /run/web01.qmp --quit web01.stasis",
        "stasis save --qmp /run/web01.qmp --disks=overlay web01.stasis",
        "stasis save --qmp /run/web01.qmp - | ssh host 'cat > web01.stasis'",
        NULL,
};

const struct command cmd_save = {
        .name = "save",
        .summary = "write a snapshot of a running VM",
        .usage = "--qmp SOCK [OPTION...] FILE|-",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .run = run,
};
