/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Order matters in two places.  Our end of the socketpair is closed before
 * anything is asked of QEMU on a way out: while QEMU sends, it may hold its big
 * lock, and it would answer nothing until somebody reads.  And the guest goes
 * on before the file is synced and published, because that can take as long
 * as the disk likes.
 */
#include "save/live.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/emit.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "format/fingerprint.h"
#include "format/manifest.h"
#include "save/behind.h"
#include "qemu/disks.h"
#include "qemu/export.h"
#include "qemu/identity.h"
#include "qemu/outside.h"
#include "qemu/settings.h"
#include "save/birth.h"
#include "save/exclusive.h"
#include "save/leftovers.h"
#include "save/preflight.h"

#define GREETING_MS 5000
/* For QEMU to be done with a migration that has ended, flushing disks. */
#define SETTLE_SECONDS 60
#define QUIT_SECONDS   60
/* Silences of 50 ms after which a sender that says it waits is believed. */
#define SILENCES 4

#define RETURN_PATH_SHUT 1

struct live {
        const struct live_options *options;
        struct qmp *q;
        pid_t pid;    /* QEMU's; 0: unknown                                  */
        int claim;    /* save/exclusive.h                                    */
        int stream;   /* our end of the socketpair, while there is one       */
        int64_t time; /* of creation                                         */
        json_t *manifest, *disks, *warnings;
        struct disks *stored;
        struct behind *behind; /* NULL: disks are copied in the pause        */
        bool refused;          /* QEMU has its answer                        */
        char after[32], desc[512];
        json_t *former; /* migration settings to put back; NULL: none        */
        uint64_t ram_bytes;
        char before[32];
        /* The question how QEMU is, asked without waiting. */
        bool asked, asks_migration;
        unsigned long question;
        unsigned silences;
        /* By QEMU's clock, seconds; 0: has not happened. */
        double stopped_at, resumed_at;
};

static time_t seconds_now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

/* ---- before the VM is touched -------------------------------------------- */

static bool claim(struct live *l, struct err *err)
{
        TRY(identity_pid(l->q, &l->pid, err));
        if (l->pid)
                return exclusive_claim(l->pid, identity_start_time(l->pid),
                                       &l->claim, err);
        log_debug("save", "the process of this QEMU is not visible");
        return true;
}

static bool sum_ram(struct live *l, struct err *err)
{
        json_auto_t *blocks = NULL;
        const json_t *block;
        size_t i;

        TRY(identity_ram_blocks(l->q, &blocks, err));
        json_array_foreach(blocks, i, block)
        {
                l->ram_bytes += (uint64_t)json_integer_value(
                        json_object_get(block, "used"));
        }
        return true;
}

static void tell_warnings(const struct live *l)
{
        const json_t *warning;
        size_t i;

        json_array_foreach(l->warnings, i, warning)
        {
                log_warn("%s", json_string_value(warning));
        }
}

static bool learn(struct live *l, struct err *err)
{
        l->manifest = json_object();
        l->warnings = json_array();
        if (!l->manifest || !l->warnings)
                return err_nomem(err);
        TRY(birth_describe(l->manifest, "qmp", &l->time, err));
        TRY(identity_describe(l->q, l->options->no_argv ? 0 : l->pid,
                              l->manifest, err));
        TRY(disks_query(l->q, l->pid, &l->disks, err));
        leftovers_sweep(l->disks);
        TRY(json_put(l->manifest, "disks", json_deep_copy(l->disks), err));
        TRY(disks_select(l->q, l->disks, &l->options->disks, &l->stored, err));
        TRY(outside_find(l->q, l->manifest, l->disks, l->options->quit,
                         l->warnings, err));
        TRY(sum_ram(l, err));
        tell_warnings(l);
        return true;
}

/* ---- while QEMU sends ---------------------------------------------------- */

/* The answers to the two questions of quiet(), in turn. */
static bool heed_answer(struct live *l, const json_t *answer, struct err *err)
{
        const char *s = json_string_value(json_object_get(answer, "status"));
        const char *desc =
                json_string_value(json_object_get(answer, "error-desc"));
        char shown[400];

        if (s && strcmp(s, "finish-migrate") == 0)
                l->silences = 1;
        if (!s || (strcmp(s, "failed") != 0 && strcmp(s, "cancelled") != 0))
                return true;
        text_escape(desc ? desc : "it gives no reason, its stderr may", shown,
                    sizeof shown);
        return err_set(err, ERR_QEMU, "QEMU's migration %s: %s", s, shown);
}

/* Has QEMU failed (it need not close the stream then), or does it wait for us?
 * It answers when its big lock is free, that is before it begins with the end
 * of the stream or when all of that is in the socket.  After the latter answer
 * and further silence nothing is left to come. */
