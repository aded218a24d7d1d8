/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd/save_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "cmd/common.h"

/* Passes that the line names one by one. */
#define NAMED_MAX 6

static bool add_live(json_t *j, const struct live_report *r, struct err *err)
{
        TRY(json_put(j, "mode", json_string(mode_name(r->mode)), err));
        TRY(json_put(j, "waste_bytes",
                     json_integer((json_int_t)r->capture.waste_bytes), err));
        if (r->mode == LIVE_NO)
                return true;
        TRY(json_put(j, "qemu_downtime_seconds",
                     r->downtime > 0 ? json_real(r->downtime) : json_null(),
                     err));
        if (!r->passes)
                return true;
        TRY(json_put(j, "passes", passes_json(r->passes), err));
        TRY(json_put(j, "workload", passes_workload(r->passes), err));
        return json_put(j, "max_passes_reached", json_boolean(r->lifted), err);
}

bool save_report_print(const struct live_report *r, struct err *err)
{
        const struct capture_report *c = &r->capture;
        json_t *j = json_pack(
                "{s:s, s:s, s:o, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id",
                r->id, "run_state_before", r->before, "run_state_after",
                r->after[0] ? json_string(r->after) : json_null(),
                "stopped_seconds", r->stopped_seconds, "stream_bytes",
                (json_int_t)c->stream_bytes, "snapshot_bytes",
                (json_int_t)c->snapshot_bytes, "ram_bytes",
                (json_int_t)c->ram_bytes, "zero_bytes",
                (json_int_t)c->zero_bytes, "pages_again",
                (json_int_t)c->pages_again, "disks", (json_int_t)r->disks,
                "disk_bytes", (json_int_t)r->disk_bytes);

        if (j && !add_live(j, r, err)) {
                json_decref(j);
                return false;
        }
        return cmd_print_json(j, err) && cmd_flush(err);
}

/* "3 passes (1000, 20, 3 pages)" */
static void tell_passes(const struct passes *p, char *out, size_t size)
{
        unsigned n = passes_count(p);
        int at = snprintf(out, size, ", %u passes (", n);

        for (unsigned i = 1; i <= n; i++) {
                if (n > NAMED_MAX && i == NAMED_MAX / 2 + 1) {
                        at += snprintf(out + at, size - (size_t)at, "..., ");
                        i = n - NAMED_MAX / 2 + 1;
                }
                at += snprintf(out + at, size - (size_t)at, "%" PRIu64 "%s",
                               passes_pages(p, i), i < n ? ", " : "");
        }
        snprintf(out + at, size - (size_t)at, " pages)");
}

void save_report_note(const struct live_report *r)
{
        char passes[300] = "", pause[100] = "", downtime[100] = "";

        if (r->mode == LIVE_NO)
                return;
        if (r->passes)
                tell_passes(r->passes, passes, sizeof passes);
        /* One that has moved elsewhere does not go on here. */
        if (r->stopped_seconds > 0)
                snprintf(pause, sizeof pause,
                         ": the guest stood still for %.1f ms",
                         r->stopped_seconds * 1000);
        if (r->downtime > 0)
                snprintf(downtime, sizeof downtime, " (QEMU: %s %.1f ms)",
                         r->mode == LIVE_PRECOPY ? "expected" : "downtime",
                         r->downtime * 1000);
        log_note("saved live, %s%s%s%s", mode_name(r->mode), passes, pause,
                 downtime);
}
