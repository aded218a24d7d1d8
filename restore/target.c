/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/target.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"
#include "qemu/disks.h"
#include "qemu/endpoint.h"
#include "qemu/explain.h"
#include "qemu/fresh.h"
#include "qemu/identity.h"
#include "qemu/process.h"
#include "qemu/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define GREETING_MS 10000
/* A QEMU that loads answers when it is done with a device; some take long. */
#define VERDICT_MS 300000
#define ENDING_MS  2000

#define STREAM_NAME "stasis-in"

struct target {
        struct process *process; /* NULL: attached */
        struct qmp *q;
        pid_t pid;
        int stream;    /* our end of the socketpair */
        bool no_block; /* its disks are there already */
        struct view view;
        struct refusal refusal;
        struct fresh *fresh; /* RAM that is zero yet; NULL: unknown */
        /* While apply runs. */
        struct check *check;
        struct reader *reader;
};

bool target_is_dead(struct target *t, struct err *err)
{
        char said[1024], ending[32];

        if (!t->process || !process_ended(t->process, ENDING_MS))
                return false;
        process_said(t->process, said, sizeof said);
        process_ending(t->process, ending);
        err_clear(err);
        err_set(err, ERR_QEMU, "QEMU ended (%s)%s%s", ending,
                said[0] ? ": " : "", said);
        return true;
}

static bool start(struct target *t, const struct target_options *options,
                  bool *paused_out, struct err *err)
{
        struct process_options o = {
                .argv = options->command,
                .detached = options->detached,
                .null_stdin = options->null_stdin,
                .quiet = options->quiet,
        };

        TRY(process_check_argv(options->command, paused_out, err));
        TRY(process_start(&o, &t->process, err));
        t->pid = process_pid(t->process);
        if ((options->urgent ? qmp_attach_urgent
                             : qmp_attach)(process_take_qmp(t->process), "QEMU",
                                           GREETING_MS, &t->q, err))
                return true;
        target_is_dead(t, err);
        return false;
}

static bool attach(struct target *t, const struct target_options *options,
                   struct err *err)
{
        const char *path = options->qmp;
        char state[32];

        TRY((options->urgent ? qmp_connect_urgent : qmp_connect)(path, 5000,
                                                                 &t->q, err));
        TRY(identity_run_state(t->q, state, sizeof state, err));
        if (strcmp(state, "inmigrate") != 0) {
                err_in_file(err, path);
                return err_set(err, ERR_QEMU,
                               "this QEMU is %s; it must have been started "
                               "with -incoming defer and wait",
                               state);
        }
        TRY(identity_pid(t->q, &t->pid, err));
        /* Without -S it would run as soon as it is loaded: while it waits,
         * `stop` only takes that back. */
        return qmp_command(t->q, "stop", NULL, NULL, NULL, err);
}

bool target_open(const struct target_options *options, struct target **out,
                 bool *paused_out, struct err *err)
{
        struct target *t = calloc(1, sizeof *t);
        bool ok;

        if (!t)
                return err_nomem(err);
        t->stream = -1;
        *paused_out = false;
        ok = options->command ? start(t, options, paused_out, err)
                              : attach(t, options, err);
        if (!ok) {
                target_free(t);
                return false;
        }
        *out = t;
        return true;
}

void target_free(struct target *t)
{
        if (!t)
                return;
        if (t->stream >= 0)
                close(t->stream);
        view_fini(&t->view);
        fresh_close(t->fresh);
        qmp_close(t->q);
        process_free(t->process);
        free(t);
}

struct qmp *target_qmp(const struct target *t)
{
        return t->q;
}

pid_t target_pid(const struct target *t)
{
        return t->pid;
}

/* Until 9.0 QEMU could migrate disks; later ones do not know the section. */
static bool takes_block(struct target *t, bool *out, struct err *err)
{
        json_auto_t *have = NULL;
        const json_t *cap;
        size_t i;

        *out = false;
        TRY(qmp_command(t->q, "query-migrate-capabilities", NULL, &have, NULL,
                        err));
        json_array_foreach(have, i, cap)
        {
                const char *name = json_text(cap, "capability");

                *out |= name && strcmp(name, "block") == 0;
        }
        return true;
}

/* The stream has the disks, by QEMU's block migration. state: NULL from a
 * pipe. */
static bool check_block(struct target *t, const json_t *state, struct err *err)
{
        char names[200] = "", shown[150];
        bool takes;

        TRY(takes_block(t, &takes, err));
        if (takes)
                return true;
        for (size_t i = 0; i < state_disks(state); i++) {
                size_t used = strlen(names);

                text_escape(state_disk(state, i).name, shown, sizeof shown);
                snprintf(names + used, sizeof names - used, "%s%s",
                         used ? ", " : " (it has: ", shown);
        }
        return err_set(err, ERR_MISMATCH,
                       "the snapshot's disks came by QEMU's block migration, "
                       "which the target does not have (9.0 was the last that "
                       "did): restore them with --disk NAME=PATH%s%s",
                       names, names[0] ? ")" : "");
}