static bool quiet(void *arg, bool *at_end, struct err *err)
{
        struct live *l = arg;
        json_auto_t *answer = NULL;

        *at_end = false;
        if (l->silences > 0) {
                *at_end = l->silences++ > SILENCES;
                if (*at_end)
                        l->silences = 0;
                return true;
        }
        if (!l->asked) {
                l->asked = true;
                l->asks_migration = !l->asks_migration;
                return qmp_send(l->q,
                                l->asks_migration ? "query-migrate"
                                                  : "query-status",
                                NULL, &l->question, err);
        }
        TRY(qmp_reply(l->q, l->question, 0, &answer, err));
        if (!answer)
                return true;
        l->asked = false;
        return heed_answer(l, answer, err);
}

static bool take_fingerprint(json_t *image, json_t *warnings, struct err *err)
{
        const char *file = json_string_value(json_object_get(image, "file"));
        json_auto_t *print = NULL;
        struct err failed = ERR_INIT;
        char line[600], shown[300];

        if (file && fingerprint_take(file, &print, &failed))
                return json_put(image, "fingerprint", json_incref(print), err);
        text_escape(json_string_value(json_object_get(image, "name")), shown,
                    sizeof shown);
        snprintf(line, sizeof line,
                 "%s cannot be looked at: a restore will not notice if it "
                 "has changed",
                 shown);
        log_warn("%s", line);
        return json_array_append_new(warnings, json_string(line)) == 0 ||
               err_nomem(err);
}

/* What the images are now belongs to the cut. */
static bool take_fingerprints(struct live *l, struct err *err)
{
        json_t *disk, *image;
        size_t i, k;

        json_array_foreach(l->disks, i, disk)
        {
                json_array_foreach(json_object_get(disk, "chain"), k, image)
                {
                        TRY(take_fingerprint(image, l->warnings, err));
                }
        }
        return true;
}

static bool refuse(struct live *l, struct err *err);

/* QEMU waits, the images are flushed. */
static bool complete(void *arg, struct writer *w, json_t *state,
                     struct err *err)
{
        struct live *l = arg;

        TRY(take_fingerprints(l, err));
        if (l->behind) {
                TRY(behind_cut(l->behind, err));
                TRY(refuse(l, err));
        }
        TRY(disks_store(l->stored, w, CAPTURE_TAG, l->behind,
                        l->options->progress, err));
        TRY(json_put(state, "disks", json_incref(l->disks), err));
        TRY(json_put(state, "run_state", json_string(l->before), err));
        return json_put(state, "warnings", json_incref(l->warnings), err);
}

static bool start(struct live *l, struct err *err)
{
        json_auto_t *ignored = NULL;
        struct err failed = ERR_INIT;

        TRY(settings_apply(l->q, &l->former, err));
        TRY(qmp_open_stream(l->q, "stasis", &l->stream, err));
        if (qmp_command(l->q, "migrate", json_pack("{s:s}", "uri", "fd:stasis"),
                        NULL, NULL, err))
                return true;
        qmp_ask(l->q, "closefd", json_pack("{s:s}", "fdname", "stasis"),
                &ignored, &failed);
        return false;
}

static bool capture(struct live *l, int out_fd, const char *out_name,
                    struct capture_report *report, struct err *err)
{
        struct capture_options o = {
                .compress = l->options->compress,
                .level = l->options->level,
                .threads = l->options->threads,
                .time = l->time,
                .spool_dir = l->options->spool_dir,
                .manifest = l->manifest,
                .quiet = quiet,
                .complete = complete,
                .arg = l,
                .progress = l->options->progress,
                .expected_bytes = l->ram_bytes,
        };

        return capture_run(l->stream, "QEMU", out_fd, out_name, &o, report,
                           err);
}

/* ---- the verdict, and what becomes of the VM ----------------------------- */

static void hang_up(struct live *l)
{
        if (l->stream < 0)
                return;
        shutdown(l->stream, SHUT_RDWR);
        close(steal_fd(&l->stream));
}

static void note_event(struct live *l, json_t *event)
{
        const char *name = json_string_value(json_object_get(event, "event"));
        json_int_t seconds = 0, micro = 0;

        json_unpack(event, "{s:{s:I,s:I}}", "timestamp", "seconds", &seconds,
                    "microseconds", &micro);
        if (name && strcmp(name, "STOP") == 0)
                l->stopped_at = (double)seconds + (double)micro / 1e6;
        else if (name && strcmp(name, "RESUME") == 0)
                l->resumed_at = (double)seconds + (double)micro / 1e6;
}

/* Waits up to ms for something to happen, and takes all that has. */
static bool watch(struct live *l, int ms, struct err *err)
{
        for (;;) {
                json_auto_t *event = NULL;

                TRY(qmp_event(l->q, ms, &event, err));
                if (!event)
                        return true;
                note_event(l, event);
                ms = 0;
        }
}

