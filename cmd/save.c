/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/live.h"

#include "cmd/commands.h"
#include "cmd/common.h"
#include "cmd/save_report.h"
#include "qemu/endpoint.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
        const char *qmp, *compress, *spool, *disks;
        const char *live, *bandwidth, *dirty_log;
        unsigned max_downtime, max_passes;
        const char *tee, *tls_dir, *tls_hostname, *multifd;
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
                .name = "live",
                .kind = OPTION_CHOICE,
                .offset = offsetof(struct options, live),
                .value = "MODE",
                .help = "the guest runs on while it is saved, by QEMU's "
                        "background-snapshot where that can be done, else by "
                        "precopy",
                .words = "precopy background-snapshot",
        },
        {
                .name = "max-downtime",
                .kind = OPTION_COUNT,
                .offset = offsetof(struct options, max_downtime),
                .value = "MS",
                .help = "precopy: let QEMU stop the guest when it expects the "
                        "rest to take that many milliseconds (default: 300)",
                .min = 1,
                .max = 2000000,
        },
        {
                .name = "max-passes",
                .kind = OPTION_COUNT,
                .offset = offsetof(struct options, max_passes),
                .value = "N",
                .help = "precopy: after N passes over RAM the guest is stopped "
                        "for the rest, however long that takes (default: 20)",
                .min = 1,
                .max = 100000,
        },
        {
                .name = "bandwidth",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, bandwidth),
                .value = "BYTES",
                .help = "live: QEMU sends at most that many bytes a second; K, "
                        "M and G may follow (default: no limit)",
        },
        {
                .name = "dirty-log",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, dirty_log),
                .value = "CSV",
                .help = "precopy: note there which pages were sent again in "
                        "each pass, and show on stderr what that means",
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
                .name = "multifd",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, multifd),
                .value = "N[:zstd]",
                .help = "let QEMU send over N connections at once, each with "
                        "a thread of its own (1 to 255), compressed on the "
                        "way or not",
        },
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

/* What goes only with precopy makes --live that. */
static bool choose_mode(const struct options *o, enum live_mode *out,
                        struct err *err)
{
        const char *precopy_only = o->dirty_log      ? "dirty-log"
                                   : o->max_passes   ? "max-passes"
                                   : o->max_downtime ? "max-downtime"
                                   : o->tee          ? "tee"
                                                     : NULL;

        *out = mode_parse(o->live);
        if (*out == LIVE_NO && precopy_only && precopy_only[0] != 't')
                return err_set(err, ERR_USAGE,
                               "--%s is for --live: without it each page is "
                               "sent once",
                               precopy_only);
        if (*out == LIVE_NO && o->bandwidth)
                return err_set(err, ERR_USAGE, "--bandwidth is for --live");
        if (*out == LIVE_SNAPSHOT && precopy_only)
                return err_set(err, ERR_USAGE,
                               "--%s is for precopy: a background snapshot "
                               "sends each page once and never stops the guest "
                               "for long",
                               precopy_only);
        if (o->dirty_log && o->multifd)
                return err_set(err, ERR_USAGE,
                               "--dirty-log: over several connections "
                               "(--multifd) pages come in no order");
        if (*out == LIVE_ANY && precopy_only)
                *out = LIVE_PRECOPY;
        return true;
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
        if (o->live && o->quit)
                return err_set(err, ERR_USAGE,
                               "--live lets the guest run on; with --quit it "
                               "ends");
        TRY(cmd_check_tls(o->tls_dir, o->tls_hostname, "--tee", o->tee, err));
        if (o->copy_behind && !o->disks && !o->disk.count)
                return err_set(err, ERR_USAGE,
                               "--copy-behind: which disks? (--disks, --disk)");
        if (strcmp(path, "-") == 0 && isatty(STDOUT_FILENO))
                return err_set(err, ERR_USAGE, "standard output is a terminal");
        return true;
}

/* Precopy, or at once; nothing else goes with it. */
static bool choose_channels(const struct options *o, enum live_mode mode,
                            struct live_limits *limits, struct err *err)
{
        char *end;
        long n;

        if (!o->multifd)
                return true;
        n = strtol(o->multifd, &end, 10);
        limits->zstd = strcmp(end, ":zstd") == 0;
        if (end == o->multifd || n < 1 || n > 255 || (*end && !limits->zstd))
                return err_set(err, ERR_USAGE,
                               "--multifd: '%s' is not N or N:zstd, N from 1 "
                               "to 255 (QEMU's other methods of compression "
                               "cannot be read)",
                               o->multifd);
        limits->channels = (unsigned)n;
        if (mode == LIVE_ANY || mode == LIVE_SNAPSHOT)
                return err_set(err, ERR_USAGE,
                               "--multifd: QEMU has no background snapshot "
                               "with it; with --live=precopy it goes");
        return !o->tee || err_set(err, ERR_USAGE,
                                  "--multifd: a target of --tee gets one "
                                  "stream, not %ld",
                                  n);
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
                .limits = {.max_downtime_ms = o->max_downtime,
                           .max_passes = o->max_passes},
                .dirty_log = o->dirty_log != NULL,
                .disks = {.chosen = o->disk.items,
                          .chosen_count = o->disk.count,
                          .all = o->disks,
                          .digest_bases = o->digest_bases,
                          .behind = o->copy_behind},
        };
        bool ok;

        TRY(check_options(o, path, err));
        TRY(choose_mode(o, &options.live, err));
        TRY(choose_channels(o, options.live, &options.limits, err));
        TRY(cmd_parse_rate("bandwidth", o->bandwidth, &options.limits.bandwidth,
                           err));
        TRY(cmd_parse_compress(o->compress, &options.compress, &options.level,
                               err));
        TRY(progress_new(o->progress, &options.progress, err));
        ok = live_save(path, &options, report, err);
        progress_free(options.progress);
        return ok;
}

/* After the save, so that it says more of what is durable already. */
static bool tell(const struct options *o, const struct live_report *r,
                 struct err *err)
{
        save_report_note(r);
        if (o->dirty_log && r->passes) {
                passes_show(r->passes, stderr);
                TRY(passes_write_log(r->passes, o->dirty_log, err));
        }
        return !o->json || save_report_print(r, err);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct live_report report = {.passes = NULL};
        struct err err = ERR_INIT;
        struct operands operands;
        int code;
        bool ok;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        ok = save(&o, operands.items[0], &report, &err) &&
             tell(&o, &report, &err);
        live_report_fini(&report);
        return ok ? 0 : cmd_fail(self, &err);
}

static const char *const examples[] = {
        "stasis save --qmp /run/web01.qmp web01.stasis",
        "stasis save --qmp /run/web01.qmp --live web01.stasis",
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
