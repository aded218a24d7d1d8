/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device sections of a snapshot against those that the target would send.
 *
 * QEMU finds a section by name and instance and refuses one that it has no
 * device for; a device for which nothing comes stays as it was at power-on,
 * and QEMU does not notice.
 */
#include "restore/check.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "format/manifest.h"
#include "qemu/fields.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool has_path(const char *idstr)
{
        return strchr(idstr, '/') != NULL;
}

/* Sections that each CPU has one of. */
static bool is_of_cpu(const char *idstr)
{
        static const char *const names[] = {"cpu", "cpu_common", "apic",
                                            "kvm-apic", "kvm-tpr-opt"};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(idstr, names[i]) == 0)
                        return true;
        return false;
}

static const char *title(const struct device_section *s, char out[400])
{
        char shown[320];

        text_escape(s->idstr, shown, sizeof shown);
        if (s->instance_id)
                snprintf(out, 400, "%s (instance %" PRIu32 ")", shown,
                         s->instance_id);
        else
                snprintf(out, 400, "%s", shown);
        return out;
}

struct match {
        const struct devices *snapshot, *target;
        bool incomplete;    /* target has devices that are not among them */
        bool other_network; /* and network cards of fewer queues          */
        bool *taken;        /* of target's: it has its counterpart */
};

static const struct device_section *
moved_to(const struct match *m, const struct device_section *s, size_t *at)
{
        for (size_t i = 0; i < m->target->count; i++) {
                const struct device_section *t = &m->target->list[i];

                if (m->taken[i] || !has_path(t->idstr) ||
                    strcmp(device_class(t->idstr), device_class(s->idstr)) !=
                            0 ||
                    devices_find(m->snapshot, t->idstr, t->instance_id))
                        continue;
                *at = i;
                return t;
        }
        return NULL;
}

/* What the target has at the address of s; NULL: nothing. */
static const struct device_section *in_its_place(const struct match *m,
                                                 const struct device_section *s)
{
        size_t len = (size_t)(device_class(s->idstr) - s->idstr);

        for (size_t i = 0; len > 0 && i < m->target->count; i++) {
                const struct device_section *t = &m->target->list[i];

                if (strncmp(t->idstr, s->idstr, len) == 0 &&
                    !strchr(t->idstr + len, '/'))
                        return t;
        }
        return NULL;
}

static bool missing(struct check *c, struct match *m,
                    const struct device_section *s, struct err *err)
{
        const struct device_section *t = NULL;
        char name[400], other[400];
        size_t at = 0;

        if (is_of_cpu(s->idstr))
                return check_find(c, "cpu-count") ||
                       check_add(c, "cpu-count", REASON_REFUSED, s->idstr,
                                 s->idstr, NULL, err,
                                 "the target has no CPU for section %s: give "
                                 "it the same -smp",
                                 title(s, name));
        if (has_path(s->idstr))
                t = moved_to(m, s, &at);
        if (t) {
                m->taken[at] = true;
                return check_add(c, "device-moved", REASON_REFUSED, s->idstr,
                                 s->idstr, t->idstr, err,
                                 "%s is at another address in the target: %s",
                                 title(s, name), title(t, other));
        }
        if (m->incomplete)
                return check_add(c, "not-probed", REASON_WARNING, s->idstr,
                                 s->idstr, NULL, err,
                                 "whether the target has %s cannot be known "
                                 "from a twin that lacks devices",
                                 title(s, name));
        t = in_its_place(m, s);
        return check_add(c, "device-missing", REASON_REFUSED, s->idstr,
                         s->idstr, t ? t->idstr : NULL, err,
                         "the target has no %s%s%s", title(s, name),
                         t ? "; there it has " : "", t ? title(t, other) : "");
}

/* ---- the same device ----------------------------------------------------- */

/* The first PCI configuration space of a section. */
struct config {
        const uint8_t *bytes;
        size_t len;
};

static bool find_config(void *arg, const struct field *f, struct err *err)
{
        struct config *out = arg;

        (void)err;
        if (!out->bytes && strcmp(f->type, "pci config") == 0 &&
            (f->size == 256 || f->size == 4096)) {
                out->bytes = f->bytes;
                out->len = f->size;
        }
        return true;
}

static struct config config_of(const struct device_section *s)
{
        struct err ignored = ERR_INIT;
        struct config out = {0};

