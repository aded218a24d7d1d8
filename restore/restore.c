/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/restore.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "format/manifest.h"
#include "restore/endpoint.h"
#include "restore/recorded.h"
#include "restore/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* For a bare endpoint that says nothing: its load may take long. */
#define ENDPOINT_MS 300000

static double seconds_now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The guest's clocks stand where they stood: the operator should know. */
static void tell_age(const json_t *manifest)
{
        const char *created = json_text(manifest, "created");
        struct tm tm = {0};
        double age;

        if (!created || !strptime(created, "%Y-%m-%dT%H:%M:%SZ", &tm))
                return;
        age = difftime(time(NULL), timegm(&tm));
        if (age >= 2 * 86400)
                log_note("the snapshot is %.0f days old; the guest's time is "
                         "behind by as much until it is set",
                         age / 86400);
        else if (age >= 3600)
                log_note("the snapshot is %.0f hours old; the guest's time is "
                         "behind by as much until it is set",
                         age / 3600);
        else if (age >= 60)
                log_note("the snapshot is %.0f minutes old; the guest's time "
                         "is behind by as much until it is set",
                         age / 60);
}

static const char *run_state(const struct reader *r)
{
        const char *state = json_text(reader_state(r), "run_state");

        return state ? state : json_text(reader_manifest(r), "run_state");
}

/* A suspended guest is continued too: QEMU then has it suspended, not running.
 * An imported stream tells its run state only to QEMU, which follows it. */
static bool shall_run(const struct reader *r)
{
        const char *state = run_state(r);

        return state && (strcmp(state, "running") == 0 ||
                         strcmp(state, "suspended") == 0);
}

static void cleanup_target(struct target **t)
{
        target_free(*t);
}

static bool into_target(struct reader *r, const struct restore_options *options,
                        char *const *command, bool null_stdin, int *exit_code,
                        struct err *err)
{
        CLEANUP(cleanup_target) struct target *t = NULL;
        struct target_options o = {
                .command = command,
                .qmp = options->qmp,
                .detached = options->detach,
                .null_stdin = null_stdin,
        };
        double begun = seconds_now();
        uint64_t stream_bytes = 0;
        struct check c;
        char state[32];
        bool paused;

        TRY(check_init(&c, options->force, options->force_count, err));
        TRY(target_open(&o, &t, &paused, err));
        TRY(target_check(t, r, &c, err));
        TRY(target_load(t, r, &c, options->spool_dir, options->progress,
                        &stream_bytes, err));
        TRY(target_go(t, shall_run(r) && !paused && !options->paused, state,
                      err));
        progress_pause(options->progress);
        if (options->loaded)
                options->loaded(options->arg, state, target_pid(t),
                                stream_bytes, seconds_now() - begun);
        if (options->detach || !command) {
                target_leave(t);
                return true;
        }
        *exit_code = target_wait(t);
        return true;
}

static bool refused(const char *uri, const struct apply_report *report,
                    struct err *err)
{
        err_clear(err);
        err_in_file(err, uri);
        err_in_section(err, report->section);
        return err_set(err, ERR_QEMU,
                       "the destination refused the stream at or before this "
                       "section; see its stderr");
}

static bool into_endpoint(struct reader *r,
                          const struct restore_options *options,
                          struct err *err)
{
        struct apply_options o = {
                .spool_dir = options->spool_dir,
                .progress = options->progress,
        };
        double begun = seconds_now();
        struct apply_report report;
        CLEANUP_FD int fd = -1;
        enum verdict v;

        TRY(endpoint_open(options->to, &fd, &o.return_path, err));
        if (!apply_run(r, fd, options->to, &o, &report, err)) {
                if (err->os == EPIPE || err->os == ECONNRESET)
                        return refused(options->to, &report, err);
                return false;
        }
        if (o.return_path) {
                TRY(endpoint_verdict(fd, ENDPOINT_MS, &v, err));
                if (v != VERDICT_LOADED)
                        return refused(options->to, &report, err);
        }
        progress_pause(options->progress);
        if (options->loaded)
                options->loaded(options->arg, "", 0, report.stream_bytes,
                                seconds_now() - begun);
        return true;
}

static bool into(struct reader *r, const struct restore_options *options,
                 int *exit_code, struct err *err)
{
        CLEANUP_FREE char **recorded = NULL;
        char *const *command = options->command;

        tell_age(reader_manifest(r));
        if (options->to)
                return into_endpoint(r, options, err);
        if (options->recorded) {
                if (reader_is_pipe(r))
                        return err_set(err, ERR_USAGE,
                                       "--recorded-command: what comes from a "
                                       "pipe does not choose what is run; give "
                                       "a file, or the command after --");
                TRY(recorded_command(reader_manifest(r), options->qemu,
                                     &recorded, err));
                command = recorded;
        }
        return into_target(r, options, command, reader_is_pipe(r), exit_code,
                           err);
}

bool restore_run(int in_fd, const char *in_name,
                 const struct restore_options *options, int *exit_code_out,
                 struct err *err)
{
        struct reader_options o = {.threads = options->threads};
        struct reader *r;
        bool ok;

        *exit_code_out = 0;
        TRY(reader_open(in_fd, in_name, &o, &r, err));
        ok = into(r, options, exit_code_out, err);
        reader_close(r);
        return ok || err_in_file(err, in_name);
}
