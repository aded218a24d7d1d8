/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/restore.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "format/manifest.h"
#include "qemu/endpoint.h"
#include "qemu/identity.h"
#include "restore/examine.h"
#include "restore/recorded.h"
#include "restore/rules.h"
#include "restore/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* For a bare endpoint that says nothing: its load may take long, its first
 * answer not. */
#define ENDPOINT_MS 300000
#define ANSWER_MS   60000

/* One restore into a QEMU. */
struct loading {
        struct reader *reader;
        int fd; /* of the snapshot; borrowed */
        const char *name;
        const struct state *saved; /* NULL: from a pipe */
        const struct restore_options *options;
        char *const *command; /* NULL: a QEMU that waits */
        bool null_stdin;
        /* Let go of, and NULL, from the moment on in which the guest may run.
         */
        struct restored_disks *disks;
        struct session *session; /* NULL: not lazily */
};

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

/* From a file, and for a QEMU that we start: a twin of it knows more than can
 * be asked.  Where there can be no twin, QEMU's own verdict at the end of the
 * load is as good, only later. */
static bool examine_command(const struct loading *l, struct check *c,
                            bool *examined_out, struct err *err)
{
        struct examine_options o = {
                .command = l->command,
                .restoring = true,
                .threads = l->options->threads,
                .spool_dir = l->options->spool_dir,
        };
        struct examination x;

        TRY(examine_run(l->fd, l->name, &o, c, &x, err));
        *examined_out = x.probed;
        return true;
}

/* The very QEMU that saved it, by its version and its distributor's. */
static bool is_same_qemu(const struct loading *l, struct target *t,
                         bool *same_out, struct err *err)
{
        const char *version =
                json_string_value(json_at(l->saved->manifest, "qemu.version"));
        const char *package =
                json_string_value(json_at(l->saved->manifest, "qemu.package"));
        char have[256];

        TRY(identity_package(target_qmp(t), have, sizeof have, err));
        *same_out = version && package && strcmp(package, have) == 0 &&
                    strcmp(version, qmp_version(target_qmp(t))) == 0;
        return true;
}

/*
 * Opens the target, after a look at its twin.  A twin sends all of its empty
 * RAM, which takes time; so there is none where the command line makes the
 * machine that was saved and the QEMU is the same, too.
 */
static bool open_target(const struct loading *l, const struct target_options *o,
                        struct check *c, struct target **t, bool *paused,
                        bool *examined, struct err *err)
{
        bool may_examine = l->saved && l->command, same = false;

        *examined = false;
        if (may_examine)
                same = recorded_is_same(l->saved->manifest, l->command);
        if (may_examine && !same)
                TRY(examine_command(l, c, examined, err));
        TRY(target_open(o, t, paused, err));
        if (!same)
                return true;
        TRY(is_same_qemu(l, *t, &same, err));
        if (!same)
                return examine_command(l, c, examined, err);
        return rules_check(c, &l->saved->devices, NULL, REASON_WARNING, err);
}

/* All of RAM first. */
static bool load_whole(struct loading *l, struct target *t, struct check *c,
                       bool run, double begun, struct err *err)
{
        const struct restore_options *options = l->options;
        uint64_t stream_bytes = 0;
        char state[32];

        TRY(target_load(t, l->reader, c, options->spool_dir, options->progress,
                        &stream_bytes, err));
        restored_disks_free(steal(l->disks));
        TRY(target_go(t, run, state, err));
        progress_pause(options->progress);
        if (options->loaded)
                options->loaded(options->arg, state, target_pid(t),
                                stream_bytes, clock_now() - begun);
        return true;
}

/* The disks are the guest's from the moment on in which it may run. */
static void lazily_loaded(void *arg, const char *run_state, pid_t pid,
                          uint64_t stream_bytes, double seconds)
{
        struct loading *l = arg;

        restored_disks_free(steal(l->disks));
        if (l->options->loaded)
                l->options->loaded(l->options->arg, run_state, pid,
                                   stream_bytes, seconds);
}

/* *t: exchanged for a new one where that is what helps. */
static bool load_lazily(struct loading *l, const struct target_options *o,
                        struct target **t, struct check *c, bool run,
                        double begun, struct err *err)
{
        const struct restore_options *options = l->options;
        struct lazy_options lazy = {
                .reader = l->reader,
                .saved = l->saved,
                .file = l->name,
                .session = l->session,
                .run = run,
                .record = options->record,
                .foreground = !options->detach && l->command,
                .threads = options->threads,
                .progress = options->progress,
                .loaded = lazily_loaded,
                .arg = l,
                .begun = begun,
        };
        enum lazy_outcome outcome;
        struct lazy_report report;
        bool ignored;
        char why[600];

        TRY(lazy_load(*t, &lazy, &outcome, why, &report, err));
        if (outcome == LAZY_RESIDENT) {
                if (options->resident)
                        options->resident(options->arg, &report);
                return true;
        }
        if (outcome == LAZY_SPOILED && !l->command)
                return err_set(err, ERR_QEMU,
                               "the target broke off the lazy restore (%s) "
                               "and has to be started anew; without --lazy it "
                               "may load",
                               why);
        log_note("not lazily: %s; all of RAM is loaded first", why);
        if (outcome == LAZY_SPOILED) {
                target_free(steal(*t));
                TRY(target_open(o, t, &ignored, err));
                TRY(target_check(*t, l->reader, l->saved, true, c, err));
        }
        return load_whole(l, *t, c, run, begun, err);
}

