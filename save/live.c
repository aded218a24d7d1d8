/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest goes on before the file is synced and published, because that can
 * take as long as the disk likes. */
#include "save/live.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "format/fingerprint.h"
#include "format/manifest.h"
#include "save/behind.h"
#include "qemu/channels.h"
#include "qemu/disks.h"
#include "qemu/export.h"
#include "qemu/identity.h"
#include "qemu/outside.h"
#include "save/birth.h"
#include "save/exclusive.h"
#include "save/inquiry.h"
#include "save/leftovers.h"
#include "save/preflight.h"
#include "save/tee.h"
#include "save/verdict.h"
#include "save/watch.h"

#define GREETING_MS 5000

struct live {
        const struct live_options *options;
        const char *path; /* "-": standard output */
        struct qmp *q;
        struct verdict verdict;
        struct inquiry inquiry;
        struct tee *tee;           /* NULL: none */
        struct channels *channels; /* of multifd; NULL: none */
        pid_t pid;    /* QEMU's; 0: unknown                                  */
        int claim;    /* save/exclusive.h                                    */
        int64_t time; /* of creation                                         */
        json_t *manifest, *disks, *warnings;
        struct disks *stored;
        struct behind *behind; /* NULL: disks are copied in the pause        */
        enum live_mode mode;
        struct passes *passes; /* NULL: there is but one                     */
        struct publish *file;  /* NULL: standard output                      */
        struct publish *draft; /* what file replaced; NULL: nothing          */
        int draft_fd;          /* the same for standard output               */
        uint64_t ram_bytes;
};

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

