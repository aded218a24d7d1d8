/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * soak: round after round, the state of a running VM is saved, loaded into a
 * twin, saved again by that, and compared.  What a device does not get back is
 * what a restore would lose.  The same with a snapshot, as it is.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "format/manifest.h"
#include "qemu/identity.h"
#include "qemu/twin.h"
#include "restore/diff.h"
#include "restore/probe.h"
#include "save/live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMES_DEFAULT 10
#define GREETING_MS   5000
/* Different fields that are told; a device that is lost altogether has more. */
#define FINDINGS_MAX 1000
#define VALUE_TEXT   (FIELD_TEXT + 40)

struct options {
        const char *qmp, *spool;
        unsigned times, threads;
        int progress;
        bool json;
};

static const struct option table[] = {
        {
                .name = "qmp",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, qmp),
                .value = "SOCK",
                .help = "the monitor of the VM, which goes on",
        },
        {
                .name = "times",
                .kind = OPTION_COUNT,
                .offset = offsetof(struct options, times),
                .value = "N",
                .help = "so many rounds (default: 10)",
                .max = 1000000,
        },
        CMD_OPTION_THREADS(struct options),
        CMD_OPTION_SPOOL(struct options),
        CMD_OPTION_PROGRESS(struct options),
        CMD_OPTION_JSON(struct options),
        {0},
};

/*
 * What differs although nothing is lost.  to: of the field's bytes only those
 * from `from` on and before it; 0: all of it.
 */
static const struct {
        const char *device, *field;
        size_t from, to;
} expected[] = {
        /* The twin's own run state: it has never run. */
        {"globalstate", "runstate", 0, 0},
        {"globalstate", "size", 0, 0},
        /* The real-time clock goes by the host's: seconds to year, what it has
         * to tell, when it does next. */
        {"mc146818rtc", "cmos_data", 0, 10},
        {"mc146818rtc", "cmos_data", 12, 13},
        {"mc146818rtc", "update_timer", 0, 0},
        /* Of a request to be repeated; there is none as long as the unit is
         * -1, and QEMU then loads no more of it (hw/ide/pci.c). */
        {"ide", "bmdma[0].migration_retry_sector_num", 0, 0},
        {"ide", "bmdma[0].migration_retry_nsector", 0, 0},
        {"ide", "bmdma[1].migration_retry_sector_num", 0, 0},
        {"ide", "bmdma[1].migration_retry_nsector", 0, 0},
};

struct finding {
        char device[320], field[400], was[VALUE_TEXT], is[VALUE_TEXT];
        unsigned rounds; /* in which it was so */
        unsigned last;
};

struct soak {
        const struct options *options;
        const char *file;     /* a snapshot instead of a VM, or NULL   */
        char *const *command; /* then: of the QEMU that shall take it  */
        char *qmp, *spool;    /* owned; absolute, or NULL              */
        char dir[400], path[460];
        struct twin twin;
        struct progress *progress;
        unsigned round;
        struct finding *list; /* owned */
        size_t count;
};

/* ---- findings ------------------------------------------------------------ */

/* Whether byte i of the field may differ. */
static bool may_differ(const char *class, const char *path, size_t i)
{
        for (size_t e = 0; e < sizeof expected / sizeof *expected; e++)
                if (strcmp(expected[e].device, class) == 0 &&
                    strcmp(expected[e].field, path) == 0 &&
                    (expected[e].to == 0 ||
                     (i >= expected[e].from && i < expected[e].to)))
                        return true;
        return false;
}

static bool is_expected(const char *idstr, const struct difference *d)
{
        const struct field *a = d->field[0], *b = d->field[1];
        const char *class = device_class(idstr);

        if (!a || !b || a->size != b->size)
                return false;
        for (size_t i = 0; i < a->size; i++)
                if (a->bytes[i] != b->bytes[i] &&
                    !may_differ(class, a->path, i))
                        return false;
        return true;
}

/* Of bytes, from the first that differs on. */
static void show_value(const struct field *f, const struct field *other,
                       char out[VALUE_TEXT])
{
        char text[FIELD_TEXT];
        struct field rest;
        size_t at = 0;

        if (!f) {
                snprintf(out, VALUE_TEXT, "nothing");
                return;
        }
        rest = *f;
        if (other && f->kind == FIELD_BYTES && other->kind == FIELD_BYTES)
                while (at < f->size && at < other->size &&
                       f->bytes[at] == other->bytes[at])
                        at++;
        rest.bytes += at;
        rest.size -= at;
        field_text(&rest, text);
        if (at > 0)
                snprintf(out, VALUE_TEXT, "from byte %zu on %s", at, text);
        else
                snprintf(out, VALUE_TEXT, "%s", text);
}

