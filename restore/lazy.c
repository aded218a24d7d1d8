/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/lazy_private.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/name.h"
#include "qemu/emission.h"
#include "qemu/settings.h"
#include "qemu/stream_format.h"
#include "restore/lazy_fit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define STREAM_NAME "stasis-lazy"

/* What lies in the socket when a page is asked for is read before it. */
#define SOCKET_BYTES (128 * 1024)

/* For QEMU to end the migration when all has been sent. */
#define END_SECONDS 60
/* For QEMU to see that its source is gone, and to answer. */
#define LOST_SECONDS 5

/* ---- what is needed of the snapshot -------------------------------------- */

const char *lazy_id(const struct reader *r)
{
        const char *id = json_text(reader_manifest(r), "id");

        return id ? id : "";
}

bool lazy_name_blocks(struct lazy *l, struct err *err)
{
        const struct ram_blocks *ram = &l->devices->ram;

        l->dir_names = calloc(ram->count + 1, sizeof *l->dir_names);
        l->dirs = calloc(ram->count + 1, sizeof *l->dirs);
        l->sizes = calloc(ram->count + 1, sizeof *l->sizes);
        l->host_pages = calloc(ram->count + 1, sizeof *l->host_pages);
        if (!l->dir_names || !l->dirs || !l->sizes || !l->host_pages)
                return err_nomem(err);
        for (unsigned i = 0; i < ram->count; i++) {
                l->dirs[i] = name_ram_dir(ram->blocks[i].name, l->dir_names[i]);
                l->sizes[i] = ram->blocks[i].size;
        }
        return true;
}

bool lazy_lay_out(struct lazy *l, struct reader *r, struct err *err)
{
        const struct ram_blocks *ram = &l->devices->ram;
        json_int_t page = json_integer_value(
                json_object_get(reader_manifest(r), "target_page_size"));

        if (page < TARGET_PAGE_MIN || page > TARGET_PAGE_MAX ||
            (page & (page - 1)) != 0) {
                err_in_section(err, "stasis/manifest.json");
                return err_set(err, ERR_CORRUPT,
                               "target_page_size is not a page size");
        }
        for (unsigned i = 0; i < ram->count; i++) {
                uint64_t host = l->host_pages[i];

                /* A host page goes in one section. */
                if (host < (uint64_t)page || host > UNIT_SIZE_MAX ||
                    (host & (host - 1)) != 0 || l->sizes[i] % host != 0 ||
                    host / (uint64_t)page > EMISSION_PICKED_MAX)
                        return err_set(err, ERR_UNSUPPORTED,
                                       "RAM in pages that cannot be served one "
                                       "by one");
        }
        TRY(places_new(r, l->dirs, l->sizes, ram->count, &l->places, err));
        l->layout = (struct layout){
                .ram = ram,
                .host_pages = l->host_pages,
                .page_size = (uint32_t)page,
                .places = l->places,
        };
        return true;
}

bool lazy_make_server(struct lazy *l, unsigned threads, bool record,
                      struct err *err)
{
        struct serve_options o = {
                .layout = &l->layout,
                .devices = l->devices,
                .threads = threads,
                .first = &l->first,
                .record = record ? &l->record : NULL,
                .back = &l->back,
        };

        setsockopt(l->fd, SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_BYTES},
                   sizeof(int));
        return_path_init(&l->back, l->fd);
        return server_new(l->fd, "the target", &o, &l->server, err);
}

void lazy_fini(struct lazy *l)
{
        server_free(l->server);
        if (l->fd >= 0)
                close(l->fd);
        places_free(l->places);
        working_set_fini(&l->first);
        working_set_fini(&l->record);
        free(l->dir_names);
        free(l->dirs);
        free(l->sizes);
        free(l->host_pages);
}

/* ---- while pages are served ---------------------------------------------- */

static void show(struct lazy *l)
{
        struct err ignored = ERR_INIT;
        struct serve_counts c;

        server_counts(l->server, &c);
        if (c.done_bytes > l->shown)
                progress_add(l->progress, c.done_bytes - l->shown, &ignored);
        l->shown = c.done_bytes;
}

/* A signal ends the service, or is the target's: which wants to be served on
 * until it ends. */
static bool heed_signal(struct lazy *l, struct err *err)
{
        int came = progress_signal();

        if (!came || l->signal)
                return true;
        if (!l->foreground || !l->loaded)
                return !progress_cancelled(err);
        l->signal = came;
        kill(l->pid, came);
        return true;
}

/* QEMU's status of the migration; false: it does not answer in time. */
static bool ask_status(struct lazy *l, int timeout_ms, char status[32])
{
        json_auto_t *m = NULL;
        struct err ignored = ERR_INIT;
        unsigned long id;
        const char *s;

        status[0] = '\0';
        if (!qmp_send(l->q, "query-migrate", NULL, &id, &ignored) ||
            !qmp_reply(l->q, id, timeout_ms, &m, &ignored) || !m)
                return false;
        s = json_string_value(json_object_get(m, "status"));
        snprintf(status, 32, "%s", s ? s : "");
        return true;
}

