/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/examine.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"
#include "qemu/explain.h"
#include "qemu/identity.h"
#include "qemu/twin.h"
#include "restore/base.h"
#include "restore/probe.h"
#include "restore/rules.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct examine {
        int fd;
        const char *name;
        const struct examine_options *options;
        struct check *check;
        struct examination *out;
        struct state saved;
        struct view view;
        struct dump *dump; /* NULL: the binary does not say */
        struct twin twin;
};

static bool asked(struct examine *e, struct err *err)
{
        struct qmp *q = NULL;
        pid_t pid = 0;
        bool ok;

        ok = qmp_connect(e->options->qmp, 5000, &q, err) &&
             identity_pid(q, &pid, err) && view_ask(q, pid, &e->view, err);
        qmp_close(q);
        return ok;
}

/* ---- twins --------------------------------------------------------------- */

static bool tell_not_probed(struct examine *e, struct err *err)
{
        for (size_t i = 0; i < e->twin.not_probed_count; i++) {
                const char *what = e->twin.not_probed[i];

                TRY(check_add(e->check, "not-probed", REASON_WARNING, NULL,
                              NULL, what, err, "not in the twin: %s", what));
        }
        return true;
}

/* What cannot be probed is a result: nothing can be known of it. */
static bool not_probed(struct examine *e, struct err *why, struct err *err)
{
        char line[1536];

        /* A damaged file, or a limit, is no matter of the target's. */
        if (why->status != ERR_QEMU && why->status != ERR_MISMATCH &&
            why->status != ERR_IO) {
                *err = *why;
                return false;
        }
        return check_add(e->check, "not-probed", REASON_WARNING, NULL, NULL,
                         NULL, err, "the target cannot be probed: %s",
                         err_line(why, line, sizeof line));
}

static bool probe(struct examine *e, struct err *err)
{
        struct twin_options o = {.disk_size = probe_disk_size,
                                 .own_network = true};
        CLEANUP(dumping_fini) struct dumping dumping = DUMPING_INIT;

        TRY(twin_argv(e->options->command, &o, &e->twin, err));
        /* Two QEMUs start at the same time. */
        TRY(probe_dump_start(e->twin.argv, &dumping, err));
        TRY(probe_view(e->twin.argv, &e->view, err));
        e->view.lacks_devices = e->twin.lacks_devices;
        e->view.other_network = e->twin.no_offloads;
        return probe_dump_end(&dumping, &e->dump, err);
}

static bool probed(struct examine *e, struct err *err)
{
        struct err why = ERR_INIT;

        if (!probe(e, &why)) {
                view_fini(&e->view);
                return not_probed(e, &why, err);
        }
        e->out->probed = true;
        return tell_not_probed(e, err);
}

/* ---- the trial ----------------------------------------------------------- */

/* QEMU looks at these before it comes to a device. */
static bool refused_at_once(const struct check *c)
{
        static const char *const codes[] = {"machine-type", "architecture",
                                            "page-size",    "ram-missing",
                                            "ram-size",     "rom-size"};

        for (size_t i = 0; i < c->count; i++)
                for (size_t k = 0; k < sizeof codes / sizeof *codes; k++)
                        if (c->list[i].severity == REASON_REFUSED &&
                            strcmp(c->list[i].code, codes[k]) == 0)
                                return true;
        return false;
}

static bool has_refused(const struct check *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->list[i].severity == REASON_REFUSED)
                        return true;
        return false;
}

/* QEMU took it: what we held against it is told, but does not stop it. */
static void overruled(struct check *c)
{
        for (size_t i = 0; i < c->count; i++)
                if (c->list[i].severity == REASON_REFUSED)
                        c->list[i].severity = REASON_WARNING;
}

/* A twin's network has no offloads, whatever the target's has. */
static bool is_offload(const struct explanation *x)
{
        size_t len = strlen(x->device);

        return strcmp(x->code, "device-config") == 0 && len >= 10 &&
               strcmp(x->device + len - 10, "virtio-net") == 0;
}

/* A twin refused: for a reason that is known already, or for one that QEMU
 * alone knows. */
static bool refused(struct examine *e, const struct refusal *r, struct err *err)
{
        struct explanation x;

        snprintf(e->out->said, sizeof e->out->said, "%s", r->said);
        explain(r->said, r->section, &x);
        if (e->twin.no_offloads && is_offload(&x)) {
                e->out->tried = false;
                return check_add(e->check, "not-probed", REASON_WARNING,
                                 x.device, NULL, NULL, err,
                                 "%s: whether the target's network offers what "
                                 "the guest uses cannot be known from a twin",
                                 x.device);
        }
        if (has_refused(e->check) &&
            (check_find(e->check, x.code) || strcmp(x.code, "refused") == 0))
                return true;
        /* A device that differs in several ways is named once. */
        for (size_t i = 0; i < e->check->count; i++)
                if (e->check->list[i].severity == REASON_REFUSED &&
                    x.device[0] &&
                    strcmp(e->check->list[i].section, x.device) == 0)
                        return true;
        return check_add(e->check, x.code, REASON_REFUSED,
                         x.device[0] ? x.device : r->section, NULL, NULL, err,
                         "%s: %s%s%s", x.device[0] ? x.device : r->section,
                         x.cause, x.remedy[0] ? "; " : "", x.remedy);
}

/* Whether what QEMU says is what we hold against the target, too. */
static bool is_known(const struct check *c, const struct refusal *r)
{
        const struct reason *known;
        struct explanation x;

        explain(r->said, r->section, &x);
        known = check_find(c, x.code);
        return known && known->severity == REASON_REFUSED;
}