static bool found(struct soak *s, const char *device, const char *field,
                  const struct field *was, const struct field *is,
                  struct err *err)
{
        struct finding *f;

        for (size_t i = 0; i < s->count; i++) {
                f = &s->list[i];
                if (strcmp(f->device, device) || strcmp(f->field, field))
                        continue;
                f->rounds += f->last != s->round;
                f->last = s->round;
                return true;
        }
        if (s->count == FINDINGS_MAX)
                return true;
        f = realloc(s->list, (s->count + 1) * sizeof *f);
        if (!f)
                return err_nomem(err);
        s->list = f;
        f = &s->list[s->count++];
        *f = (struct finding){.rounds = 1, .last = s->round};
        snprintf(f->device, sizeof f->device, "%s", device);
        snprintf(f->field, sizeof f->field, "%s", field);
        show_value(was, is, f->was);
        show_value(is, was, f->is);
        return true;
}

static bool visit(void *arg, const struct difference *d, struct err *err)
{
        const struct device_section *section =
                d->section[0] ? d->section[0] : d->section[1];
        const struct field *field = d->field[0] ? d->field[0] : d->field[1];
        char device[320], path[400];

        if (!section)
                return true;
        text_escape(section->idstr, device, sizeof device);
        if (section->instance_id) {
                size_t len = strlen(device);

                snprintf(device + len, sizeof device - len, " %" PRIu32,
                         section->instance_id);
        }
        if (!field)
                return found(arg, device,
                             d->section[0] ? "(the whole section is gone)"
                                           : "(a section that was not there)",
                             NULL, NULL, err);
        if (is_expected(section->idstr, d))
                return true;
        return found(arg, device, text_escape(field->path, path, sizeof path),
                     d->field[0], d->field[1], err);
}

/* ---- a round ------------------------------------------------------------- */

/* As the first save recorded it.  words_out: owned, its strings are not. */
static bool recorded_words(const json_t *manifest, char ***words_out,
                           struct err *err)
{
        const json_t *argv = json_at(manifest, "vm.argv"), *arg;
        char **words;
        size_t i;

        if (json_array_size(argv) == 0)
                return err_set(err, ERR_QEMU,
                               "the VM's command line is not to be seen: run "
                               "as its user, in its PID namespace");
        words = calloc(json_array_size(argv) + 1, sizeof *words);
        if (!words)
                return err_nomem(err);
        json_array_foreach(argv, i, arg)
        {
                words[i] = (char *)(uintptr_t)json_string_value(arg);
        }
        *words_out = words;
        return true;
}

static bool make_twin(struct soak *s, const json_t *manifest, struct err *err)
{
        struct twin_options o = {.disk_size = probe_disk_size,
                                 .own_network = true};
        CLEANUP_FREE char **recorded = NULL;

        if (s->twin.argv)
                return true;
        if (!s->command)
                TRY(recorded_words(manifest, &recorded, err));
        TRY(twin_argv(s->command ? s->command : recorded, &o, &s->twin, err));
        for (size_t i = 0; i < s->twin.not_probed_count; i++)
                log_warn("the twin is without %s", s->twin.not_probed[i]);
        return true;
}

static bool compare(struct soak *s, int fd, const struct state *was,
                    struct err *err)
{
        struct diff_options o = {.visit = visit, .arg = s};
        struct devices is = {0};
        struct refusal refusal;
        bool ok, equal;

        TRY(probe_again(s->twin.argv, fd, s->file ? s->file : s->path,
                        cmd_threads(s->options->threads), s->options->spool,
                        &refusal, &is, err));
        if (refusal.section[0])
                return found(s, refusal.section, "(the twin refuses to load)",
                             NULL, NULL, err);
        ok = diff_device_states(&was->devices, &is, &o, &equal, err);
        devices_fini(&is);
        return ok;
}

static bool round_of(struct soak *s, struct err *err)
{
        struct live_options o = {
                .qmp = s->options->qmp,
                .compress = true,
                .level = -1,
                .threads = cmd_threads(s->options->threads),
                .spool_dir = s->options->spool,
                .force = true,
        };
        CLEANUP(state_fini) struct state was = {0};
        const char *path = s->file ? s->file : s->path;
        struct live_report report;
        CLEANUP_FD int fd = -1;

        if (!s->file)
                TRY(live_save(s->path, &o, &report, err));
        TRY(io_open_read(path, &fd, err));
        TRY(state_read(fd, path, &was, err));
        return make_twin(s, was.manifest, err) && compare(s, fd, &was, err);
}

/* ---- the report ---------------------------------------------------------- */