/* Everything has been sent: QEMU says that it has it. */
static bool await_completed(struct lazy *l, struct err *err)
{
        double deadline = clock_now() + END_SECONDS;
        struct timespec pause = {.tv_nsec = 2 * 1000000};
        char status[32] = "";

        /* There is nothing left to be interrupted. */
        qmp_steadfast(l->q, true);
        while (clock_now() < deadline) {
                ask_status(l, 1000, status);
                if (strcmp(status, "completed") == 0)
                        return true;
                if (strcmp(status, "failed") == 0 ||
                    strcmp(status, "postcopy-paused") == 0)
                        break;
                nanosleep(&pause, NULL);
        }
        return err_set(err, ERR_QEMU,
                       "QEMU does not end the migration (status '%s')", status);
}

static bool serve_all(struct lazy *l, struct err *err)
{
        while (!server_ended(l->server, 100)) {
                show(l);
                TRY(heed_signal(l, err));
        }
        TRY(server_result(l->server, err));
        show(l);
        return await_completed(l, err);
}

/* The guest has run, and lacks pages: what is left to do. */
static void say_lost(struct lazy *l)
{
        double deadline = clock_now() + LOST_SECONDS;
        struct timespec pause = {.tv_nsec = 20 * 1000000};
        struct serve_counts c;
        char status[32] = "";

        qmp_steadfast(l->q, true);
        server_stop(l->server);
        server_counts(l->server, &c);
        while (clock_now() < deadline && ask_status(l, 500, status) &&
               strcmp(status, "postcopy-active") == 0)
                nanosleep(&pause, NULL);
        progress_pause(l->progress);
        if (strcmp(status, "postcopy-paused") == 0 || !status[0])
                log_warn("the guest lacks %llu of %llu MiB and waits wherever "
                         "it touches them (QEMU, process %ld: %s); with an "
                         "intact copy of the snapshot it goes on: stasis "
                         "restore --resume FILE",
                         (unsigned long long)(c.content_bytes - c.done_bytes) /
                                 MiB,
                         (unsigned long long)c.content_bytes / MiB,
                         (long)l->pid,
                         status[0] ? status : "its monitor does not answer");
        log_warn("the guest has run, so its disks are no longer those of the "
                 "snapshot: should this VM be ended, the snapshot needs disks "
                 "as they were when it was saved");
}

/* The next migration of this VM is not to find what this one needed. */
static void tidy_up(struct lazy *l)
{
        struct err ignored = ERR_INIT;

        settings_capability(l->q, "postcopy-ram", false, NULL, &ignored);
        session_end(l->session);
}

bool lazy_finish(struct lazy *l, struct lazy_report *report, struct err *err)
{
        bool ok = serve_all(l, err);

        server_counts(l->server, &report->counts);
        report->resident_seconds = clock_now() - l->begun;
        if (ok) {
                tidy_up(l);
                return true;
        }
        server_stop(l->server);
        if (l->target && target_is_dead(l->target, err)) {
                session_end(l->session);
                return false;
        }
        say_lost(l);
        return false;
}

/* ---- the beginning ------------------------------------------------------- */

static bool send_opening(struct lazy *l, struct err *err)
{
        size_t len = postcopy_opening(l->devices, l->host_pages,
                                      l->layout.page_size, NULL) +
                     postcopy_package(l->devices, NULL);
        CLEANUP_FREE uint8_t *bytes = malloc(len);
        struct emit e;

        if (!bytes)
                return err_nomem(err);
        emit_init(&e, bytes, len);
        postcopy_opening(l->devices, l->host_pages, l->layout.page_size, &e);
        postcopy_package(l->devices, &e);
        l->stream_bytes = e.len;
        return io_write_all(l->fd, bytes, e.len, "the target", err);
}

/* Until device state is loaded QEMU may not answer: it waits for pages. */
static bool await_loaded(struct lazy *l, struct err *err)
{
        struct timespec pause = {.tv_nsec = 500000};

        for (;;) {
                json_auto_t *answer = NULL;
                unsigned long id;
                const char *s;

                TRY(qmp_send(l->q, "query-status", NULL, &id, err));
                while (!answer) {
                        TRY(qmp_reply(l->q, id, 1, &answer, err));
                        if (server_ended(l->server, 0))
                                TRY(server_result(l->server, err));
                        TRY(heed_signal(l, err));
                }
                s = json_string_value(json_object_get(answer, "status"));
                if (s && strcmp(s, "inmigrate") != 0)
                        return true;
                nanosleep(&pause, NULL);
        }
}

/* From here on the target is not ours to end. */
static bool let_go(struct lazy *l, const struct lazy_options *o,
                   struct lazy_report *report, struct err *err)
{
        char state[32];

        if (o->run)
                l->loaded = true;
        TRY(target_go(l->target, o->run, state, err));
        l->loaded = true;
        target_leave(l->target);
        report->loaded_seconds = clock_now() - l->begun;
        if (o->foreground)
                progress_hide(l->progress);
        else
                progress_pause(l->progress);
        if (o->loaded)
                o->loaded(o->arg, state, l->pid, l->stream_bytes,
                          report->loaded_seconds);
        log_note("%s after %.2f s; RAM follows", state, report->loaded_seconds);
        return true;
}

