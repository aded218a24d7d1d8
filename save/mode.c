/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/mode.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/text.h"
#include "qemu/disks.h"
#include "qemu/identity.h"
#include "qemu/settings.h"

#define DOWNTIME_MS 300
/* From here on a background snapshot that is broken off leaves no guest that
 * waits for ever to write to a page. 7.2 does; between the two is untried. */
#define UNPROTECTS 100000
/* From here on precopy is sound under TCG, too. */
#define FORGETS_NOTHING 90000

const char *mode_name(enum live_mode mode)
{
        switch (mode) {
        case LIVE_PRECOPY:
                return "precopy";
        case LIVE_SNAPSHOT:
                return "background-snapshot";
        default:
                return "stopped";
        }
}

enum live_mode mode_parse(const char *word)
{
        if (!word)
                return LIVE_NO;
        if (strcmp(word, "precopy") == 0)
                return LIVE_PRECOPY;
        return *word ? LIVE_SNAPSHOT : LIVE_ANY;
}

/* ---- what stands against background-snapshot ----------------------------- */

struct reason {
        char text[700];
};

/* RAM would be that of the beginning, the disk that of no moment: QEMU gives no
 * sign between the two, and a guest that we stop for it would stay stopped if
 * we were killed. */
static bool writable_disk(const json_t *disks, struct reason *why)
{
        const json_t *disk;
        char shown[200];
        size_t i;

        json_array_foreach(disks, i, disk)
        {
                if (json_is_true(json_object_get(disk, "read_only")) &&
                    !json_object_get(disk, "stored"))
                        continue;
                text_escape(disk_name(disk), shown, sizeof shown);
                snprintf(why->text, sizeof why->text,
                         "disk %s can be written to or is to be stored, and a "
                         "background snapshot does not cut disks at the same "
                         "instant as RAM",
                         shown);
                return true;
        }
        return false;
}

static bool shared_memory(struct qmp *q, bool *found, struct reason *why,
                          struct err *err)
{
        json_auto_t *list = NULL;
        const json_t *backend;
        size_t i;

        *found = false;
        TRY(qmp_command(q, "query-memdev", NULL, &list, NULL, err));
        json_array_foreach(list, i, backend)
        {
                const char *id =
                        json_string_value(json_object_get(backend, "id"));
                char shown[200];

                if (!json_is_true(json_object_get(backend, "share")))
                        continue;
                text_escape(id ? id : "?", shown, sizeof shown);
                snprintf(why->text, sizeof why->text,
                         "memory backend %s is shared, and QEMU cannot protect "
                         "shared memory from writes",
                         shown);
                *found = true;
        }
        return true;
}

/* What can be known before QEMU is asked to do it. */
static bool find_obstacle(struct qmp *q, const json_t *disks, bool *found,
                          struct reason *why, struct err *err)
{
        bool known;

        *found = true;
        TRY(settings_know(q, "background-snapshot", &known, err));
        if (!known) {
                snprintf(why->text, sizeof why->text,
                         "QEMU %s has no background-snapshot (6.0 and later "
                         "have)",
                         qmp_version(q));
                return true;
        }
        if (qmp_version_number(q) < UNPROTECTS) {
                snprintf(why->text, sizeof why->text,
                         "QEMU %s freezes the guest for good if a background "
                         "snapshot is broken off, as it would be if this "
                         "process were killed (10.0 and later do not)",
                         qmp_version(q));
                return true;
        }
        if (writable_disk(disks, why))
                return true;
        return shared_memory(q, found, why, err);
}

/* QEMU's words, and what to do. */
static void explain(const struct err *failed, struct reason *why)
{
        const char *hint = "";

        if (strstr(failed->why, "host kernel"))
                hint = ": the kernel lacks write protection by userfaultfd, or "
                       "does not let QEMU use it (sysctl "
                       "vm.unprivileged_userfaultfd, /dev/userfaultfd)";
        else if (strstr(failed->why, "memory configuration"))
                hint = ": it can protect only anonymous memory that is not "
                       "shared (no files, no huge pages)";
        snprintf(why->text, sizeof why->text, "%s%s", failed->why, hint);
}

/* ---- setting QEMU up ----------------------------------------------------- */

static bool try_snapshot(struct qmp *q, const struct live_limits *limits,
                         const json_t *disks, bool *done, json_t **former_out,
                         struct reason *why, struct err *err)
{
        const struct settings s = {
                .capabilities = {"background-snapshot"},
                .downtime_ms = DOWNTIME_MS,
                .bandwidth = limits->bandwidth,
        };
        struct err failed = ERR_INIT;
        bool found;

        *done = false;
        TRY(find_obstacle(q, disks, &found, why, err));
        if (found)
                return true;
        *done = settings_apply(q, &s, former_out, &failed);
        if (*done)
                return true;
        if (failed.status != ERR_QEMU) {
                *err = failed;
                return false;
        }
        explain(&failed, why);
        return true;
}