/* Until the migration is over and the run state is one that lasts. */
static bool settle(struct live *l, char status[32], char state[32],
                   char desc[512], struct err *err)
{
        time_t deadline = seconds_now() + SETTLE_SECONDS;

        while (seconds_now() <= deadline) {
                json_auto_t *m = NULL;
                const char *s;

                TRY(qmp_command(l->q, "query-migrate", NULL, &m, NULL, err));
                s = json_string_value(json_object_get(m, "status"));
                snprintf(status, 32, "%s", s ? s : "none");
                s = json_string_value(json_object_get(m, "error-desc"));
                text_escape(s ? s : "", desc, 512);
                TRY(identity_run_state(l->q, state, 32, err));
                if ((strcmp(status, "failed") == 0 ||
                     strcmp(status, "completed") == 0 ||
                     strcmp(status, "cancelled") == 0 ||
                     strcmp(status, "none") == 0) &&
                    strcmp(state, "finish-migrate") != 0)
                        return true;
                TRY(watch(l, 20, err));
        }
        return err_set(err, ERR_QEMU,
                       "QEMU does not end the migration (%s, VM %s)", status,
                       state);
}

/* A guest that ran runs again, by QEMU's doing.  Only a migration leads to
 * postmigrate, so that is undone; any other state is somebody's will, and a
 * guest that did not run is never run. */
static bool back_to_before(struct live *l, char state[32], struct err *err)
{
        bool ran = strcmp(l->before, "running") == 0;

        if (strcmp(state, l->before) == 0)
                return true;
        if (ran && strcmp(state, "postmigrate") == 0) {
                log_warn("QEMU left the VM %s: it is continued", state);
                TRY(qmp_command(l->q, "cont", NULL, NULL, NULL, err));
                return identity_run_state(l->q, state, 32, err);
        }
        if (strcmp(state, "postmigrate") == 0)
                log_warn("the VM was %s and is now %s: QEMU %s knows no way "
                         "back. It has not run; `cont` would run it, and until "
                         "then it cannot be saved again",
                         l->before, state, qmp_version(l->q));
        else
                log_warn(
                        "the VM was %s and is now %s, not by this save's doing",
                        l->before, state);
        return true;
}

static bool put_settings_back(struct live *l, struct err *err)
{
        bool ok = !l->former || settings_put_back(l->q, l->former, err);

        json_decref(l->former);
        l->former = NULL;
        return ok;
}

/* No verdict: QEMU takes the migration for failed and the VM goes on.  Once:
 * later calls only tell what became of it. */
static bool refuse(struct live *l, struct err *err)
{
        char status[32];
        bool ok;

        if (l->refused)
                return true;
        l->refused = true;
        if (!l->behind)
                disks_release(l->stored);
        hang_up(l);
        qmp_steadfast(l->q, true);
        ok = settle(l, status, l->after, l->desc, err) &&
             back_to_before(l, l->after, err);
        return put_settings_back(l, err) && ok;
}

/* The monitor closes when QEMU ends. */
static bool await_exit(struct live *l, struct err *err)
{
        time_t deadline = seconds_now() + QUIT_SECONDS;
        struct err gone = ERR_INIT;

        while (seconds_now() < deadline) {
                if (!watch(l, 1000, &gone))
                        return true;
        }
        return err_set(err, ERR_QEMU, "QEMU does not quit");
}

/* The VM has moved into the file, and ends here. */
static bool confirm(struct live *l, struct err *err)
{
        uint8_t message[8];
        char status[32], state[32], desc[512];
        struct emit e;
        json_auto_t *ignored = NULL;

        disks_release(l->stored);
        qmp_steadfast(l->q, true);
        emit_init(&e, message, sizeof message);
        emit_u16be(&e, RETURN_PATH_SHUT);
        emit_u16be(&e, 4);
        emit_u32be(&e, 0);
        TRY(io_write_all(l->stream, message, e.len, "QEMU", err));
        TRY(settle(l, status, state, desc, err));
        if (strcmp(status, "completed") != 0) {
                struct err failed = ERR_INIT;

                back_to_before(l, state, &failed);
                put_settings_back(l, &failed);
                return err_set(err, ERR_QEMU,
                               "QEMU did not hand the VM over (%s %s): it is "
                               "%s",
                               status, desc, state);
        }
        /* It may be gone before it has answered. */
        if (!qmp_command(l->q, "quit", NULL, &ignored, NULL,
                         &(struct err)ERR_INIT))
                return true;
        return await_exit(l, err);
}

/* The capture failed: QEMU's own reason is the better one if QEMU ended the
 * stream.  What goes wrong in cleaning up is told, the failure stays. */
