/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/restore.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "restore/check.h"

#include <jansson.h>
#include <stdio.h>

struct options {
        const char *qmp, *to, *qemu, *spool, *tls_dir, *tls_hostname;
        bool recorded, paused, detach, overwrite, json, lazy, record, resume;
        struct option_list force, disk, base;
        unsigned threads, pid;
        int progress;
};

static const struct option table[] = {
        {
                .name = "qmp",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, qmp),
                .value = "SOCK",
                .help = "load into the QEMU behind this monitor, which was "
                        "started with -incoming defer and waits",
        },
        {
                .name = "to",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, to),
                .value = "URI",
                .help = "write the migration stream to unix:PATH, "
                        "tcp:HOST:PORT, fd:N or - (standard output)",
        },
        CMD_OPTION_TLS(struct options, "--to"),
        {
                .name = "recorded-command",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, recorded),
                .help = "start the command that was recorded (see info "
                        "--command); never from a pipe",
        },
        {
                .name = "qemu",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, qemu),
                .value = "BIN",
                .help = "the binary for --recorded-command (default: the "
                        "recorded name, found in PATH)",
        },
        {
                .name = "disk",
                .kind = OPTION_LIST,
                .offset = offsetof(struct options, disk),
                .value = "NAME=PATH",
                .help = "make this stored disk at PATH before QEMU starts: a "
                        "qcow2 overlay on its base, a raw file, or what is on "
                        "a block device; may be given several times",
        },
        CMD_OPTION_BASE(struct options),
        {
                .name = "overwrite",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, overwrite),
                .help = "--disk may replace a file, or what is on a block "
                        "device",
        },
        {
                .name = "paused",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, paused),
                .help = "leave the guest stopped (default: it runs if it ran "
                        "when it was saved)",
        },
        {
                .name = "lazy",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, lazy),
                .help = "run the guest at once; its RAM follows, what it asks "
                        "for first (by QEMU's postcopy; where that cannot be, "
                        "all is loaded first, and the reason told)",
        },
        {
                .name = "record-working-set",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, record),
                .help = "with --lazy: note what the guest asks for in "
                        "FILE.working-set, from which a later --lazy sends it "
                        "first",
        },
        {
                .name = "resume",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, resume),
                .help = "go on with a lazy restore of this snapshot that was "
                        "broken off",
        },
        {
                .name = "pid",
                .kind = OPTION_COUNT,
                .offset = offsetof(struct options, pid),
                .value = "N",
                .help = "with --resume: the QEMU of this process, where "
                        "several wait",
                .min = 1,
                .max = INT32_MAX,
        },
        {
                .name = "detach",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, detach),
                .help = "return when the guest is loaded (default: stay as "
                        "QEMU's parent and exit with its status)",
        },
        CMD_OPTION_FORCE_REASON(struct options),
        CMD_OPTION_THREADS(struct options),
        CMD_OPTION_SPOOL(struct options),
        CMD_OPTION_PROGRESS(struct options),
        CMD_OPTION_JSON(struct options),
        {.name = NULL},
};

static bool check_options(const struct options *o,
                          const struct operands *operands, struct err *err)
{
        int ways = (operands->command != NULL) + (o->qmp != NULL) +
                   (o->to != NULL) + o->recorded;

        if (o->resume && (operands->command || o->to || o->recorded || o->qmp ||
                          o->lazy || o->paused || o->detach || o->disk.count ||
                          o->base.count || o->force.count))
                return err_set(err, ERR_USAGE,
                               "--resume goes on with what was begun: only "
                               "--pid, --threads, --progress and --json go "
                               "with it");
        if (o->pid && !o->resume)
                return err_set(err, ERR_USAGE, "--pid goes with --resume");
        if (ways != 1 && !o->resume)
                return err_set(err, ERR_USAGE,
                               "give one of: -- CMD..., --recorded-command, "
                               "--qmp, --to");
        if (o->qemu && !o->recorded)
                return err_set(err, ERR_USAGE,
                               "--qemu goes with --recorded-command");
        if (o->lazy && o->to)
                return err_set(err, ERR_USAGE,
                               "--lazy needs a QEMU that can be asked; --to "
                               "has none");
        if (o->record && !o->lazy)
                return err_set(err, ERR_USAGE,
                               "--record-working-set goes with --lazy");
        if (o->to && (o->paused || o->detach || o->force.count))
                return err_set(err, ERR_USAGE,
                               "--paused, --detach and --force need a QEMU "
                               "that can be asked; --to has none");
        TRY(cmd_check_tls(o->tls_dir, o->tls_hostname, "--to", o->to, err));
        if ((o->disk.count || o->base.count || o->overwrite) &&
            (o->qmp || o->to))
                return err_set(err, ERR_USAGE,
                               "--disk makes disks before QEMU starts, and "
                               "this one is there already: use export");
        if (o->json && o->to && o->to[0] == '-' && !o->to[1])
                return err_set(err, ERR_USAGE,
                               "--json and the stream cannot both go to "
                               "standard output");
        return true;
}