        if (s->vmdesc)
                fields_decode(s->vmdesc, s->payload, s->len, find_config, &out,
                              &ignored);
        return out;
}

/* Where a capability begins; 0: there is none. */
static unsigned capability(const uint8_t *config, unsigned id)
{
        unsigned at = config[0x34] & ~3U;

        for (int i = 0; at >= 0x40 && at < 0xfc && i < 48; i++) {
                if (config[at] == id)
                        return at;
                at = config[at + 1] & ~3U;
        }
        return 0;
}

/* Bytes that no guest can write and that QEMU therefore compares (pci_init_mask
 * and pci_add_capability in hw/pci/pci.c). */
static const struct {
        unsigned offset, len;
        const char *what;
} fixed[] = {
        {0x00, 2, "vendor"},      {0x02, 2, "device id"},
        {0x08, 1, "revision"},    {0x09, 3, "class"},
        {0x0e, 1, "header type"}, {0x34, 1, "first capability"},
};

static unsigned word(const uint8_t *p)
{
        return p[0] | (unsigned)p[1] << 8;
}

static bool differ(struct check *c, const struct device_section *s,
                   const char *what, unsigned a, unsigned b, struct err *err)
{
        char name[400], x[48], y[48];

        snprintf(x, sizeof x, "%s %#x", what, a);
        snprintf(y, sizeof y, "%s %#x", what, b);
        return check_add(c, "device-config", REASON_REFUSED, s->idstr, x, y,
                         err,
                         "%s has other properties in the target: PCI %s is "
                         "%#x in the snapshot, %#x there",
                         title(s, name), what, a, b);
}

static bool compare_config(struct check *c, const struct device_section *s,
                           const struct device_section *t, struct err *err)
{
        struct config a = config_of(s), b = config_of(t);
        unsigned x, y;

        if (!a.bytes || !b.bytes)
                return true;
        if (a.len != b.len)
                return differ(c, s, "configuration bytes", (unsigned)a.len,
                              (unsigned)b.len, err);
        for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
                unsigned o = fixed[i].offset;

                if (memcmp(a.bytes + o, b.bytes + o, fixed[i].len) != 0)
                        return differ(c, s, fixed[i].what, word(a.bytes + o),
                                      word(b.bytes + o), err);
        }
        x = capability(a.bytes, 0x11);
        y = capability(b.bytes, 0x11);
        if (!x != !y)
                return differ(c, s, "MSI-X capability", x, y, err);
        if (!x)
                return true;
        x = (word(a.bytes + x + 2) & 0x7ff) + 1;
        y = (word(b.bytes + y + 2) & 0x7ff) + 1;
        return x == y || differ(c, s, "number of MSI-X vectors (queues, -smp)",
                                x, y, err);
}

static bool compare(struct check *c, const struct match *m,
                    const struct device_section *s,
                    const struct device_section *t, struct err *err)
{
        char name[400], a[16], b[16];

        if (s->version_id > t->version_id) {
                snprintf(a, sizeof a, "%" PRIu32, s->version_id);
                snprintf(b, sizeof b, "%" PRIu32, t->version_id);
                return check_add(c, "device-version", REASON_REFUSED, s->idstr,
                                 a, b, err,
                                 "%s has version %s in the snapshot, the "
                                 "target's QEMU knows up to %s: use a newer "
                                 "QEMU",
                                 title(s, name), a, b);
        }
        if (s->live || t->live ||
            (m->other_network &&
             strcmp(device_class(s->idstr), "virtio-net") == 0))
                return true;
        return compare_config(c, s, t, err);
}

/* Sections of QEMU itself, and of what is behind a device: a guest has none of
 * them, and which are sent depends on more than on the machine (globalstate, up
 * to machine types 2.3: on the run state). */
static bool is_no_device(const char *idstr)
{
        static const char *const names[] = {"globalstate", "slirp", "audio"};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (strcmp(idstr, names[i]) == 0)
                        return true;
        return false;
}

static bool extra(struct check *c, const struct device_section *t,
                  struct err *err)
{
        char name[400];

        if (is_no_device(t->idstr))
                return true;
        if (is_of_cpu(t->idstr))
                return check_find(c, "cpu-count") ||
                       check_add(c, "cpu-count", REASON_WRONG, t->idstr, NULL,
                                 t->idstr, err,
                                 "the target has a CPU more, for section %s",
                                 title(t, name));
        return check_add(c, "device-extra", REASON_WRONG, t->idstr, NULL,
                         t->idstr, err,
                         "the target has %s, the snapshot has not: it would "
                         "stay as at power-on",
                         title(t, name));
}

