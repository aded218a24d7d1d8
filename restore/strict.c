/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/strict.h"

#include "base/text.h"
#include "qemu/fields.h"

#include <inttypes.h>
#include <string.h>

static bool count_field(void *arg, const struct field *f, struct err *err)
{
        struct strict_report *out = arg;

        (void)f;
        (void)err;
        out->fields++;
        return true;
}

/* A device may have a part that was saved while the guest ran beside its own
 * section (vfio). */
static bool is_repeated(const struct devices *d, const struct device_section *s)
{
        for (const struct device_section *e = d->list; e < s; e++)
                if (!e->live && e->instance_id == s->instance_id &&
                    strcmp(e->idstr, s->idstr) == 0)
                        return true;
        return false;
}

static bool check(const struct devices *d, const struct device_section *s,
                  struct strict_report *out, struct err *err)
{
        const json_t *version;
        bool ok;

        out->sections++;
        if (is_repeated(d, s))
                return err_set(err, ERR_CORRUPT,
                               "this section comes a second time");
        if (d->ram_ended && !s->early && s->number < d->ram_end)
                return err_set(err, ERR_CORRUPT,
                               "device state before the end of RAM");
        version = json_object_get(s->vmdesc, "version");
        if (json_is_integer(version) &&
            json_integer_value(version) != s->version_id)
                return err_set(err, ERR_CORRUPT,
                               "version %" PRIu32
                               ", but another one is described",
                               s->version_id);
        if (!s->vmdesc || !fields_described(s->vmdesc)) {
                out->undescribed++;
                return true;
        }
        ok = fields_decode(s->vmdesc, s->payload, s->len, count_field, out,
                           err);
        if (ok || err->status != ERR_UNSUPPORTED)
                return ok;
        err_clear(err);
        out->undescribed++;
        return true;
}

bool strict_check(const struct devices *d, struct strict_report *out,
                  struct err *err)
{
        char shown[320];

        *out = (struct strict_report){0};
        for (size_t i = 0; i < d->count; i++) {
                const struct device_section *s = &d->list[i];

                if (s->live || check(d, s, out, err))
                        continue;
                err_in_section(err, text_escape(s->idstr, shown, sizeof shown));
                return false;
        }
        return true;
}