static bool block_comes(void *arg, struct err *err)
{
        struct target *t = arg;

        return check_block(t, reader_state(t->reader), err);
}

/* The disks come back by block migration, or all by --disk. */
static bool choose_block(struct target *t, const json_t *state,
                         const struct check *c, struct err *err)
{
        size_t count = 0, restored = 0;
        char name[150] = "";

        for (size_t i = 0; i < state_disks(state); i++) {
                struct disk_info d = state_disk(state, i);

                if (d.size_known)
                        continue;
                count++;
                if (restored_disks_path(c->restored, d.name))
                        restored++;
                else
                        text_escape(d.name, name, sizeof name);
        }
        t->no_block = restored > 0;
        if (restored == 0)
                return count == 0 || check_block(t, state, err);
        return restored == count ||
               err_set(err, ERR_USAGE,
                       "disks of block migration come back all alike: "
                       "--disk %s=PATH is missing",
                       name);
}

bool target_check(struct target *t, struct reader *r, const struct state *saved,
                  bool examined, struct check *c, struct err *err)
{
        if (!examined)
                TRY(view_ask(t->q, t->pid, &t->view, err));
        else
                TRY(disks_query(t->q, t->pid, &t->view.disks, err));
        if (!examined)
                TRY(check_machine(c, reader_manifest(r), &t->view, err));
        TRY(choose_block(t, reader_state(r), c, err));
        if (saved && !examined)
                TRY(check_devices(c, saved, &t->view, err));
        if (reader_state(r))
                TRY(check_disks(c, reader_state(r), &t->view, err));
        return check_verdict(c, err);
}

/* Capabilities that would make the target expect another stream. */
static bool plain_capabilities(struct target *t, struct err *err)
{
        static const char *const off[] = {"multifd",         "postcopy-ram",
                                          "x-ignore-shared", "mapped-ram",
                                          "x-colo",          "validate-uuid"};
        json_auto_t *have = NULL;
        const json_t *cap;
        size_t i;

        TRY(qmp_command(t->q, "query-migrate-capabilities", NULL, &have, NULL,
                        err));
        json_array_foreach(have, i, cap)
        {
                const char *name =
                        json_string_value(json_object_get(cap, "capability"));
                bool is_on = json_is_true(json_object_get(cap, "state"));
                bool want = name && strcmp(name, "events") == 0;
                bool ours = want;

                for (size_t k = 0; name && k < sizeof off / sizeof *off; k++)
                        ours |= strcmp(name, off[k]) == 0;
                if (!ours || is_on == want)
                        continue;
                TRY(settings_capability(t->q, name, want, NULL, err));
        }
        return true;
}

bool target_prepare(struct target *t, bool postcopy, char why[512],
                    struct err *err)
{
        struct err refused = ERR_INIT;
        struct qmp_error qerr;

        why[0] = '\0';
        TRY(plain_capabilities(t, err));
        if (!postcopy ||
            settings_capability(t->q, "postcopy-ram", true, &qerr, &refused))
                return true;
        if (!qerr.class[0]) {
                *err = refused;
                return false;
        }
        snprintf(why, 512, "%s", qerr.desc);
        return true;
}

static bool open_stream(struct target *t, struct err *err)
{
        TRY(qmp_open_stream(t->q, STREAM_NAME, &t->stream, err));
        return qmp_command(t->q, "migrate-incoming",
                           json_pack("{s:s}", "uri", "fd:" STREAM_NAME), NULL,
                           NULL, err);
}

/* From a pipe the disks' state is known only now; it is the last moment. */
static bool proven(void *arg, struct err *err)
{
        struct target *t = arg;

        if (!reader_is_pipe(t->reader))
                return true;
        TRY(check_disks(t->check, reader_state(t->reader), &t->view, err));
        return check_verdict(t->check, err);
}

/* The migration's status as QEMU tells it; "" when it cannot be had. */
static bool load_status(struct target *t, char status[32], char why[300])
{
        struct err ignored = ERR_INIT;
        json_auto_t *m = NULL;
        const char *s;

        status[0] = why[0] = '\0';
        if (!qmp_command(t->q, "query-migrate", NULL, &m, NULL, &ignored))
                return false;
        s = json_string_value(json_object_get(m, "status"));
        snprintf(status, 32, "%s", s ? s : "");
        s = json_string_value(json_object_get(m, "error-desc"));
        text_escape(s ? s : "", why, 300);
        return true;
}

/* Its words, as lines: what it wrote to stderr if it was ours and has ended,
 * else what its monitor says. */