static bool compare_all(struct check *c, struct match *m, struct err *err)
{
        const struct devices *a = m->snapshot, *b = m->target;

        for (size_t i = 0; i < a->count; i++) {
                const struct device_section *t = devices_find(
                        b, a->list[i].idstr, a->list[i].instance_id);

                if (t)
                        m->taken[t - b->list] = true;
        }
        for (size_t i = 0; i < a->count; i++) {
                const struct device_section *s = &a->list[i],
                                            *t = devices_find(b, s->idstr,
                                                              s->instance_id);

                /* What is live comes only with a capability. */
                if (t || !s->live)
                        TRY(t ? compare(c, m, s, t, err)
                              : missing(c, m, s, err));
        }
        for (size_t i = 0; i < b->count; i++)
                if (!m->taken[i] && !b->list[i].live)
                        TRY(extra(c, &b->list[i], err));
        return true;
}

/* ---- against what a binary knows ----------------------------------------- */

struct dump_run {
        struct check *check;
        const struct device_section *section;
        struct err *err;
        bool ok;
};

static void tell_dump(void *arg, const struct dump_finding *f)
{
        struct dump_run *r = arg;
        char name[400], vmsd[200], field[200], src[120], dst[120];

        /* Names are not on the wire, and 0 bytes of padding no matter. */
        if (!r->ok || f->kind == DUMP_MACHINE || f->kind == DUMP_FIELD_OTHER ||
            f->kind == DUMP_PADDING || f->kind == DUMP_PART_MISSING)
                return;
        text_escape(f->vmsd, vmsd, sizeof vmsd);
        text_escape(f->field, field, sizeof field);
        r->ok = check_add(r->check, dump_code(f->kind), REASON_REFUSED,
                          r->section->idstr, f->src, f->dst, r->err,
                          "%s: %s%s%s%s%s: %s in the snapshot%s%s",
                          title(r->section, name), dump_words(f->kind),
                          vmsd[0] ? ", " : "", vmsd, field[0] ? "." : "", field,
                          text_escape(f->src, src, sizeof src),
                          f->dst[0] ? ", the target's QEMU has " : "",
                          text_escape(f->dst, dst, sizeof dst));
}

bool check_dump(struct check *c, const struct devices *d,
                const struct dump *dump, struct err *err)
{
        for (size_t i = 0; i < d->count; i++) {
                const struct device_section *s = &d->list[i];
                struct dump_run r = {
                        .check = c, .section = s, .err = err, .ok = true};
                const char *vmsd = json_string_value(
                        json_object_get(s->vmdesc, "vmsd_name"));

                if (vmsd)
                        dump_check(dump, vmsd, s->vmdesc, tell_dump, &r);
                TRY(r.ok);
        }
        return true;
}

/* ---- what the stream has and the target expects -------------------------- */

static bool compare_stream(struct check *c, const struct devices *s,
                           const struct devices *t, struct err *err)
{
        char a[16], b[16];

        if (s->page_size && t->page_size && s->page_size != t->page_size) {
                snprintf(a, sizeof a, "%" PRIu32, s->page_size);
                snprintf(b, sizeof b, "%" PRIu32, t->page_size);
                TRY(check_add(c, "page-size", REASON_REFUSED, "configuration",
                              a, b, err,
                              "target pages have %s bytes in the snapshot, %s "
                              "in the target",
                              a, b));
        }
        if (!s->config.machine[0] != !t->config.machine[0])
                TRY(check_add(
                        c, "machine-type", REASON_REFUSED, "configuration",
                        s->config.machine, t->config.machine, err,
                        "%s names its machine type in the stream, %s "
                        "does not (types up to 2.3)",
                        s->config.machine[0] ? "the snapshot" : "the target",
                        s->config.machine[0] ? "the target" : "the snapshot"));
        if (s->footers != t->footers)
                TRY(check_add(c, "machine-type", REASON_REFUSED, NULL, NULL,
                              NULL, err,
                              "one of snapshot and target has section footers, "
                              "the other has not (types up to 2.3)"));
        return true;
}

/* ---- by address alone ---------------------------------------------------- */