static json_t *describe(const struct soak *s)
{
        json_t *list = json_array();

        for (size_t i = 0; i < s->count; i++) {
                const struct finding *f = &s->list[i];

                json_array_append_new(
                        list,
                        json_pack("{s:s, s:s, s:s, s:s, s:i}", "device",
                                  f->device, "field", f->field, "was", f->was,
                                  "is", f->is, "rounds", (int)f->rounds));
        }
        return json_pack("{s:i, s:b, s:o}", "rounds", (int)s->round, "survives",
                         s->count == 0, "findings", list);
}

static void print(const struct soak *s)
{
        for (size_t i = 0; i < s->count; i++) {
                const struct finding *f = &s->list[i];

                printf("%s: %s: %s -> %s (%u of %u rounds)\n", f->device,
                       f->field, f->was, f->is, f->rounds, s->round);
        }
        if (s->count == 0)
                printf("%u rounds: all device state survives\n", s->round);
}

static bool run_rounds(struct soak *s, struct err *err)
{
        unsigned times = s->options->times ? s->options->times : TIMES_DEFAULT;

        progress_phase(s->progress, "rounds", times);
        while (s->round < times) {
                s->round++;
                TRY(round_of(s, err));
                /* What a save warns of has been said. */
                log_set_sink(NULL, NULL);
                TRY(progress_add(s->progress, 1, err));
        }
        return true;
}

/* The VM's command line means paths from where its QEMU was started: that
 * becomes our directory; what we were given ourselves becomes absolute. */
static bool enter_directory(struct soak *s, struct options *o, struct err *err)
{
        struct qmp *q = NULL;
        char cwd[64];
        pid_t pid = 0;
        bool ok;

        ok = qmp_connect(o->qmp, GREETING_MS, &q, err) &&
             identity_pid(q, &pid, err);
        qmp_close(q);
        TRY(ok);
        s->qmp = realpath(o->qmp, NULL);
        if (!s->qmp)
                return err_os(err, errno, "%s", o->qmp);
        o->qmp = s->qmp;
        if (o->spool) {
                s->spool = realpath(o->spool, NULL);
                if (!s->spool)
                        return err_os(err, errno, "%s", o->spool);
                o->spool = s->spool;
        }
        snprintf(cwd, sizeof cwd, "/proc/%ld/cwd", (long)pid);
        if (pid && chdir(cwd) != 0)
                log_note("the VM's working directory is closed to us: a path "
                         "in its command line that is not absolute is not "
                         "found");
        return true;
}

static bool soak(struct options *o, const struct operands *operands,
                 struct soak *s, struct err *err)
{
        bool ok;

        s->file = operands->count > 0 ? operands->items[0] : NULL;
        s->command = operands->command;
        if (!o->qmp == !s->file || !s->file != !s->command)
                return err_set(err, ERR_USAGE,
                               "give --qmp SOCK, or FILE -- CMD...");
        s->options = o;
        if (o->qmp)
                TRY(enter_directory(s, o, err));
        snprintf(s->dir, sizeof s->dir, "%s/stasis-soak-XXXXXX",
                 o->spool ? o->spool : "/var/tmp");
        if (!mkdtemp(s->dir)) {
                err_in_file(err, s->dir);
                return err_os(err, errno, "cannot be made");
        }
        snprintf(s->path, sizeof s->path, "%s/round.stasis", s->dir);
        ok = progress_new(o->progress, &s->progress, err) && run_rounds(s, err);
        progress_free(s->progress);
        unlink(s->path);
        rmdir(s->dir);
        /* Of rounds that were cut short the findings are worth as much. */
        if (!ok && s->count == 0)
                return false;
        if (o->json)
                return cmd_print_json(describe(s), err) && ok;
        print(s);
        return cmd_flush(err) && ok;
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct operands operands;
        struct err err = ERR_INIT;
        struct soak s = {0};
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        code = soak(&o, &operands, &s, &err) ? s.count > 0
                                             : cmd_fail(self, &err);
        twin_fini(&s.twin);
        free(s.list);
        free(s.qmp);
        free(s.spool);
        return code;
}

static const char *const examples[] = {
        "stasis soak --qmp /run/web01.qmp --times 200",
        "stasis soak --times 1 web01.stasis -- qemu-system-x86_64 -M pc ...",
        NULL,
};

const struct command cmd_soak = {
        .name = "soak",
        .summary = "save and load a live VM again and again, and compare",
        .usage = "[OPTION...] --qmp SOCK | FILE -- CMD...",
        .examples = examples,
        .options = table,
        .operands_min = 0,
        .operands_max = 1,
        .takes_command = true,
        .run = run,
};