static bool quiet(void *arg, bool *at_end, struct err *err)
{
        struct live *l = arg;

        return inquiry_quiet(&l->inquiry, at_end, err);
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

/* Also when QEMU has its answer already: it does nothing then. */
static bool refuse(struct live *l, struct err *err)
{
        if (!l->behind)
                disks_release(l->stored);
        if (l->channels)
                channels_hang_up(l->channels);
        return verdict_refuse(&l->verdict, err);
}

/* After that many passes a guest that writes faster than we take it is stopped
 * for as long as the rest takes. */
#define PASSES_DEFAULT 20

static unsigned most_passes(const struct live *l)
{
        unsigned n = l->options->limits.max_passes;

        return n ? n : PASSES_DEFAULT;
}

static bool part(void *arg, struct err *err)
{
        struct live *l = arg;
        unsigned most = most_passes(l);

        /* Over several connections pages come in no order. */
        unsigned passes =
                l->passes ? passes_count(l->passes) : l->inquiry.syncs;

        if (l->mode == LIVE_PRECOPY && !l->inquiry.wants_lift &&
            passes > most) {
                l->inquiry.wants_lift = true;
                log_note("after %u passes the guest still writes to memory "
                         "faster than it is saved: it is stopped for the rest",
                         most);
        }
        return inquiry_tick(&l->inquiry, err);
}

/* In precopy and without live QEMU waits, the images are flushed. */
static bool received(void *arg, struct err *err)
{
        struct live *l = arg;

        TRY(take_fingerprints(l, err));
        if (l->mode == LIVE_SNAPSHOT)
                return true;
        if (l->behind)
                TRY(behind_cut(l->behind, err));
        else if (disks_count(l->stored) > 0)
                return true; /* they are copied while it waits */
        return l->options->quit || l->tee || refuse(l, err);
}

/* A file for what would otherwise hold much that later chunks replace. */
static bool anew(void *arg, int *fd_out, struct err *err)
{
        struct live *l = arg;

        *fd_out = STDOUT_FILENO;
        if (!l->file)
                return true;
        l->draft = l->file;
        l->file = NULL;
        TRY(publish_open(l->path, l->options->force ? PUBLISH_REPLACE : 0,
                         &l->file, err));
        *fd_out = publish_fd(l->file);
        return true;
}

static bool complete(void *arg, struct writer *w, json_t *state,
                     struct err *err)
{
        struct live *l = arg;

        TRY(disks_store(l->stored, w, CAPTURE_TAG, l->behind,
                        l->options->progress, err));
        TRY(json_put(state, "disks", json_incref(l->disks), err));
        TRY(json_put(state, "run_state", json_string(l->verdict.before), err));
        return json_put(state, "warnings", json_incref(l->warnings), err);
}

/* QEMU comes to a socket of ours, where its monitor's is: there it finds it. */
static bool start_multifd(struct live *l, struct err *err)
{
        CLEANUP_FREE char *monitor = realpath(l->options->qmp, NULL);
        char *slash = monitor ? strrchr(monitor, '/') : NULL;
        char proc[32];
        struct stat st;
        struct channels_options o = {
                .count = l->options->limits.channels,
                .zstd = l->options->limits.zstd,
                .dir = slash ? monitor : "/tmp",
                .uid = geteuid(),
        };

        if (slash)
                *slash = '\0';
        snprintf(proc, sizeof proc, "/proc/%ld", (long)l->pid);
        if (l->pid && stat(proc, &st) == 0)
                o.uid = st.st_uid;
        TRY(channels_listen(&o, &l->channels, err));
        TRY(qmp_command(l->q, "migrate",
                        json_pack("{s:s}", "uri", channels_uri(l->channels)),
                        NULL, NULL, err));
        return channels_accept(l->channels, &l->verdict.stream, err);
}

static bool start(struct live *l, struct err *err)
{
        const struct mode_vm vm = {
                .disks = l->disks,
                .run_state = l->verdict.before,
                .accelerator = json_text(l->manifest, "accelerator") ?: "",
        };
        json_auto_t *ignored = NULL;
        struct err failed = ERR_INIT;

        TRY(mode_begin(l->q, l->options->live, &l->options->limits, &vm,
                       &l->mode, &l->verdict.former, err));
        if (l->mode == LIVE_PRECOPY && !l->options->limits.channels)
                TRY(passes_new(l->options->dirty_log, l->options->spool_dir,
                               &l->passes, err));
        if (l->options->limits.channels)
                return start_multifd(l, err);
        TRY(qmp_open_stream(l->q, "stasis", &l->verdict.stream, err));
        if (qmp_command(l->q, "migrate", json_pack("{s:s}", "uri", "fd:stasis"),
                        NULL, NULL, err))
                return true;
        qmp_ask(l->q, "closefd", json_pack("{s:s}", "fdname", "stasis"),
                &ignored, &failed);
        return false;
}

static bool capture(struct live *l, struct capture_report *report,
                    struct err *err)
{
        bool live = l->mode != LIVE_NO, precopy = l->mode == LIVE_PRECOPY;
        int out_fd = l->file ? publish_fd(l->file) : STDOUT_FILENO;
        struct capture_options o = {
                .compress = l->options->compress,
                .level = l->options->level,
                .threads = l->options->threads,
                .time = l->time,
                .spool_dir = l->options->spool_dir,
                .manifest = l->manifest,
                .quiet = quiet,
                .part = live ? part : NULL,
                .received = received,
                .any_order = l->mode == LIVE_SNAPSHOT,
                .anew = live || l->file ? anew : NULL,
                .complete = complete,
                .arg = l,
                .passes = l->passes,
                .haste = precopy,
                .tee = l->tee,
                .channels = l->channels,
                .progress = l->options->progress,
                .expected_bytes = l->ram_bytes,
        };

        /* Who reads a pipe may be slow: no guest waits for that. */
        if (live && !l->file) {
                TRY(io_open_unlinked(o.spool_dir, &l->draft_fd, err));
                out_fd = l->draft_fd;
                o.draft = true;
        }
        return capture_run(l->verdict.stream, "QEMU", out_fd,
                           l->file ? l->path : "standard output", &o, report,
                           err);
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
                       l->verdict.desc[0] ? l->verdict.desc
                                          : "it gives no reason");
}

/* The VM moves: into the file, and to the target if there is one. */
static bool move(struct live *l, struct err *err)
{
        struct err failed = ERR_INIT;
        char line[1024];

        if ((l->tee && !tee_ready(l->tee, err)) ||
            (l->file && !publish_commit(l->file, err))) {
                if (!refuse(l, &failed))
                        log_warn("%s", err_line(&failed, line, sizeof line));
                return false;
        }
        disks_release(l->stored);
        if (!verdict_confirm(&l->verdict, err)) {
                log_warn("the snapshot is complete, but the VM has not ended");
                return false;
        }
        if (l->tee && !tee_go(l->tee, err)) {
                log_warn("the VM stands still here (postmigrate), and the "
                         "snapshot is complete: when it is certain that the "
                         "target does not run, `cont` runs it here");
                return false;
        }
        return true;
}