/*
 * A twin loads the device state.  On empty RAM first: that is quick, and most
 * devices do not look at RAM.  One that refuses gets all of RAM, unless both
 * know the same reason: then that is final.
 */
static bool load_twin(struct examine *e, struct refusal *r, struct err *err)
{
        const struct examine_options *o = e->options;

        TRY(probe_load(e->twin.argv, e->fd, e->name, false, o->threads,
                       o->spool_dir, r, err));
        return !r->section[0] || is_known(e->check, r) ||
               probe_load(e->twin.argv, e->fd, e->name, true, o->threads,
                          o->spool_dir, r, err);
}

static bool try_it(struct examine *e, struct err *err)
{
        struct err why = ERR_INIT;
        struct refusal r;

        if (!load_twin(e, &r, &why))
                return not_probed(e, &why, err);
        e->out->tried = true;
        if (r.section[0])
                return refused(e, &r, err);
        overruled(e->check);
        return true;
}

/* ---- disks --------------------------------------------------------------- */

static const char *base_of(const struct examine_options *o, const char *name)
{
        size_t len = strlen(name);

        for (unsigned i = 0; i < o->base_count; i++)
                if (strncmp(o->bases[i], name, len) == 0 &&
                    o->bases[i][len] == '=')
                        return o->bases[i] + len + 1;
        return NULL;
}

/* What is stored of a disk goes onto its base. */
static bool check_bases(struct examine *e, struct err *err)
{
        const json_t *state = e->saved.state;

        for (size_t i = 0; i < state_disks(state); i++) {
                struct disk_info d = state_disk(state, i);
                struct chain *chain = NULL;
                struct err why = ERR_INIT;
                char name[128];

                if (!d.overlay)
                        continue;
                text_escape(d.name, name, sizeof name);
                if (!base_open(&d, base_of(e->options, d.name), &chain, &why))
                        TRY(check_add(e->check, "base", REASON_WRONG, d.name,
                                      NULL, why.file, err, "disk %s: %s%s%s",
                                      name, why.file, why.file[0] ? ": " : "",
                                      why.why));
                chain_close(chain);
        }
        return true;
}

/* Appends the files of a chain, top first. */
static bool add_files(const struct twin_disk *d, json_t *chain, struct err *err)
{
        struct err ignored = ERR_INIT;
        struct chain *files = NULL;
        bool ok = true;

        if (!probe_disk(d->file, d->format, &files, &ignored))
                return json_array_append_new(chain, json_pack("{s:s}", "file",
                                                              d->file)) == 0 ||
                       err_nomem(err);
        for (size_t i = 0; ok && i < files->count; i++)
                ok = json_array_append_new(
                             chain, json_pack("{s:s}", "file",
                                              files->files[i].path)) == 0;
        chain_close(files);
        return ok || err_nomem(err);
}

/* The twin's disks stand for files of the target: those are compared. */
static bool name_files(struct examine *e, struct err *err)
{
        json_t *disk;
        size_t i;

        json_array_foreach(e->view.disks, i, disk)
        {
                const char *node = json_text(disk, "node");
                json_auto_t *chain = json_array();

                for (size_t k = 0; node && k < e->twin.disk_count; k++)
                        if (strcmp(e->twin.disks[k].node, node) == 0)
                                TRY(add_files(&e->twin.disks[k], chain, err));
                TRY(json_put(disk, "chain", json_incref(chain), err));
        }
        return true;
}

static bool check_all_disks(struct examine *e, struct err *err)
{
        if (e->out->probed)
                TRY(name_files(e, err));
        if (e->view.identity)
                TRY(check_disks(e->check, e->saved.state, &e->view, err));
        return check_bases(e, err);
}

/* ---- all of it ----------------------------------------------------------- */

static void conclude(struct examine *e)
{
        struct examination *out = e->out;

        if (has_refused(e->check))
                out->loads = LOADS_NO;
        else
                out->loads = out->tried ? LOADS_YES : LOADS_UNKNOWN;
}

static bool examine(struct examine *e, struct err *err)
{
        TRY(state_read(e->fd, e->name, &e->saved, err));
        TRY(rules_check(e->check, &e->saved.devices, e->options->rules,
                        e->options->strict ? REASON_WRONG : REASON_WARNING,
                        err));
        if (e->options->values_only)
                return true;
        TRY(e->options->qmp ? asked(e, err) : probed(e, err));
        if (e->view.identity) {
                TRY(check_machine(e->check, e->saved.manifest, &e->view, err));
                TRY(check_devices(e->check, &e->saved, &e->view, err));
                if (e->dump)
                        TRY(check_dump(e->check, &e->saved.devices, e->dump,
                                       err));
        }
        /* A twin that lacks devices would refuse their sections. */
        if (e->out->probed && !e->twin.lacks_devices &&
            !refused_at_once(e->check) &&
            (!e->options->restoring || has_refused(e->check)))
                TRY(try_it(e, err));
        /* After the trial, which knows nothing of the target's disks: its word
         * neither stands for theirs nor against it. */
        if (!e->options->restoring)
                TRY(check_all_disks(e, err));
        conclude(e);
        return true;
}

bool examine_run(int fd, const char *name,
                 const struct examine_options *options, struct check *c,
                 struct examination *out, struct err *err)
{
        struct examine e = {.fd = fd,
                            .name = name,
                            .options = options,
                            .check = c,
                            .out = out};
        struct stat st;
        bool ok;

        *out = (struct examination){0};
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
                err_in_file(err, name);
                return err_set(err, ERR_USAGE,
                               "what comes from a pipe cannot be looked at "
                               "before it is read: give a file");
        }
        ok = examine(&e, err);
        twin_fini(&e.twin);
        dump_free(e.dump);
        view_fini(&e.view);
        state_fini(&e.saved);
        return ok;
}