static void hear(struct target *t, char ending[40])
{
        char how[32], status[32], why[300];

        ending[0] = '\0';
        if (!t->process || !process_ended(t->process, ENDING_MS)) {
                load_status(t, status, why);
                snprintf(t->refusal.said, sizeof t->refusal.said, "%s", why);
                /* A started one's stderr is on ours already. */
                if (!t->process && why[0])
                        log_note("the target says: %s", why);
                return;
        }
        process_words(t->process, t->refusal.said, sizeof t->refusal.said);
        snprintf(ending, 40, " and ended (%s)",
                 process_ending(t->process, how));
}

/* The target broke the load: where, why and what helps, or its own words. */
static bool say_refused(struct target *t, const struct apply_report *report,
                        struct err *err)
{
        const char *words = t->refusal.said;
        char said[600], ending[40];
        struct explanation e;

        snprintf(t->refusal.section, sizeof t->refusal.section, "%s",
                 report->section[0] ? report->section : "header");
        hear(t, ending);
        err_clear(err);
        if (explain(t->refusal.said, report->section, &e)) {
                err_in_section(err, e.device);
                return err_set(err, ERR_QEMU, "%s; %s", e.cause, e.remedy);
        }
        if (ending[0])
                words = process_said(t->process, said, sizeof said);
        err_in_section(err, report->section);
        return err_set(err, ERR_QEMU,
                       "the target refused the stream at or before this "
                       "section%s: %s",
                       ending,
                       words[0] ? words : "it gives no reason; see its stderr");
}

/* Both must agree: SHUT 0 on the return path, and "completed" from QMP. */
static bool await_verdict(struct target *t, const struct apply_report *report,
                          struct err *err)
{
        char status[32] = "", why[300];
        enum verdict v;
        time_t deadline = time(NULL) + VERDICT_MS / 1000;

        TRY(endpoint_verdict(t->stream, VERDICT_MS, &v, err));
        if (v != VERDICT_LOADED)
                return say_refused(t, report, err);
        while (time(NULL) < deadline) {
                json_auto_t *event = NULL;

                if (!load_status(t, status, why) ||
                    strcmp(status, "failed") == 0)
                        return say_refused(t, report, err);
                if (strcmp(status, "completed") == 0)
                        return true;
                TRY(qmp_event(t->q, 20, &event, err));
        }
        return err_set(err, ERR_QEMU,
                       "the target does not end its load (status '%s')",
                       status);
}

/* Sends it, and waits for what QEMU says to it. */
static bool feed(struct target *t, struct reader *r,
                 const struct apply_options *o, struct apply_report *report,
                 struct err *err)
{
        t->reader = r;
        TRY(plain_capabilities(t, err));
        TRY(open_stream(t, err));
        if (apply_run(r, t->stream, "the target", o, report, err))
                return await_verdict(t, report, err);
        /* EPIPE or a reset on the target's socket: its doing. */
        if (err->os == EPIPE || err->os == ECONNRESET)
                say_refused(t, report, err);
        return false;
}

static bool is_zero(void *arg, const char *block, uint64_t offset, uint64_t len)
{
        const struct target *t = arg;

        return fresh_is_zero(t->fresh, block, offset, len);
}

bool target_load(struct target *t, struct reader *r, struct check *c,
                 const char *spool_dir, struct progress *progress,
                 uint64_t *stream_bytes_out, struct err *err)
{
        struct apply_options o = {
                .spool_dir = spool_dir,
                .return_path = true,
                .no_block = t->no_block,
                .block = block_comes,
                .proven = proven,
                .is_zero = is_zero,
                .arg = t,
                .progress = progress,
        };
        struct apply_report report = {0};
        bool ok;

        t->check = c;
        /* A wrapper that is not QEMU itself has no memory where QEMU's is. */
        if (t->process)
                TRY(fresh_open(t->q, t->pid, &t->fresh, err));
        ok = feed(t, r, &o, &report, err);
        *stream_bytes_out = report.stream_bytes;
        return ok;
}

bool target_try(struct target *t, struct reader *r, bool state_only,
                const char *spool_dir, struct refusal *out, struct err *err)
{
        struct apply_options o = {
                .spool_dir = spool_dir,
                .return_path = true,
                .state_only = state_only,
                .no_block = true,
        };
        struct apply_report report;

        *out = (struct refusal){0};
        if (feed(t, r, &o, &report, err))
                return true;
        if (!t->refusal.section[0])
                return false;
        *out = t->refusal;
        err_clear(err);
        return true;
}

bool target_go(struct target *t, bool run, char state_out[32], struct err *err)
{
        if (run && !qmp_command(t->q, "cont", NULL, NULL, NULL, err)) {
                err_doing(err, "setting the guest running");
                target_is_dead(t, err);
                return false;
        }
        return identity_run_state(t->q, state_out, 32, err);
}

void target_leave(struct target *t)
{
        if (t->process)
                process_disown(t->process);
}

int target_wait(struct target *t)
{
        if (!t->process)
                return 0;
        /* Its monitor is no longer ours to hold. */
        qmp_close(t->q);
        t->q = NULL;
        return process_wait(t->process);
}
