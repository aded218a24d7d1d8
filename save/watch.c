/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/watch.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "qemu/identity.h"
#include "qemu/settings.h"
#include "qemu/stream.h"
#include "save/exclusive.h"
#include "save/inquiry.h"
#include "save/preflight.h"
#include "save/verdict.h"

#define GREETING_MS 5000
#define NODE        "stasis-watch"
#define BITMAP      "stasis"
#define NODE_BYTES  (UINT64_C(1) << 40)
/* QEMU sends 64 KiB of it at a time: the bitmap takes 2 MiB of its memory. */
#define GRANULARITY 65536
/* For QEMU to let go of the bitmap. */
#define RELEASE_SECONDS 5
/* Of what QEMU has sent and we have not read: it goes on when we do. */
#define BUFFER 4096
/* A pass is read no sooner than so long after the one before it began, and an
 * empty part takes so long: seconds. */
#define PASS_SECONDS  0.1
#define EMPTY_SECONDS 0.02

struct watch {
        const struct watch_options *options;
        struct qmp *q;
        struct verdict verdict;
        struct inquiry inquiry;
        int claim;
        bool has_node;
        struct passes *passes;
        struct stream *stream;
        uint64_t part_pages;
        double pass_began, deadline;
        bool done;
};

static void wait_until(double then)
{
        double left = then - clock_now();
        struct timespec t;

        if (left <= 0)
                return;
        t.tv_sec = (time_t)left;
        t.tv_nsec = (long)((left - (double)t.tv_sec) * 1e9);
        nanosleep(&t, NULL);
}

/* ---- what keeps the migration from its end ------------------------------- */

static json_t *bitmap_name(void)
{
        return json_pack("{s:s,s:s}", "node", NODE, "name", BITMAP);
}

static bool add_node(struct watch *w, struct err *err)
{
        json_t *bitmap = bitmap_name();

        w->has_node = true;
        TRY(qmp_command(w->q, "blockdev-add",
                        json_pack("{s:s,s:s,s:I}", "driver", "null-co",
                                  "node-name", NODE, "size",
                                  (json_int_t)NODE_BYTES),
                        NULL, NULL, err));
        TRY(json_put(bitmap, "granularity", json_integer(GRANULARITY), err));
        return qmp_command(w->q, "block-dirty-bitmap-add", bitmap, NULL, NULL,
                           err);
}

/* It is in use until QEMU has cleaned up after the migration. */
static bool remove_node(struct qmp *q, struct err *err)
{
        static const struct timespec moment = {.tv_nsec = 20000000};
        double deadline = clock_now() + RELEASE_SECONDS;
        struct err failed;

        do {
                failed = (struct err)ERR_INIT;
                if (qmp_command(q, "block-dirty-bitmap-remove", bitmap_name(),
                                NULL, NULL, &failed))
                        return qmp_command(
                                q, "blockdev-del",
                                json_pack("{s:s}", "node-name", NODE), NULL,
                                NULL, err);
                nanosleep(&moment, NULL);
        } while (clock_now() < deadline);
        *err = failed;
        return false;
}

bool watch_recover(struct qmp *q, struct err *err)
{
        json_auto_t *nodes = NULL;
        const json_t *node;
        size_t i;

        TRY(qmp_command(q, "query-named-block-nodes", NULL, &nodes, NULL, err));
        json_array_foreach(nodes, i, node)
        {
                const char *name =
                        json_string_value(json_object_get(node, "node-name"));

                if (!name || strcmp(name, NODE) != 0)
                        continue;
                if (json_array_size(json_object_get(node, "dirty-bitmaps")))
                        return remove_node(q, err);
                return qmp_command(q, "blockdev-del",
                                   json_pack("{s:s}", "node-name", NODE), NULL,
                                   NULL, err);
        }
        return true;
}

static bool set_up(struct watch *w, struct err *err)
{
        struct settings s = {
                .capabilities = {"return-path", "dirty-bitmaps"},
                .downtime_ms = 1,
                .bandwidth = w->options->bandwidth,
        };
        bool acknowledges;

        TRY(settings_know(w->q, "switchover-ack", &acknowledges, err));
        /* From 11.0 on the destination is asked only if a device wants it. */
        if (acknowledges && qmp_version_number(w->q) < 110000)
                s.capabilities[1] = "switchover-ack";
        else
                TRY(add_node(w, err));
        return settings_apply(w->q, &s, &w->verdict.former, err);
}

/* ---- the stream, of which nothing is kept -------------------------------- */

static bool item_begin(void *arg, const struct stream_item *item,
                       struct err *err)
{
        (void)arg;
        (void)item;
        (void)err;
        return true;
}

static bool item_bytes(void *arg, const uint8_t *p, size_t len, struct err *err)
{
        (void)arg;
        (void)p;
        (void)len;
        (void)err;
        return true;
}

static bool no_more(void *arg, struct err *err)
{
        (void)arg;
        (void)err;
        return true;
}

static bool vmdesc(void *arg, const uint8_t *json, size_t len, struct err *err)
{
        (void)arg;
        (void)json;
        (void)len;
        (void)err;
        return true;
}

static bool ram_start(void *arg, const struct ram_blocks *blocks,
                      struct err *err)
{
        struct watch *w = arg;

        (void)err;
        passes_blocks(w->passes, blocks);
        return true;
}

static void pause_until(struct watch *w, double then)
{
        wait_until(then < w->deadline ? then : w->deadline);
}