static bool start(struct lazy *l, const struct lazy_options *o, struct err *err)
{
        struct serve_counts c;

        TRY(session_begin(o->session, l->pid, l->q, l->host_pages,
                          l->devices->ram.count, err));
        TRY(qmp_open_stream(l->q, STREAM_NAME, &l->fd, err));
        TRY(qmp_command(l->q, "migrate-incoming",
                        json_pack("{s:s}", "uri", "fd:" STREAM_NAME), NULL,
                        NULL, err));
        TRY(lazy_make_server(l, o->threads, o->record, err));
        server_counts(l->server, &c);
        progress_phase(l->progress, "RAM resident", c.content_bytes);
        TRY(send_opening(l, err));
        TRY(server_start(l->server, err));
        TRY(await_loaded(l, err));
        server_may_end(l->server);
        return true;
}

/* Hints of an earlier restore, if there are any. */
static void read_hints(struct lazy *l, const struct lazy_options *o)
{
        CLEANUP_FREE char *path = o->file ? working_set_path(o->file) : NULL;
        struct err failed = ERR_INIT;
        char line[600];

        if (!path || o->record)
                return;
        if (working_set_read(&l->first, &l->layout, path, lazy_id(o->reader),
                             &failed))
                return;
        log_warn("not heeded: %s", err_line(&failed, line, sizeof line));
        working_set_fini(&l->first);
}

static void write_hints(struct lazy *l, const struct lazy_options *o)
{
        CLEANUP_FREE char *path = o->file ? working_set_path(o->file) : NULL;
        struct err failed = ERR_INIT;
        char line[600];

        if (!o->record)
                return;
        if (path && working_set_write(&l->record, &l->layout, path,
                                      lazy_id(o->reader), &failed))
                log_note("%s: %zu pages", path, l->record.count);
        else
                log_warn("the working set was not written: %s",
                         path ? err_line(&failed, line, sizeof line)
                              : "the snapshot has no name");
}

/* Reasons against it that are known before anything is sent. */
static bool fits(struct lazy *l, const struct lazy_options *o, char why[600],
                 struct err *err)
{
        lazy_fit_snapshot(o->saved, why);
        if (!why[0])
                TRY(target_prepare(l->target, true, why, err));
        if (!why[0])
                TRY(lazy_fit_memory(l->q, l->pid, why, err));
        if (!why[0])
                TRY(lazy_fit_pages(l->q, &l->devices->ram, l->host_pages, why,
                                   err));
        return true;
}

/* The target broke off before the guest ran: that is no failure yet. */
static bool spoiled(struct lazy *l, enum lazy_outcome *outcome, char why[600],
                    struct err *err)
{
        if (err->status != ERR_QEMU && err->os != EPIPE &&
            err->os != ECONNRESET)
                return false;
        target_is_dead(l->target, err);
        session_end(l->session);
        *outcome = LAZY_SPOILED;
        snprintf(why, 600, "%s", err->why);
        err_clear(err);
        return true;
}

/* A QEMU that does not answer may wait for a page that was not served: why it
 * was not is the better reason. */
static void prefer_cause(struct lazy *l, struct err *err)
{
        struct err cause = ERR_INIT;

        if (server_ended(l->server, 0) && !server_result(l->server, &cause))
                *err = cause;
}

static bool load(struct lazy *l, const struct lazy_options *o,
                 enum lazy_outcome *outcome, char why[600],
                 struct lazy_report *report, struct err *err)
{
        TRY(lazy_name_blocks(l, err));
        TRY(fits(l, o, why, err));
        if (why[0]) {
                *outcome = LAZY_REFUSED;
                return true;
        }
        TRY(lazy_lay_out(l, o->reader, err));
        read_hints(l, o);
        if (!start(l, o, err)) {
                if (spoiled(l, outcome, why, err))
                        return true;
                session_end(l->session);
                return false;
        }
        if (!let_go(l, o, report, err)) {
                prefer_cause(l, err);
                if (l->loaded)
                        target_leave(l->target);
                say_lost(l);
                return false;
        }
        *outcome = LAZY_RESIDENT;
        TRY(lazy_finish(l, report, err));
        write_hints(l, o);
        return true;
}

bool lazy_load(struct target *t, const struct lazy_options *options,
               enum lazy_outcome *outcome, char why[600],
               struct lazy_report *report, struct err *err)
{
        struct lazy l = {
                .q = target_qmp(t),
                .target = t,
                .devices = &options->saved->devices,
                .pid = target_pid(t),
                .progress = options->progress,
                .begun = options->begun,
                .session = options->session,
                .foreground = options->foreground,
                .fd = -1,
        };
        bool ok;

        *report = (struct lazy_report){0};
        why[0] = '\0';
        ok = load(&l, options, outcome, why, report, err);
        lazy_fini(&l);
        return ok;
}