/* "04.0" of "0000:00:04.0/virtio-blk"; "" when it is no PCI device's. */
static const char *pci_path(const char *idstr, char out[200])
{
        size_t len = strcspn(idstr, "/");
        unsigned domain, bus, slot, function;
        int n = 0;

        out[0] = '\0';
        if (idstr[len] != '/' ||
            sscanf(idstr, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &function,
                   &n) != 4 ||
            domain != 0 || (size_t)n > len || len >= 200 + 8)
                return out;
        snprintf(out, 200, "%.*s", (int)(len - 8), idstr + 8);
        return out;
}

static bool has_function(const json_t *list, const char *path)
{
        const json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
        {
                if (strcmp(json_string_value(item), path) == 0)
                        return true;
        }
        return false;
}

static bool check_addresses(struct check *c, const struct devices *d,
                            const json_t *pci, struct err *err)
{
        char path[200], name[400];

        for (size_t i = 0; i < d->count; i++) {
                const struct device_section *s = &d->list[i];

                pci_path(s->idstr, path);
                if (!path[0] || has_function(pci, path))
                        continue;
                TRY(check_add(c, "device-missing", REASON_REFUSED, s->idstr,
                              s->idstr, NULL, err,
                              "the target has no PCI device at the address of "
                              "%s",
                              title(s, name)));
        }
        return true;
}

/* ---- devices of one section ----------------------------------------------
 */

/* More is no VM, and each is compared with all. */
#define TYPES_MAX 4096

static size_t count_type(const json_t *list, const char *type)
{
        const json_t *device;
        size_t i, n = 0;

        json_array_foreach(list, i, device)
        {
                const char *t = json_text(device, "type");

                n += t && strcmp(t, type) == 0;
        }
        return n;
}

/* The first type that a has more of than b. */
static const char *more_of(const json_t *a, const json_t *b)
{
        const json_t *device;
        size_t i;

        json_array_foreach(a, i, device)
        {
                const char *t = json_text(device, "type");

                if (t && count_type(a, t) > count_type(b, t))
                        return t;
        }
        return NULL;
}

/* A mouse loads the state of a tablet: their sections bear one name.  Where
 * sections tell of a difference, that is said already. */
static bool compare_types(struct check *c, const json_t *manifest,
                          const json_t *identity, struct err *err)
{
        const json_t *a = json_at(manifest, "devices"),
                     *b = json_at(identity, "devices");
        const char *was, *is;
        char x[120], y[120];

        if (!a || !b || json_array_size(a) > TYPES_MAX ||
            json_array_size(b) > TYPES_MAX)
                return true;
        was = more_of(a, b);
        is = more_of(b, a);
        if (!was || !is || check_find(c, "device-missing") ||
            check_find(c, "device-extra") || check_find(c, "device-moved"))
                return true;
        return check_add(c, "device-config", REASON_WARNING, NULL, was, is, err,
                         "the snapshot was of a VM with a %s, the target has "
                         "a %s instead, and QEMU does not tell them apart",
                         text_escape(was, x, sizeof x),
                         text_escape(is, y, sizeof y));
}

/* Capabilities that the stream names; a restore has them off in its target. */
static bool check_capabilities(struct check *c, const struct devices *d,
                               struct err *err)
{
        if (d->config.ignore_shared)
                TRY(check_add(c, "capability", REASON_REFUSED, "configuration",
                              "x-ignore-shared", NULL, err,
                              "the stream was made with the capability "
                              "x-ignore-shared: shared memory is not in it"));
        return !d->config.mapped_ram ||
               check_add(c, "capability", REASON_REFUSED, "configuration",
                         "mapped-ram", NULL, err,
                         "the stream was made with the capability mapped-ram");
}

bool check_devices(struct check *c, const struct state *s, const struct view *v,
                   struct err *err)
{
        struct match m = {.snapshot = &s->devices,
                          .target = &v->devices,
                          .incomplete = v->lacks_devices,
                          .other_network = v->other_network};
        bool ok;

        TRY(check_capabilities(c, &s->devices, err));
        if (!v->have_devices)
                return !v->pci || check_addresses(c, &s->devices, v->pci, err);
        m.taken = calloc(v->devices.count + 1, sizeof *m.taken);
        if (!m.taken)
                return err_nomem(err);
        ok = compare_stream(c, &s->devices, &v->devices, err) &&
             compare_all(c, &m, err) &&
             compare_types(c, s->manifest, v->identity, err);
        free(m.taken);
        return ok;
}
