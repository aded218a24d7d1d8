/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going on after a server's death.  (spec/lazy-restore.md, section 5) */
#include "restore/lazy_private.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/local.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* For QEMU to see that its source is gone. */
#define LOST_SECONDS 5
/* For an answer of QEMU's. */
#define ANSWER_MS 60000

/* QEMU may need a moment to see that its source is gone. */
static bool recover(struct lazy *l, struct err *err)
{
        double deadline = clock_now() + LOST_SECONDS;
        struct timespec pause = {.tv_nsec = 50 * 1000000};
        const char *path = session_socket(l->session);
        char uri[256];

        snprintf(uri, sizeof uri, "unix:%s", path);
        for (;;) {
                struct err refused = ERR_INIT;
                struct qmp_error qerr = {0};

                if (qmp_urgent(l->q, "migrate-recover",
                               json_pack("{s:s}", "uri", uri), &qerr, &refused))
                        return local_connect(path, &l->fd, err) ||
                               err_in_file(err, path);
                if (!qerr.class[0] || clock_now() > deadline) {
                        *err = refused;
                        return false;
                }
                if (progress_cancelled(err))
                        return false;
                nanosleep(&pause, NULL);
        }
}

static bool next_message(struct lazy *l, enum return_type want,
                         struct return_message *m, struct err *err)
{
        do {
                TRY(return_path_next(&l->back, ANSWER_MS, m, err));
                if (m->type == RETURN_NONE || m->type == RETURN_ENDED)
                        return err_set(err, ERR_QEMU,
                                       m->type == RETURN_NONE
                                               ? "QEMU does not answer"
                                               : "QEMU closed the connection");
        } while (m->type != want);
        return true;
}

/* What the target has, block by block. */
static bool ask_sent(struct lazy *l, struct err *err)
{
        const struct ram_blocks *ram = &l->devices->ram;

        for (unsigned i = 0; i < ram->count; i++) {
                uint8_t bytes[POSTCOPY_ASK_MAX];
                struct return_message m;
                uint64_t pages;
                uint8_t *sent = server_sent(l->server, i, &pages);
                struct emit e;

                emit_init(&e, bytes, sizeof bytes);
                postcopy_ask_bitmap(ram->blocks[i].name, &e);
                TRY(io_write_all(l->fd, bytes, e.len, "the target", err));
                TRY(next_message(l, RETURN_BITMAP, &m, err));
                if (strcmp(m.block, ram->blocks[i].name) != 0)
                        return err_set(err, ERR_QEMU,
                                       "QEMU answers for another RAMBlock");
                TRY(return_path_bits(&l->back, ANSWER_MS, sent, pages, err));
        }
        return true;
}

static bool go_on(struct lazy *l, struct err *err)
{
        uint8_t bytes[POSTCOPY_RESUME_SIZE];
        struct return_message m;
        struct emit e;

        emit_init(&e, bytes, sizeof bytes);
        postcopy_resume(&e);
        TRY(io_write_all(l->fd, bytes, e.len, "the target", err));
        return next_message(l, RETURN_RESUMED, &m, err);
}

static bool resume(struct lazy *l, struct reader *r, unsigned threads,
                   struct lazy_report *report, struct err *err)
{
        struct serve_counts c;

        TRY(lazy_name_blocks(l, err));
        TRY(session_host_pages(l->session, l->host_pages, l->devices->ram.count,
                               err));
        TRY(lazy_lay_out(l, r, err));
        TRY(session_adopt(l->session, &l->q, err));
        TRY(recover(l, err));
        TRY(lazy_make_server(l, threads, false, err));
        TRY(ask_sent(l, err));
        TRY(go_on(l, err));
        l->loaded = true;
        server_counts(l->server, &c);
        progress_phase(l->progress, "RAM resident", c.content_bytes);
        server_may_end(l->server);
        TRY(server_start(l->server, err));
        return lazy_finish(l, report, err);
}

bool lazy_resume(struct reader *reader, const struct state *saved, pid_t pid,
                 unsigned threads, struct progress *progress,
                 struct lazy_report *report, struct err *err)
{
        struct lazy l = {
                .devices = &saved->devices,
                .progress = progress,
                .begun = clock_now(),
                .fd = -1,
        };
        bool ok;

        *report = (struct lazy_report){0};
        TRY(session_find(lazy_id(reader), pid, &l.session, err));
        l.pid = session_pid(l.session);
        ok = resume(&l, reader, threads, report, err);
        lazy_fini(&l);
        qmp_close(l.q);
        session_free(l.session);
        return ok;
}
