/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/inquiry.h"

#include <string.h>

#include "base/text.h"

/* Silences of 50 ms after which a sender that says it waits is believed. */
#define SILENCES 4

/* The answers to the two questions of inquiry_quiet, in turn. */
static bool heed_answer(struct inquiry *i, const json_t *answer,
                        struct err *err)
{
        const char *s = json_string_value(json_object_get(answer, "status"));
        const char *desc =
                json_string_value(json_object_get(answer, "error-desc"));
        char shown[400];

        if (s && strcmp(s, "finish-migrate") == 0)
                i->silences = 1;
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
bool inquiry_quiet(struct inquiry *i, bool *at_end, struct err *err)
{
        json_auto_t *answer = NULL;

        *at_end = false;
        if (i->silences > 0) {
                *at_end = i->silences++ > SILENCES;
                if (*at_end)
                        i->silences = 0;
                return true;
        }
        if (!i->asked) {
                i->asked = true;
                i->asks_migration = !i->asks_migration;
                return qmp_send(i->q,
                                i->asks_migration ? "query-migrate"
                                                  : "query-status",
                                NULL, &i->question, err);
        }
        TRY(qmp_reply(i->q, i->question, 0, &answer, err));
        if (!answer)
                return true;
        i->asked = false;
        return heed_answer(i, answer, err);
}