static bool move_and_end(struct live *l, struct live_report *report,
                         struct err *err)
{
        TRY(move(l, err));
        if (l->options->quit)
                return verdict_quit(&l->verdict, err);
        strcpy(report->after, l->verdict.after);
        return verdict_put_back(&l->verdict, err);
}

/* The VM goes on here. */
static bool let_go(struct live *l, struct live_report *report, struct err *err)
{
        if (l->mode == LIVE_SNAPSHOT)
                TRY(verdict_let_end(&l->verdict, err));
        else
                TRY(refuse(l, err));
        strcpy(report->after, l->verdict.after);
        TRY(verdict_watch(&l->verdict, 0, err));
        report->stopped_seconds = verdict_pause(&l->verdict);
        if (l->mode == LIVE_SNAPSHOT)
                report->downtime = l->verdict.downtime;
        else if (l->mode == LIVE_PRECOPY)
                report->downtime = l->inquiry.expected_seconds;
        return true;
}

static bool transfer(struct live *l, struct live_report *report,
                     struct err *err)
{
        if (!start(l, err) || !capture(l, &report->capture, err))
                return give_up(l, err);
        report->mode = l->mode;
        report->lifted = l->inquiry.lifted;
        if (l->options->quit || l->tee)
                return move_and_end(l, report, err);
        TRY(let_go(l, report, err));
        return !l->file || publish_commit(l->file, err);
}

/* The disks as they are from here on stand still, below what the guest writes.
 */
static bool begin_behind(struct live *l, struct err *err)
{
        enum live_mode live = l->options->live;

        if (disks_count(l->stored) == 0)
                return true;
        if (!l->options->disks.behind &&
            (live == LIVE_NO || live == LIVE_SNAPSHOT || l->tee ||
             strcmp(l->verdict.before, "running") != 0))
                return true;
        if (strcmp(l->verdict.before, "running") != 0)
                return err_set(err, ERR_USAGE,
                               "--copy-behind: the VM is %s, so there is no "
                               "pause to shorten",
                               l->verdict.before);
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

static bool save(struct live *l, struct live_report *report, struct err *err)
{
        struct err failed = ERR_INIT;
        char line[1024];
        const char *id;
        bool ok;

        TRY(qmp_connect(l->options->qmp, GREETING_MS, &l->q, err));
        verdict_init(&l->verdict, l->q);
        l->inquiry.q = l->q;
        TRY(claim(l, err));
        TRY(behind_recover(l->q, err));
        TRY(export_recover(l->q, l->pid, err));
        TRY(watch_recover(l->q, err));
        TRY(preflight(l->q, l->verdict.before, sizeof l->verdict.before, err));
        TRY(learn(l, err));
        if (l->options->tee)
                TRY(tee_open(l->options->tee, l->options->tee_options, &l->tee,
                             err));
        snprintf(report->before, sizeof report->before, "%s",
                 l->verdict.before);
        id = json_text(l->manifest, "id");
        snprintf(report->id, sizeof report->id, "%s", id ? id : "");
        ok = begin_behind(l, err) && transfer(l, report, err);
        if (end_behind(l, ok ? err : &failed))
                return ok;
        if (!ok)
                log_warn("%s", err_line(&failed, line, sizeof line));
        return false;
}

static void release(struct live *l)
{
        verdict_fini(&l->verdict);
        tee_free(l->tee);
        channels_free(l->channels);
        disks_free(l->stored);
        qmp_close(l->q);
        publish_close(l->file);
        publish_close(l->draft);
        cleanup_fd_(&l->draft_fd);
        cleanup_fd_(&l->claim);
        json_decref(l->manifest);
        json_decref(l->disks);
        json_decref(l->warnings);
}

bool live_save(const char *path, const struct live_options *options,
               struct live_report *report, struct err *err)
{
        struct live l = {
                .options = options, .path = path, .claim = -1, .draft_fd = -1};
        bool ok;

        memset(report, 0, sizeof *report);
        if (strcmp(path, "-") != 0)
                TRY(publish_open(path, options->force ? PUBLISH_REPLACE : 0,
                                 &l.file, err));
        verdict_init(&l.verdict, NULL);
        ok = save(&l, report, err);
        if (l.stored) {
                report->disks = (unsigned)disks_count(l.stored);
                report->disk_bytes = disks_data_bytes(l.stored);
        }
        report->passes = l.passes;
        release(&l);
        return ok;
}

void live_report_fini(struct live_report *report)
{
        passes_free(report->passes);
        report->passes = NULL;
}
