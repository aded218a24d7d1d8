/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/order.h"

#include "base/limits.h"
#include "format/stasis_format.h"

#include <stdio.h>
#include <string.h>

static bool bad(struct err *err, const char *why)
{
        return err_set(err, ERR_CORRUPT, "%s", why);
}

bool order_is_segment(const char *name)
{
        return strncmp(name, MEMBER_SEGMENT, strlen(MEMBER_SEGMENT)) == 0;
}

static bool take_segment(struct order *o, const char *name, struct err *err)
{
        char expected[64];

        snprintf(expected, sizeof expected, MEMBER_SEGMENT "%06u", o->segments);
        if (strcmp(name, expected) != 0)
                return bad(err, "index segments are not numbered in sequence");
        o->segments++;
        return true;
}

bool order_take(struct order *o, const char *name, struct err *err)
{
        bool manifest = strcmp(name, MEMBER_MANIFEST) == 0;

        if (o->members >= LIMIT_MEMBERS)
                return err_set(err, ERR_LIMIT, "more than %d members",
                               LIMIT_MEMBERS);
        if (manifest != (o->members == 0))
                return bad(err, manifest ? "a second manifest"
                                         : "not a snapshot: its first member "
                                           "is not " MEMBER_MANIFEST);
        o->members++;
        if (order_is_segment(name))
                return take_segment(o, name, err);
        if (o->state)
                return bad(err, "a member behind " MEMBER_STATE);
        if (strcmp(name, MEMBER_INDEX) == 0 ||
            strcmp(name, MEMBER_TRAILER) == 0)
                return bad(err, "a member that only the end may have");
        o->state = strcmp(name, MEMBER_STATE) == 0;
        return true;
}

bool order_end(const struct order *o, struct err *err)
{
        if (o->state)
                return true;
        err_in_section(err, MEMBER_STATE);
        return bad(err, "missing");
}