static bool into_target(struct loading *l, int *exit_code, struct err *err)
{
        const struct restore_options *options = l->options;
        CLEANUP(cleanup_target) struct target *t = NULL;
        CLEANUP(check_fini) struct check c = {0};
        struct target_options o = {
                .command = l->command,
                .qmp = options->qmp,
                .urgent = l->session != NULL,
                .detached = options->detach,
                .null_stdin = l->null_stdin,
        };
        double begun = clock_now();
        bool paused, examined, run;

        TRY(check_init(&c, options->force, options->force_count, l->disks,
                       err));
        TRY(open_target(l, &o, &c, &t, &paused, &examined, err));
        TRY(target_check(t, l->reader, l->saved, examined, &c, err));
        run = shall_run(l->reader) && !paused && !options->paused;
        if (l->session)
                TRY(load_lazily(l, &o, &t, &c, run, begun, err));
        else
                TRY(load_whole(l, t, &c, run, begun, err));
        if (options->detach || !l->command) {
                target_leave(t);
                return true;
        }
        *exit_code = target_wait(t);
        return true;
}

struct feeding {
        struct endpoint *endpoint;
        bool answered; /* it takes the stream */
        struct apply_report report;
};

/* The connection is at its end, or the destination has said no. */
static bool refused(struct feeding *f, bool said_no, struct err *err)
{
        err_clear(err);
        if (!f->answered)
                return endpoint_unanswered(f->endpoint, err);
        err_set(err, ERR_QEMU,
                "the destination refused the stream%s at or before this "
                "section; see its stderr",
                said_no ? "" : " or ended, without a word,");
        if (!said_no)
                endpoint_explain(f->endpoint, err);
        err_in_file(err, endpoint_uri(f->endpoint));
        return err_in_section(err, f->report.section);
}

/* Before anything of the guest is sent. */
static bool await_answer(void *arg, struct err *err)
{
        struct feeding *f = arg;
        enum verdict v;

        TRY(endpoint_pong(endpoint_fd(f->endpoint), APPLY_PING, ANSWER_MS, &v,
                          err));
        f->answered = v == VERDICT_LOADED;
        return f->answered || endpoint_unanswered(f->endpoint, err);
}

static bool feed_endpoint(struct feeding *f, struct reader *r,
                          const struct restore_options *options,
                          struct err *err)
{
        int fd = endpoint_fd(f->endpoint);
        bool answers = endpoint_answers(f->endpoint);
        struct apply_options o = {
                .spool_dir = options->spool_dir,
                .return_path = answers,
                .linked = answers ? await_answer : NULL,
                .arg = f,
                .progress = options->progress,
        };
        enum verdict v;

        if (!apply_run(r, fd, options->to, &o, &f->report, err)) {
                if (err->os == EPIPE || err->os == ECONNRESET)
                        return refused(f, false, err);
                return false;
        }
        if (answers) {
                if (!endpoint_verdict(fd, ENDPOINT_MS, &v, err))
                        return err_in_file(err, options->to);
                if (v != VERDICT_LOADED)
                        return refused(f, v == VERDICT_FAILED, err);
        }
        return endpoint_end(f->endpoint, err) || err_in_file(err, options->to);
}

static void cleanup_endpoint(struct endpoint **e)
{
        endpoint_free(*e);
}

static bool into_endpoint(struct reader *r,
                          const struct restore_options *options,
                          struct err *err)
{
        struct endpoint_options o = {.tls_dir = options->tls_dir,
                                     .tls_hostname = options->tls_hostname};
        CLEANUP(cleanup_endpoint) struct endpoint *e = NULL;
        double begun = clock_now();
        struct feeding f = {0};

        TRY(endpoint_open(options->to, &o, &e, err));
        f.endpoint = e;
        TRY(feed_endpoint(&f, r, options, err));
        progress_pause(options->progress);
        if (options->loaded)
                options->loaded(options->arg, "", 0, f.report.stream_bytes,
                                clock_now() - begun);
        return true;
}