static bool set_up_precopy(struct qmp *q, enum live_mode mode,
                           const struct live_limits *limits,
                           json_t **former_out, struct err *err)
{
        struct settings s = {
                .capabilities = {"return-path"},
                .downtime_ms = SETTINGS_AT_ONCE_MS,
                .bandwidth = limits->bandwidth,
                .channels = limits->channels,
                .compression = limits->zstd ? "zstd" : "none",
        };

        if (limits->channels)
                s.capabilities[1] = "multifd";
        if (mode == LIVE_PRECOPY)
                s.downtime_ms = limits->max_downtime_ms
                                        ? limits->max_downtime_ms
                                        : DOWNTIME_MS;
        return settings_apply(q, &s, former_out, err);
}

/* Up to 8.x QEMU forgets, under TCG, to watch the pages again that it has
 * noted as written to: what the guest writes after that is lost.  With the
 * guest stopped before RAM is looked through there is nothing to forget. */
static bool forgets_writes(struct qmp *q, const char *accelerator)
{
        return strcmp(accelerator, "tcg") == 0 &&
               qmp_version_number(q) < FORGETS_NOTHING;
}

static bool choose_precopy(struct qmp *q, enum live_mode wanted,
                           const struct live_limits *limits,
                           const struct mode_vm *vm, enum live_mode *mode_out,
                           json_t **former_out, struct err *err)
{
        *mode_out = LIVE_PRECOPY;
        if (!forgets_writes(q, vm->accelerator))
                return set_up_precopy(q, LIVE_PRECOPY, limits, former_out, err);
        if (wanted == LIVE_PRECOPY)
                return err_set(err, ERR_UNSUPPORTED,
                               "no precopy: under TCG, QEMU %s loses what the "
                               "guest writes meanwhile (9.0 and later, and "
                               "KVM, do not); without --live the guest stands "
                               "still and nothing is lost",
                               qmp_version(q));
        log_note("no precopy either: under TCG, QEMU %s loses what the guest "
                 "writes meanwhile; it is stopped",
                 qmp_version(q));
        *mode_out = LIVE_NO;
        return set_up_precopy(q, LIVE_NO, limits, former_out, err);
}

static bool choose_live(struct qmp *q, enum live_mode wanted,
                        const struct live_limits *limits,
                        const struct mode_vm *vm, enum live_mode *mode_out,
                        json_t **former_out, struct err *err)
{
        struct reason why = {""};
        bool done;

        TRY(try_snapshot(q, limits, vm->disks, &done, former_out, &why, err));
        *mode_out = LIVE_SNAPSHOT;
        if (done)
                return true;
        if (wanted == LIVE_SNAPSHOT)
                return err_set(err, ERR_UNSUPPORTED,
                               "no background snapshot: %s", why.text);
        log_note("no background snapshot, precopy instead: %s", why.text);
        return choose_precopy(q, wanted, limits, vm, mode_out, former_out, err);
}

/* Over several connections much of RAM has gone before QEMU first looks
 * whether it may stop its guest: it passes over it again and again, as in
 * precopy. */
static bool check_channels(struct qmp *q, const struct live_limits *limits,
                           const struct mode_vm *vm, struct err *err)
{
        if (!limits->channels || !forgets_writes(q, vm->accelerator) ||
            strcmp(vm->run_state, "running") != 0)
                return true;
        return err_set(err, ERR_UNSUPPORTED,
                       "no --multifd: under TCG, QEMU %s loses what a running "
                       "guest writes meanwhile (9.0 and later, and KVM, do "
                       "not)",
                       qmp_version(q));
}

bool mode_begin(struct qmp *q, enum live_mode wanted,
                const struct live_limits *limits, const struct mode_vm *vm,
                enum live_mode *mode_out, json_t **former_out, struct err *err)
{
        bool runs = strcmp(vm->run_state, "running") == 0;

        *mode_out = LIVE_NO;
        TRY(check_channels(q, limits, vm, err));
        if (wanted == LIVE_SNAPSHOT && !runs)
                return err_set(err, ERR_UNSUPPORTED,
                               "no background snapshot: the VM is %s",
                               vm->run_state);
        if (wanted != LIVE_NO && !runs)
                log_note("the VM is %s: there is nothing to keep running",
                         vm->run_state);
        if (wanted == LIVE_NO || !runs)
                return set_up_precopy(q, LIVE_NO, limits, former_out, err);
        if (wanted == LIVE_PRECOPY)
                return choose_precopy(q, wanted, limits, vm, mode_out,
                                      former_out, err);
        return choose_live(q, wanted, limits, vm, mode_out, former_out, err);
}