static bool give_up(struct live *l, struct err *err)
{
        struct err failed = ERR_INIT;
        char line[1024];

        if (!refuse(l, &failed))
                log_warn("%s", err_line(&failed, line, sizeof line));
        if (err->status != ERR_TRUNCATED)
                return false;
        err_clear(err);
        if (failed.status != ERR_NONE) {
                *err = failed;
                return err_doing(err, "saving");
        }
        return err_set(err, ERR_QEMU, "QEMU ended the migration: %s",
                       l->desc[0] ? l->desc : "it gives no reason");
}

static bool publish_and_end(struct live *l, struct publish *p, const char *path,
                            struct err *err)
{
        struct err failed = ERR_INIT;
        char line[1024];

        if (p && !publish_commit(p, err)) {
                if (!refuse(l, &failed))
                        log_warn("%s", err_line(&failed, line, sizeof line));
                return false;
        }
        if (confirm(l, err))
                return true;
        log_warn("%s is complete, but the VM has not ended",
                 p ? path : "the snapshot");
        return false;
}

static bool transfer(struct live *l, struct publish *p, const char *path,
                     struct live_report *report, struct err *err)
{
        int out = p ? publish_fd(p) : STDOUT_FILENO;

        if (!start(l, err) || !capture(l, out, p ? path : "standard output",
                                       &report->capture, err))
                return give_up(l, err);
        if (l->options->quit)
                return publish_and_end(l, p, path, err);
        TRY(refuse(l, err));
        strcpy(report->after, l->after);
        TRY(watch(l, 0, err));
        if (l->stopped_at > 0 && l->resumed_at > l->stopped_at)
                report->stopped_seconds = l->resumed_at - l->stopped_at;
        return !p || publish_commit(p, err);
}

/* The disks as they are from here on stand still, below what the guest writes.
 */
static bool begin_behind(struct live *l, struct err *err)
{
        if (!l->options->disks.behind || disks_count(l->stored) == 0)
                return true;
        if (strcmp(l->before, "running") != 0)
                return err_set(err, ERR_USAGE,
                               "--copy-behind: the VM is %s, so there is no "
                               "pause to shorten",
                               l->before);
        TRY(behind_new(l->options->spool_dir, &l->behind, err));
        TRY(disks_behind(l->stored, l->behind, err));
        return behind_begin(l->behind, l->q, err);
}

/* The chain of images as before, whatever happened. */
static bool end_behind(struct live *l, struct err *err)
{
        bool ok;

        if (!l->behind)
                return true;
        disks_release(l->stored);
        qmp_steadfast(l->q, true);
        ok = behind_end(l->behind, l->q, l->options->progress, err);
        behind_free(l->behind);
        l->behind = NULL;
        return ok;
}

static bool save(struct live *l, struct publish *p, const char *path,
                 struct live_report *report, struct err *err)
{
        struct err failed = ERR_INIT;
        char line[1024];
        const char *id;
        bool ok;

        TRY(qmp_connect(l->options->qmp, GREETING_MS, &l->q, err));
        TRY(claim(l, err));
        TRY(behind_recover(l->q, err));
        TRY(export_recover(l->q, l->pid, err));
        TRY(preflight(l->q, l->before, sizeof l->before, err));
        TRY(learn(l, err));
        snprintf(report->before, sizeof report->before, "%s", l->before);
        id = json_text(l->manifest, "id");
        snprintf(report->id, sizeof report->id, "%s", id ? id : "");
        ok = begin_behind(l, err) && transfer(l, p, path, report, err);
        if (end_behind(l, ok ? err : &failed))
                return ok;
        if (!ok)
                log_warn("%s", err_line(&failed, line, sizeof line));
        return false;
}

static void cleanup_publish(struct publish **p)
{
        publish_close(*p);
}

bool live_save(const char *path, const struct live_options *options,
               struct live_report *report, struct err *err)
{
        CLEANUP(cleanup_publish) struct publish *p = NULL;
        struct live l = {.options = options, .claim = -1, .stream = -1};
        bool ok;

        memset(report, 0, sizeof *report);
        if (strcmp(path, "-") != 0)
                TRY(publish_open(path, options->force ? PUBLISH_REPLACE : 0, &p,
                                 err));
        ok = save(&l, p, path, report, err);
        hang_up(&l);
        if (l.stored) {
                report->disks = (unsigned)disks_count(l.stored);
                report->disk_bytes = disks_data_bytes(l.stored);
        }
        disks_free(l.stored);
        qmp_close(l.q);
        cleanup_fd_(&l.claim);
        json_decref(l.manifest);
        json_decref(l.disks);
        json_decref(l.warnings);
        json_decref(l.former);
        return ok;
}