/* What the QEMU will open must be there before it starts. */
static bool make_disks(struct reader *r, int in_fd, const char *in_name,
                       const struct restore_options *options,
                       struct restored_disks **out, struct err *err)
{
        struct disks_wanted w = options->disks;

        if (w.disk_count == 0 && w.base_count == 0)
                return true;
        w.threads = options->threads;
        w.progress = options->progress;
        TRY(restored_disks_write(in_fd, in_name, reader_state(r), &w, out,
                                 err));
        return restored_disks_commit(*out, err);
}

static bool begin_session(struct loading *l, bool spooled, struct err *err)
{
        const char *id = json_text(reader_manifest(l->reader), "id");

        if (!l->options->lazy)
                return true;
        if (reader_is_pipe(l->reader) || spooled)
                return err_set(err, ERR_USAGE,
                               "--lazy: pages are read when they are asked "
                               "for, in any order, which a pipe cannot; give "
                               "a file");
        return session_new(id ? id : "", &l->session, err);
}

static bool resume(struct reader *r, int in_fd, const char *in_name,
                   const struct restore_options *options, struct err *err)
{
        CLEANUP(state_fini) struct state saved = {0};
        struct lazy_report report;

        if (reader_is_pipe(r))
                return err_set(err, ERR_USAGE,
                               "--resume: a pipe cannot be read in any order; "
                               "give a file");
        TRY(state_read(in_fd, in_name, &saved, err));
        TRY(lazy_resume(r, &saved, options->resume_pid, options->threads,
                        options->progress, &report, err));
        progress_pause(options->progress);
        if (options->resident)
                options->resident(options->arg, &report);
        return true;
}

static bool into(struct reader *r, int in_fd, const char *in_name,
                 const struct restore_options *options, bool spooled,
                 int *exit_code, struct err *err)
{
        struct loading l = {
                .reader = r, .fd = in_fd, .name = in_name, .options = options};
        CLEANUP_FREE char **recorded = NULL;
        char *const *command = options->command;
        CLEANUP(state_fini) struct state saved = {0};
        bool ok;

        if (options->resume)
                return resume(r, in_fd, in_name, options, err);
        tell_age(reader_manifest(r));
        if (options->to)
                return into_endpoint(r, options, err);
        if (options->recorded) {
                if (reader_is_pipe(r) || spooled)
                        return err_set(err, ERR_USAGE,
                                       "--recorded-command: what comes from a "
                                       "pipe does not choose what is run; give "
                                       "a file, or the command after --");
                TRY(recorded_command(reader_manifest(r), options->qemu,
                                     &recorded, err));
                command = recorded;
        }
        if (!reader_is_pipe(r))
                TRY(state_read(in_fd, in_name, &saved, err));
        l.saved = saved.manifest ? &saved : NULL;
        l.command = command;
        l.null_stdin = reader_is_pipe(r) || spooled;
        ok = begin_session(&l, spooled, err) &&
             make_disks(r, in_fd, in_name, options, &l.disks, err) &&
             into_target(&l, exit_code, err);
        restored_disks_undo(l.disks);
        restored_disks_free(l.disks);
        session_free(l.session);
        return ok;
}

/* Disks come last in the file, but QEMU opens them first: a snapshot from a
 * pipe waits in a file without a name. */
static bool spool_input(int in_fd, const char *in_name,
                        const struct restore_options *options, int *fd_out,
                        struct err *err)
{
        CLEANUP_FREE uint8_t *buffer = malloc(MiB);
        CLEANUP_FD int fd = -1;
        size_t len;

        if (!buffer)
                return err_nomem(err);
        TRY(io_open_unlinked(options->spool_dir, &fd, err));
        progress_phase(options->progress, "spooling", 0);
        do {
                TRY(io_read_some(in_fd, buffer, MiB, &len, in_name, err));
                TRY(io_write_all(fd, buffer, len, "the spool", err));
                TRY(progress_add(options->progress, len, err));
        } while (len > 0);
        *fd_out = steal_fd(&fd);
        return true;
}

bool restore_run(int in_fd, const char *in_name,
                 const struct restore_options *options, int *exit_code_out,
                 struct err *err)
{
        struct reader_options o = {.threads = options->threads};
        CLEANUP_FD int spooled = -1;
        struct reader *r;
        struct stat st;
        bool ok;

        *exit_code_out = 0;
        if (options->disks.disk_count > 0 &&
            (fstat(in_fd, &st) != 0 || !S_ISREG(st.st_mode))) {
                TRY(spool_input(in_fd, in_name, options, &spooled, err));
                in_fd = spooled;
        }
        TRY(reader_open(in_fd, in_name, &o, &r, err));
        ok = into(r, in_fd, in_name, options, spooled >= 0, exit_code_out, err);
        reader_close(r);
        return ok || err_in_file(err, in_name);
}
