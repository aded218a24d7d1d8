/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/check.h"

#include "base/log.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char forcible[] = CHECK_FORCIBLE;

static const char *const severities[] = {
        [REASON_REFUSED] = "QEMU refuses",
        [REASON_WRONG] = "QEMU would not notice",
        [REASON_WARNING] = "warning",
};

static bool is_forcible(const char *code)
{
        size_t len = strlen(code);

        if (strchr(code, ' '))
                return false;
        for (const char *p = strstr(forcible, code); p && len;
             p = strstr(p + 1, code))
                if ((p == forcible || p[-1] == ' ') &&
                    (p[len] == ' ' || !p[len]))
                        return true;
        return false;
}

bool check_init(struct check *c, const char *const *forced, unsigned count,
                const struct restored_disks *restored, struct err *err)
{
        *c = (struct check){
                .forced = forced, .forced_count = count, .restored = restored};
        for (unsigned i = 0; i < count; i++)
                if (!is_forcible(forced[i]))
                        return err_set(err, ERR_USAGE,
                                       "--force: '%s' is no reason that can be "
                                       "overridden (%s)",
                                       forced[i], forcible);
        return true;
}

void check_fini(struct check *c)
{
        free(c->list);
        c->list = NULL;
        c->count = 0;
}

static bool is_forced(const struct check *c, const char *code)
{
        for (unsigned i = 0; i < c->forced_count; i++)
                if (strcmp(c->forced[i], code) == 0)
                        return true;
        return false;
}

bool check_add(struct check *c, const char *code, enum severity severity,
               const char *section, const char *snapshot, const char *target,
               struct err *err, const char *fmt, ...)
{
        struct reason *r;
        va_list ap;

        /* Grows at powers of two. */
        if ((c->count & (c->count - 1)) == 0) {
                size_t room = c->count ? 2 * c->count : 1;
                struct reason *grown = realloc(c->list, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                c->list = grown;
        }
        r = &c->list[c->count++];
        *r = (struct reason){.code = code,
                             .severity = severity,
                             .forced = is_forced(c, code)};
        text_escape(section ? section : "", r->section, sizeof r->section);
        text_escape(snapshot ? snapshot : "", r->snapshot, sizeof r->snapshot);
        text_escape(target ? target : "", r->target, sizeof r->target);
        va_start(ap, fmt);
        vsnprintf(r->message, sizeof r->message, fmt, ap);
        va_end(ap);
        return true;
}

static bool stands(const struct reason *r, enum severity severity)
{
        return !r->forced && r->severity <= severity;
}

bool check_clear(const struct check *c, enum severity severity)
{
        for (size_t i = 0; i < c->count; i++)
                if (stands(&c->list[i], severity))
                        return false;
        return true;
}

const struct reason *check_find(const struct check *c, const char *code)
{
        for (size_t i = 0; i < c->count; i++)
                if (strcmp(c->list[i].code, code) == 0)
                        return &c->list[i];
        return NULL;
}

void check_log(struct check *c)
{
        for (; c->logged < c->count; c->logged++) {
                const struct reason *r = &c->list[c->logged];

                if (r->forced && r->severity != REASON_WARNING)
                        log_warn("%s: %s (overridden by --force=%s)", r->code,
                                 r->message, r->code);
                else if (r->severity == REASON_WRONG)
                        log_warn("%s: %s (%s)", r->code, r->message,
                                 severities[r->severity]);
                else
                        log_warn("%s: %s", r->code, r->message);
        }
}

/* The code that overrides all that stands; NULL: none does. */
static const char * override(const struct check *c)
{
        const char *code = NULL;

        for (size_t i = 0; i < c->count; i++) {
                const struct reason *r = &c->list[i];

                if (!stands(r, REASON_WRONG))
                        continue;
                if (!is_forcible(r->code) || (code && strcmp(code, r->code)))
                        return NULL;
                code = r->code;
        }
        return code;
}

bool check_verdict(struct check *c, struct err *err)
{
        const char *code = override(c);
        const struct reason *first = NULL;
        unsigned standing = 0;

        check_log(c);
        for (size_t i = 0; i < c->count; i++) {
                if (!stands(&c->list[i], REASON_WRONG))
                        continue;
                if (standing++ == 0)
                        first = &c->list[i];
        }
        if (standing == 0)
                return true;
        if (standing > 1)
                return err_set(err, ERR_MISMATCH,
                               "does not fit the target, for the %u reasons "
                               "above%s%s",
                               standing, code ? "; overridden by --force=" : "",
                               code ? code : "");
        return err_set(err, ERR_MISMATCH, "does not fit the target: %s%s%s",
                       first->message, code ? "; overridden by --force=" : "",
                       code ? code : "");
}
