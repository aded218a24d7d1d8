/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our end of the connection is closed before anything is asked of QEMU on a
 * way out: while QEMU sends, it may hold its big lock, and it would answer
 * nothing until somebody reads.
 */
#include "save/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/emit.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "qemu/identity.h"
#include "qemu/return_path.h"
#include "qemu/settings.h"

/* For QEMU to be done with a migration that has ended, flushing disks. */
#define SETTLE_SECONDS 60
#define QUIT_SECONDS   60

void verdict_init(struct verdict *v, struct qmp *q)
{
        *v = (struct verdict){.q = q, .stream = -1};
}

static void hang_up(struct verdict *v)
{
        if (v->stream < 0)
                return;
        shutdown(v->stream, SHUT_RDWR);
        close(steal_fd(&v->stream));
}

void verdict_fini(struct verdict *v)
{
        hang_up(v);
        json_decref(v->former);
        v->former = NULL;
}

static void note_event(struct verdict *v, json_t *event)
{
        const char *name = json_string_value(json_object_get(event, "event"));
        json_int_t seconds = 0, micro = 0;

        json_unpack(event, "{s:{s:I,s:I}}", "timestamp", "seconds", &seconds,
                    "microseconds", &micro);
        if (name && strcmp(name, "STOP") == 0)
                v->stopped_at = (double)seconds + (double)micro / 1e6;
        else if (name && strcmp(name, "RESUME") == 0)
                v->resumed_at = (double)seconds + (double)micro / 1e6;
}

bool verdict_watch(struct verdict *v, int ms, struct err *err)
{
        for (;;) {
                json_auto_t *event = NULL;

                TRY(qmp_event(v->q, ms, &event, err));
                if (!event)
                        return true;
                note_event(v, event);
                ms = 0;
        }
}

static bool is_over(const struct verdict *v)
{
        static const char *const over[] = {"failed", "completed", "cancelled",
                                           "none"};

        if (strcmp(v->after, "finish-migrate") == 0)
                return false;
        for (size_t i = 0; i < sizeof over / sizeof *over; i++)
                if (strcmp(v->status, over[i]) == 0)
                        return true;
        return false;
}

bool verdict_settle(struct verdict *v, struct err *err)
{
        double deadline = clock_now() + SETTLE_SECONDS;

        while (clock_now() <= deadline) {
                json_auto_t *m = NULL;
                const char *s;

                TRY(qmp_command(v->q, "query-migrate", NULL, &m, NULL, err));
                s = json_string_value(json_object_get(m, "status"));
                snprintf(v->status, sizeof v->status, "%s", s ? s : "none");
                s = json_string_value(json_object_get(m, "error-desc"));
                text_escape(s ? s : "", v->desc, sizeof v->desc);
                v->downtime =
                        json_number_value(json_object_get(m, "downtime")) /
                        1000;
                TRY(identity_run_state(v->q, v->after, sizeof v->after, err));
                if (is_over(v))
                        return true;
                TRY(verdict_watch(v, 20, err));
        }
        return err_set(err, ERR_QEMU,
                       "QEMU does not end the migration (%s, VM %s)", v->status,
                       v->after);
}

/* A guest that ran runs again, by QEMU's doing.  Only a migration leads to
 * postmigrate, so that is undone; any other state is somebody's will, and a
 * guest that did not run is never run. */
static bool back_to_before(struct verdict *v, struct err *err)
{
        bool ran = strcmp(v->before, "running") == 0;

        if (strcmp(v->after, v->before) == 0)
                return true;
        if (ran && strcmp(v->after, "postmigrate") == 0) {
                log_warn("QEMU left the VM %s: it is continued", v->after);
                TRY(qmp_command(v->q, "cont", NULL, NULL, NULL, err));
                return identity_run_state(v->q, v->after, sizeof v->after, err);
        }
        if (strcmp(v->after, "postmigrate") == 0)
                log_warn("the VM was %s and is now %s: QEMU %s knows no way "
                         "back. It has not run; `cont` would run it, and until "
                         "then it cannot be saved again",
                         v->before, v->after, qmp_version(v->q));
        else
                log_warn(
                        "the VM was %s and is now %s, not by this save's doing",
                        v->before, v->after);
        return true;
}

bool verdict_put_back(struct verdict *v, struct err *err)
{
        bool ok = !v->former || settings_put_back(v->q, v->former, err);

        json_decref(v->former);
        v->former = NULL;
        return ok;
}

bool verdict_refuse(struct verdict *v, struct err *err)
{
        bool ok;

        if (v->given)
                return true;
        v->given = true;
        hang_up(v);
        qmp_steadfast(v->q, true);
        ok = verdict_settle(v, err) && back_to_before(v, err);
        return verdict_put_back(v, err) && ok;
}

bool verdict_let_end(struct verdict *v, struct err *err)
{
        bool ok;

        v->given = true;
        qmp_steadfast(v->q, true);
        ok = verdict_settle(v, err);
        hang_up(v);
        if (ok && strcmp(v->status, "completed") != 0)
                ok = err_set(err, ERR_QEMU, "background snapshot %s: %s",
                             v->status, v->desc);
        return verdict_put_back(v, err) && ok;
}

/* The monitor closes when QEMU ends. */
static bool await_exit(struct verdict *v, struct err *err)
{
        double deadline = clock_now() + QUIT_SECONDS;
        struct err gone = ERR_INIT;

        while (clock_now() < deadline) {
                if (!verdict_watch(v, 1000, &gone))
                        return true;
        }
        return err_set(err, ERR_QEMU, "QEMU does not quit");
}

static bool send_shut(struct verdict *v, struct err *err)
{
        uint8_t message[8];
        struct emit e;

        emit_init(&e, message, sizeof message);
        emit_u16be(&e, RETURN_SHUT);
        emit_u16be(&e, 4);
        emit_u32be(&e, 0);
        return io_write_all(v->stream, message, e.len, "QEMU", err);
}

bool verdict_confirm(struct verdict *v, struct err *err)
{
        struct err failed = ERR_INIT;

        v->given = true;
        qmp_steadfast(v->q, true);
        TRY(send_shut(v, err));
        TRY(verdict_settle(v, err));
        if (strcmp(v->status, "completed") == 0)
                return true;
        back_to_before(v, &failed);
        verdict_put_back(v, &failed);
        return err_set(err, ERR_QEMU,
                       "QEMU did not hand the VM over (%s %s): it is %s",
                       v->status, v->desc, v->after);
}

bool verdict_quit(struct verdict *v, struct err *err)
{
        json_auto_t *ignored = NULL;

        /* It may be gone before it has answered. */
        if (!qmp_command(v->q, "quit", NULL, &ignored, NULL,
                         &(struct err)ERR_INIT))
                return true;
        return await_exit(v, err);
}

double verdict_pause(const struct verdict *v)
{
        if (v->stopped_at > 0 && v->resumed_at > v->stopped_at)
                return v->resumed_at - v->stopped_at;
        return 0;
}
