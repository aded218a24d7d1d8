/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/inquiry.h"

#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "qemu/settings.h"

/* Silences of 50 ms after which a sender that says it waits is believed. */
#define SILENCES 4
/* Between two questions of inquiry_tick, seconds. */
#define PERIOD          0.1
#define EXPECTED_MAX_MS 1e9

/* One question at a time: QEMU answers in its own. */
static bool ask(struct inquiry *i, struct err *err)
{
        static const char *const commands[] = {
                [INQUIRY_MIGRATION] = "query-migrate",
                [INQUIRY_STATUS] = "query-status",
                [INQUIRY_LIFT] = "migrate-set-parameters",
        };

        i->last = i->last == INQUIRY_MIGRATION ? INQUIRY_STATUS
                                               : INQUIRY_MIGRATION;
        i->asked = i->wants_lift && !i->lifted ? INQUIRY_LIFT : i->last;
        i->asked_at = clock_now();
        return qmp_send(i->q, commands[i->asked],
                        i->asked == INQUIRY_LIFT ? settings_lift() : NULL,
                        &i->question, err);
}

static bool heed_answer(struct inquiry *i, const json_t *answer,
                        struct err *err)
{
        const char *s = json_string_value(json_object_get(answer, "status"));
        const char *desc =
                json_string_value(json_object_get(answer, "error-desc"));
        const json_t *expected = json_object_get(answer, "expected-downtime");
        const json_t *ram = json_object_get(answer, "ram");
        char shown[400];

        if (ram)
                i->syncs = (unsigned)json_integer_value(
                        json_object_get(ram, "dirty-sync-count"));
        /* QEMU has a number without meaning, too, until it knows. */
        if (expected && json_number_value(expected) < EXPECTED_MAX_MS)
                i->expected_seconds = json_number_value(expected) / 1000;
        if (s && strcmp(s, "finish-migrate") == 0)
                i->silences = 1;
        if (!s || (strcmp(s, "failed") != 0 && strcmp(s, "cancelled") != 0))
                return true;
        text_escape(desc ? desc : "it gives no reason, its stderr may", shown,
                    sizeof shown);
        return err_set(err, ERR_QEMU, "QEMU's migration %s: %s", s, shown);
}

/* Its answer, if it has given one. */
static bool hear(struct inquiry *i, struct err *err)
{
        enum inquiry_question asked = i->asked;
        json_auto_t *answer = NULL;

        TRY(qmp_reply(i->q, i->question, 0, &answer, err));
        if (!answer)
                return true;
        i->asked = INQUIRY_NONE;
        if (asked != INQUIRY_LIFT)
                return heed_answer(i, answer, err);
        i->lifted = true;
        return true;
}

/* Has QEMU failed (it need not close the stream then), or does it wait for us?
 * It answers when its big lock is free, that is before it begins with the end
 * of the stream or when all of that is in the socket.  After the latter answer
 * and further silence nothing is left to come. */
bool inquiry_quiet(struct inquiry *i, bool *at_end, struct err *err)
{
        *at_end = false;
        if (i->silences > 0) {
                *at_end = i->silences++ > SILENCES;
                if (*at_end)
                        i->silences = 0;
                return true;
        }
        return i->asked == INQUIRY_NONE ? ask(i, err) : hear(i, err);
}

/* That the guest stands is of interest only once nothing comes. */
bool inquiry_tick(struct inquiry *i, struct err *err)
{
        bool ok = true;

        if (i->asked != INQUIRY_NONE)
                ok = hear(i, err);
        else if (clock_now() - i->asked_at > PERIOD)
                ok = ask(i, err);
        i->silences = 0;
        return ok;
}