static void print_loaded(void *arg, const char *run_state, pid_t pid,
                         uint64_t stream_bytes, double seconds)
{
        json_t *j = json_pack("{s:s, s:I, s:I, s:f}", "run_state", run_state,
                              "pid", (json_int_t)pid, "stream_bytes",
                              (json_int_t)stream_bytes, "seconds", seconds);

        (void)arg;
        if (j)
                json_dumpf(j, stdout, JSON_INDENT(1));
        putchar('\n');
        fflush(stdout);
        json_decref(j);
}

static void print_resident(void *arg, const struct lazy_report *r)
{
        const struct serve_counts *c = &r->counts;
        json_t *j = json_pack("{s:f, s:I, s:I, s:I, s:I, s:I}",
                              "resident_seconds", r->resident_seconds,
                              "content_bytes", (json_int_t)c->content_bytes,
                              "requests", (json_int_t)c->requests,
                              "request_p50_us", (json_int_t)c->p50_us,
                              "request_p99_us", (json_int_t)c->p99_us,
                              "request_max_us", (json_int_t)c->max_us);

        (void)arg;
        if (j)
                json_dumpf(j, stdout, JSON_INDENT(1));
        putchar('\n');
        fflush(stdout);
        json_decref(j);
}

static void note_resident(void *arg, const struct lazy_report *r)
{
        (void)arg;
        log_note("all of RAM is there after %.2f s; the guest waited for "
                 "%llu pages",
                 r->resident_seconds, (unsigned long long)r->counts.requests);
}

static bool restore(const struct options *o, const struct operands *operands,
                    int *exit_code, struct err *err)
{
        struct restore_options options = {
                .command = operands->command,
                .recorded = o->recorded,
                .qmp = o->qmp,
                .to = o->to,
                .tls_dir = o->tls_dir,
                .tls_hostname = o->tls_hostname,
                .qemu = o->qemu,
                .paused = o->paused,
                .detach = o->detach,
                .force = o->force.items,
                .force_count = o->force.count,
                .disks = {.disks = o->disk.items,
                          .disk_count = o->disk.count,
                          .bases = o->base.items,
                          .base_count = o->base.count,
                          .overwrite = o->overwrite},
                .threads = cmd_threads(o->threads),
                .spool_dir = o->spool,
                .lazy = o->lazy,
                .record = o->record,
                .resume = o->resume,
                .resume_pid = (pid_t)o->pid,
                .loaded = o->json ? print_loaded : NULL,
                .resident = o->json ? print_resident : note_resident,
        };
        CLEANUP_FD int in = -1;
        const char *in_name;
        bool ok;

        TRY(check_options(o, operands, err));
        TRY(cmd_open_input(operands->items[0], &in, &in_name, err));
        TRY(progress_new(o->progress, &options.progress, err));
        ok = restore_run(in, in_name, &options, exit_code, err);
        progress_free(options.progress);
        return ok;
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct err err = ERR_INIT;
        struct operands operands;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!restore(&o, &operands, &code, &err))
                return cmd_fail(self, &err);
        return code;
}

static const char *const examples[] = {
        "stasis restore web01.stasis -- qemu-system-x86_64 -m 4G ...",
        "stasis restore --detach --recorded-command web01.stasis",
        "stasis restore --lazy --detach --recorded-command web01.stasis",
        "stasis restore --resume web01.stasis",
        "stasis restore --qmp /run/new.qmp web01.stasis",
        "stasis restore --to tcp:host2:4444 web01.stasis",
        NULL,
};

const struct command cmd_restore = {
        .name = "restore",
        .summary = "load a snapshot into a QEMU",
        .usage = "[OPTION...] FILE|- [-- CMD...]",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .takes_command = true,
        .run = run,
};