static bool page(void *arg, unsigned block, uint64_t offset,
                 enum page_kind kind, const uint8_t *p, size_t len,
                 struct err *err)
{
        struct watch *w = arg;
        unsigned before = passes_count(w->passes);

        (void)kind;
        (void)p;
        w->part_pages++;
        TRY(passes_page(w->passes, block, offset, stream_page_size(w->stream),
                        len, err));
        if (passes_count(w->passes) == before)
                return true;
        pause_until(w, w->pass_began + PASS_SECONDS);
        w->pass_began = clock_now();
        return true;
}

/* False, without an error, when it is time to end. */
static bool goes_on(struct watch *w, struct err *err)
{
        TRY(verdict_watch(&w->verdict, 0, err));
        if (w->verdict.stopped_at > 0)
                return err_set(err, ERR_QEMU,
                               "QEMU stopped the guest, which it was not to "
                               "do: it goes on, but this has no result");
        w->done = clock_now() >= w->deadline;
        return !w->done;
}

static bool part_end(void *arg, struct err *err)
{
        struct watch *w = arg;

        TRY(goes_on(w, err));
        if (w->part_pages == 0)
                pause_until(w, clock_now() + EMPTY_SECONDS);
        w->part_pages = 0;
        return true;
}

static bool idle(void *arg, struct err *err)
{
        struct watch *w = arg;
        bool at_end;

        TRY(goes_on(w, err));
        return inquiry_quiet(&w->inquiry, &at_end, err);
}

static bool at_end(void *arg, bool *out, struct err *err)
{
        *out = false;
        return idle(arg, err);
}

static bool read_stream(struct watch *w, struct err *err)
{
        const struct stream_events events = {
                .item_begin = item_begin,
                .item_bytes = item_bytes,
                .item_end = no_more,
                .ram_start = ram_start,
                .page = page,
                .part_end = part_end,
                .ram_end = no_more,
                .vmdesc = vmdesc,
                .arg = w,
        };
        struct stream_options options = {
                .spool_dir = w->options->spool_dir, .at_end = at_end, .arg = w};
        struct source *source;
        bool ok;

        TRY(source_new(w->verdict.stream, "QEMU", idle, w, &source, err));
        ok = stream_new(source, &events, &options, &w->stream, err) &&
             stream_run(w->stream, err);
        if (w->done && passes_count(w->passes) > 0)
                ok = passes_end(w->passes, err);
        else if (w->done)
                ok = err_set(err, ERR_QEMU, "QEMU sent no page");
        else if (ok)
                ok = err_set(err, ERR_QEMU, "QEMU ended the migration");
        stream_free(w->stream);
        source_free(source);
        return ok;
}

/* QEMU's end holds little, so that it waits for us, rather than look at all of
 * RAM over and over again. */
static bool open_stream(struct watch *w, struct err *err)
{
        CLEANUP_FD int theirs = -1;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
                return err_set(err, ERR_IO, "socketpair: %m");
        w->verdict.stream = fds[0];
        theirs = fds[1];
        setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &(int){BUFFER}, sizeof(int));
        return qmp_command_fd(w->q, "getfd", json_pack("{s:s}", "fdname", NODE),
                              theirs, NULL, NULL, err);
}

static bool watch(struct watch *w, struct err *err)
{
        TRY(set_up(w, err));
        TRY(open_stream(w, err));
        w->deadline = clock_now() + w->options->seconds;
        TRY(qmp_command(w->q, "migrate", json_pack("{s:s}", "uri", "fd:" NODE),
                        NULL, NULL, err));
        return read_stream(w, err);
}

/* All as before: also after a failure. */
static bool clean_up(struct watch *w, struct err *err)
{
        bool ok = verdict_refuse(&w->verdict, err);

        return (!w->has_node || remove_node(w->q, err)) && ok;
}

static bool prepare(struct watch *w, struct err *err)
{
        pid_t pid;

        TRY(qmp_connect(w->options->qmp, GREETING_MS, &w->q, err));
        verdict_init(&w->verdict, w->q);
        w->inquiry.q = w->q;
        TRY(identity_pid(w->q, &pid, err));
        if (pid)
                TRY(exclusive_claim(pid, identity_start_time(pid), &w->claim,
                                    err));
        TRY(preflight(w->q, w->verdict.before, sizeof w->verdict.before, err));
        TRY(watch_recover(w->q, err));
        if (strcmp(w->verdict.before, "running") != 0)
                return err_set(err, ERR_QEMU,
                               "the VM is %s: its guest writes to nothing",
                               w->verdict.before);
        return passes_new(w->options->log, w->options->spool_dir, &w->passes,
                          err);
}

bool watch_run(const struct watch_options *options, struct passes **out,
               struct err *err)
{
        struct watch w = {.options = options, .claim = -1};
        struct err failed = ERR_INIT;
        char line[1024];
        bool ok;

        verdict_init(&w.verdict, NULL);
        ok = prepare(&w, err);
        if (ok) {
                ok = watch(&w, err);
                if (!clean_up(&w, ok ? err : &failed) && !ok)
                        log_warn("%s", err_line(&failed, line, sizeof line));
                ok = ok && err->status == ERR_NONE;
        }
        verdict_fini(&w.verdict);
        qmp_close(w.q);
        cleanup_fd_(&w.claim);
        if (ok)
                *out = steal(w.passes);
        passes_free(w.passes);
        return ok;
}
