/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/preflight.h"

#include <string.h>

#include "base/text.h"
#include "qemu/identity.h"

/* From here on QEMU saves a suspended guest without waking it. */
#define KEEPS_SUSPENDED 90000

/* How long a migration that just failed may take to be over: the one of a
 * save that was killed a moment ago. */
#define SETTLE_MS 5000

static const struct {
        const char *state, *why;
} refused_states[] = {
        {"inmigrate",
         "it waits for an incoming migration and has no state yet"},
        {"preconfig", "it has not been set up yet"},
        {"postmigrate",
         "QEMU migrates no VM that an earlier migration or save has left like "
         "this; `cont` runs it, then it can be saved"},
        {"finish-migrate", "a migration is under way"},
        {"save-vm", "savevm is under way"},
        {"restore-vm", "loadvm is under way"},
        {"colo", "it is one half of a COLO pair"},
};

static bool check_state(struct qmp *q, const char *state, struct err *err)
{
        for (size_t i = 0; i < sizeof refused_states / sizeof *refused_states;
             i++)
                if (strcmp(state, refused_states[i].state) == 0)
                        return err_set(err, ERR_QEMU, "the VM is %s: %s", state,
                                       refused_states[i].why);
        if (strcmp(state, "suspended") == 0 &&
            qmp_version_number(q) < KEEPS_SUSPENDED)
                return err_set(err, ERR_QEMU,
                               "the VM is suspended: QEMU %s would wake the "
                               "guest to save it; wake it yourself "
                               "(system_wakeup) first",
                               qmp_version(q));
        return true;
}

static bool is_over(const char *status)
{
        static const char *const over[] = {"none", "completed", "failed",
                                           "cancelled"};

        for (size_t i = 0; i < sizeof over / sizeof *over; i++)
                if (strcmp(status, over[i]) == 0)
                        return true;
        return !status[0];
}

static bool check_blockers(const json_t *migration, struct err *err)
{
        const json_t *reasons = json_object_get(migration, "blocked-reasons");
        const char *first = json_string_value(json_array_get(reasons, 0));
        size_t count = json_array_size(reasons);
        char shown[300];

        if (!first)
                return true;
        text_escape(first, shown, sizeof shown);
        if (count == 1)
                return err_set(err, ERR_QEMU, "the VM cannot be saved: %s",
                               shown);
        return err_set(err, ERR_QEMU,
                       "the VM cannot be saved: %s (and %zu more reasons)",
                       shown, count - 1);
}

static bool check_migration(struct qmp *q, struct err *err)
{
        char status[64];

        for (int waited = 0;; waited += 50) {
                json_auto_t *m = NULL, *event = NULL;
                const char *s;

                TRY(qmp_command(q, "query-migrate", NULL, &m, NULL, err));
                s = json_string_value(json_object_get(m, "status"));
                text_escape(s ? s : "", status, sizeof status);
                if (is_over(status))
                        return check_blockers(m, err);
                if (waited >= SETTLE_MS)
                        return err_set(err, ERR_QEMU,
                                       "a migration is under way (%s)", status);
                TRY(qmp_event(q, 50, &event, err));
        }
}

static bool check_jobs(struct qmp *q, const char *query, const char *id_key,
                       struct err *err)
{
        json_auto_t *jobs = NULL;
        const json_t *job;
        char id[128], type[64];
        size_t i;

        TRY(qmp_ask(q, query, NULL, &jobs, err));
        json_array_foreach(jobs, i, job)
        {
                const char *status =
                        json_string_value(json_object_get(job, "status"));
                const char *s;

                if (status && (strcmp(status, "concluded") == 0 ||
                               strcmp(status, "null") == 0))
                        continue;
                s = json_string_value(json_object_get(job, id_key));
                text_escape(s ? s : "?", id, sizeof id);
                s = json_string_value(json_object_get(job, "type"));
                text_escape(s ? s : "job", type, sizeof type);
                return err_set(err, ERR_QEMU,
                               "job %s (%s) is under way: QEMU cannot migrate "
                               "then; wait for it or cancel it",
                               id, type);
        }
        return true;
}

bool preflight(struct qmp *q, char *state, size_t size, struct err *err)
{
        /* First: a migration that is about to fail leaves another state. */
        TRY(check_migration(q, err));
        TRY(identity_run_state(q, state, size, err));
        TRY(check_state(q, state, err));
        TRY(check_jobs(q, "query-block-jobs", "device", err));
        return check_jobs(q, "query-jobs", "id", err);
}
