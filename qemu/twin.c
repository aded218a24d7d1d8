/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table holds the options of QEMU 5.2 to 11.1 for all targets
 * (qemu-options.hx).  Not in it, and so refused: what ends QEMU at once
 * (-version), options whose effect is in another file (-readconfig) or came
 * from elsewhere (--preconfig), and Xen's.
 *
 * Where an option is left out, another default may come to life: what stands
 * for a dropped back end must still say that there is one.
 */
#include "qemu/twin.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include "qemu/twin_private.h"

#define MAX_NOT_PROBED 1000

static making_fn keep, drop, filter, set, graphics_off;

struct option {
        const char *name;
        bool takes_arg;
        making_fn *make;
};

static const struct option options[] = {
        /* The machine. */
        {"M", true, filter},
        {"accel", true, filter},
        {"acpitable", true, keep},
        {"bios", true, keep},
        {"boot", true, keep},
        {"cpu", true, keep},
        {"dtb", true, keep},
        {"enable-kvm", false, keep},
        {"fw_cfg", true, keep},
        {"g", true, keep},
        {"global", true, keep},
        {"icount", true, filter},
        {"initrd", true, keep},
        {"kernel", true, keep},
        {"append", true, keep},
        {"L", true, keep},
        {"m", true, keep},
        {"machine", true, filter},
        {"name", true, filter},
        {"no-acpi", false, keep},
        {"no-fd-bootchk", false, keep},
        {"no-hpet", false, keep},
        {"nodefaults", false, keep},
        {"nographic", false, graphics_off},
        {"numa", true, keep},
        {"old-param", false, keep},
        {"one-insn-per-tb", false, keep},
        {"option-rom", true, keep},
        {"overcommit", true, filter},
        {"prom-env", true, keep},
        {"rtc", true, keep},
        {"seed", true, keep},
        {"semihosting", false, keep},
        {"semihosting-config", true, keep},
        {"set", true, set},
        {"shim", true, keep},
        {"singlestep", false, keep},
        {"smbios", true, keep},
        {"smp", true, keep},
        {"tb-size", true, keep},
        {"usb", false, keep},
        {"uuid", true, keep},
        {"vga", true, keep},
        {"watchdog", true, keep},
        {"win2k-hack", false, keep},

        /* How it behaves; without meaning for one that never runs. */
        {"action", true, keep},
        {"k", true, keep},
        {"msg", true, keep},
        {"no-reboot", false, keep},
        {"no-shutdown", false, keep},
        {"sandbox", true, keep},
        {"watchdog-action", true, keep},

        /* Devices, and what is behind them. */
        {"audio", true, make_audio},
        {"audiodev", true, make_audiodev},
        {"chardev", true, make_chardev},
        {"debugcon", true, make_line},
        {"device", true, make_device},
        {"fsdev", true, make_fsdev},
        {"net", true, make_net},
        {"netdev", true, make_netdev},
        {"nic", true, make_nic},
        {"object", true, make_object},
        {"parallel", true, make_line},
        {"serial", true, make_line},
        {"soundhw", true, make_soundhw},
        {"tpmdev", true, drop},
        {"usbdevice", true, make_usbdevice},
        {"virtfs", true, make_virtfs},

        /* Disks. */
        {"blockdev", true, make_blockdev},
        {"cdrom", true, make_disk_file},
        {"drive", true, make_drive},
        {"fda", true, make_disk_file},
        {"fdb", true, make_disk_file},
        {"hda", true, make_disk_file},
        {"hdb", true, make_disk_file},
        {"hdc", true, make_disk_file},
        {"hdd", true, make_disk_file},
        {"iscsi", true, drop},
        {"mtdblock", true, make_disk_file},
        {"pflash", true, make_disk_file},
        {"sd", true, make_disk_file},
        {"snapshot", false, drop},

        /* The host's: monitors, displays, files, limits, users. */
        {"D", true, drop},
        {"S", false, drop},
        {"add-fd", true, drop},
        {"alt-grab", false, drop},
        {"async-teardown", false, drop},
        {"chroot", true, drop},
        {"compat", true, drop},
        {"ctrl-grab", false, drop},
        {"curses", false, drop},
        {"d", true, drop},
        {"daemonize", false, drop},
        {"dfilter", true, drop},
        {"display", true, drop},
        {"echr", true, drop},
        {"enable-fips", false, drop},
        {"enable-sync-profile", false, drop},
        {"full-screen", false, drop},
        {"gdb", true, drop},
        {"incoming", true, drop},
        {"jitdump", false, drop},
        {"loadvm", true, drop},
        {"mem-path", true, drop},
        {"mem-prealloc", false, drop},
        {"mon", true, drop},
        {"monitor", true, drop},
        {"no-quit", false, drop},
        {"no-user-config", false, drop}, /* always given */
        {"only-migratable", false, drop},
        {"perfmap", false, drop},
        {"pidfile", true, drop},
        {"plugin", true, drop},
        {"portrait", false, drop},
        {"qmp", true, drop},
        {"qmp-pretty", true, drop},
        {"qtest", true, drop},
        {"qtest-log", true, drop},
        {"realtime", true, drop},
        {"rotate", true, drop},
        {"run-with", true, drop},
        {"runas", true, drop},
        {"s", false, drop},
        {"sdl", false, drop},
        {"show-cursor", false, drop},
        {"spice", true, drop},
        {"trace", true, drop},
        {"vnc", true, drop},
        {"writeconfig", true, drop},
};

static const struct option *find_option(const char *word)
{
        if (word[0] != '-' || !word[1])
                return NULL;
        word += word[1] == '-' ? 2 : 1;
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
                if (strcmp(options[i].name, word) == 0)
                        return &options[i];
        return NULL;
}

/* ---- what handlers use --------------------------------------------------- */

bool making_add(struct making *m, const char *word, struct err *err)
{
        char **grown = reallocarray(m->twin->argv, m->argc + 2, sizeof *grown);

        if (!grown)
                return err_nomem(err);
        m->twin->argv = grown;
        grown[m->argc + 1] = NULL;
        grown[m->argc] = strdup(word);
        if (!grown[m->argc])
                return err_nomem(err);
        m->argc++;
        return true;
}

bool making_option(struct making *m, const char *name, const char *arg,
                   struct err *err)
{
        char dashed[64];

        snprintf(dashed, sizeof dashed, "-%s", name);
        return making_add(m, dashed, err) && (!arg || making_add(m, arg, err));
}

bool making_pairs(struct making *m, const char *name, const struct pairs *p,
                  struct err *err)
{
        CLEANUP_FREE char *text = pairs_text(p);

        return text ? making_option(m, name, text, err) : err_nomem(err);
}

bool making_missing(struct making *m, const char *name, const char *arg,
                    const char *why, struct err *err)
{
        struct twin *t = m->twin;
        char whole[400], (*grown)[128];

        if (t->not_probed_count == MAX_NOT_PROBED)
                return err_set(err, ERR_LIMIT, "too many devices of the host");
        snprintf(whole, sizeof whole, "-%s %.200s%s%s", name, arg,
                 why ? ": " : "", why ? why : "");
        grown = reallocarray(t->not_probed, t->not_probed_count + 1,
                             sizeof *grown);
        if (!grown)
                return err_nomem(err);
        t->not_probed = grown;
        t->lacks_devices |= !why;
        text_escape(whole, grown[t->not_probed_count++], sizeof *grown);
        return true;
}

bool making_has(const struct making *m, const char *name)
{
        for (char *const *w = m->words; *w; w++) {
                const struct option *o = find_option(*w);

                if (o && strcmp(o->name, name) == 0)
                        return true;
                if (o && o->takes_arg && w[1])
                        w++;
        }
        return false;
}

bool making_match(const char *const *patterns, const char *word)
{
        for (; *patterns; patterns++) {
                size_t n = strlen(*patterns);

                if (n > 0 && (*patterns)[n - 1] == '*' &&
                    strncmp(*patterns, word, n - 1) == 0)
                        return true;
                if (strcmp(*patterns, word) == 0)
                        return true;
        }
        return false;
}

/* ---- simple options ------------------------------------------------------ */

static bool keep(struct making *m, const char *name, const char *arg,
                 struct err *err)
{
        return making_option(m, name, arg, err);
}

static bool drop(struct making *m, const char *name, const char *arg,
                 struct err *err)
{
        (void)m;
        (void)name;
        (void)arg;
        (void)err;
        return true;
}

/* Without its redirection of lines to the console. */
static bool graphics_off(struct making *m, const char *name, const char *arg,
                         struct err *err)
{
        (void)name;
        (void)arg;
        return making_option(m, "machine", "graphics=off", err);
}

/* Keys that reach out are left out. */
static const struct filter {
        const char *option;
        const char *implied;
        const char *keep[3]; /* only these; none: all but those in drop */
        const char *drop[4];
} filters[] = {
        {"M", "type", {NULL}, {"dumpdtb"}},
        {"machine", "type", {NULL}, {"dumpdtb"}},
        {"accel", "accel", {NULL}, {"rapl", "rapl-helper-socket"}},
        {"icount", "shift", {NULL}, {"rr", "rrfile", "rrsnapshot"}},
        {"name", "guest", {"guest"}, {NULL}},
        {"overcommit", NULL, {"cpu-pm"}, {NULL}},
};

static bool filter(struct making *m, const char *name, const char *arg,
                   struct err *err)
{
        const struct filter *f = filters;
        struct pairs p;
        bool ok;

        while (strcmp(f->option, name) != 0)
                f++;
        ok = pairs_parse(arg, f->implied, &p, err);
        if (ok && f->keep[0])
                pairs_keep(&p, f->keep);
        else if (ok)
                pairs_drop(&p, f->drop);
        if (ok && p.count > 0)
                ok = making_pairs(m, name, &p, err);
        pairs_fini(&p);
        return ok;
}

/* It edits other options; only those of devices are still what they were. */
static bool set(struct making *m, const char *name, const char *arg,
                struct err *err)
{
        if (strncmp(arg, "device.", 7) != 0)
                return err_set(err, ERR_MISMATCH, "not of a device");
        return making_option(m, name, arg, err);
}

/* ---- the command line ---------------------------------------------------- */

static bool is_qemu(const char *word)
{
        const char *slash = strrchr(word, '/');

        if (slash)
                word = slash + 1;
        return strncmp(word, "qemu", 4) == 0 || strcmp(word, "kvm") == 0;
}

/*
 * How many words start QEMU: one, or more with a loader (ld.so
 * --library-path DIR qemu-system-x86_64) or a launcher (taskset 3 qemu-kvm).
 * A QEMU of another name is the first word.
 */
static size_t count_start(char *const *argv)
{
        if (is_qemu(argv[0]))
                return 1;
        for (size_t i = 1; argv[i] && !find_option(argv[i]); i++) {
                if (strcmp(argv[i], "--argv0") == 0 && argv[i + 1])
                        i++;
                else if (is_qemu(argv[i]) && argv[i][0] != '-')
                        return i + 1;
        }
        return 1;
}

static bool refuse(const char *word, struct err *err)
{
        char shown[200];

        return err_set(err, ERR_MISMATCH,
                       "a twin of this command cannot be made: %s",
                       text_escape(word, shown, sizeof shown));
}

/* A word that is no option is the first disk. */
static bool make_word(struct making *m, char *const **at, struct err *err)
{
        const char *word = *(*at)++, *arg = NULL;
        const struct option *o;

        if (word[0] != '-')
                return make_disk_file(m, "hda", word, err);
        o = find_option(word);
        if (!o || (o->takes_arg && !**at))
                return refuse(word, err);
        if (o->takes_arg)
                arg = *(*at)++;
        if (o->make(m, o->name, arg, err))
                return true;
        err_in_section(err, word);
        return false;
}

static bool put_before(struct making *m, const char *const *words,
                       struct err *err)
{
        size_t was = m->argc, added;

        for (; words && *words; words++)
                TRY(making_add(m, *words, err));
        added = m->argc - was;
        for (size_t i = 0; i < added; i++) {
                char *last = m->twin->argv[m->argc - 1];

                memmove(m->twin->argv + 1, m->twin->argv,
                        (m->argc - 1) * sizeof last);
                m->twin->argv[0] = last;
        }
        return true;
}

static bool make(struct making *m, char *const *argv, struct err *err)
{
        size_t start = count_start(argv);

        for (size_t i = 0; i < start; i++)
                TRY(making_add(m, argv[i], err));
        m->words = argv + start;
        TRY(making_nodes(m, err));
        for (char *const *at = m->words; *at;)
                TRY(make_word(m, &at, err));
        if (m->audio)
                TRY(making_option(m, "audiodev", "none,id=" TWIN_AUDIO, err));
        TRY(making_option(m, "display", "none", err));
        TRY(making_option(m, "monitor", "none", err));
        TRY(making_option(m, "no-user-config", NULL, err));
        return put_before(m, m->network, err);
}

bool twin_argv(char *const *argv, const struct twin_options *how,
               struct twin *out, struct err *err)
{
        struct asked asked = {0};
        struct making m = {.options = how, .twin = out, .asked = &asked};
        bool ok;

        assert(argv[0]);
        *out = (struct twin){0};
        ok = make(&m, argv, err);
        for (size_t i = 0; i < m.node_count; i++)
                pairs_fini(&m.nodes[i]);
        free(m.nodes);
        free(asked.file);
        free(asked.format);
        return ok;
}

void twin_fini(struct twin *t)
{
        for (char **w = t->argv; w && *w; w++)
                free(*w);
        free(t->argv);
        free(t->not_probed);
        for (size_t i = 0; i < t->disk_count; i++) {
                free(t->disks[i].node);
                free(t->disks[i].file);
                free(t->disks[i].format);
        }
        free(t->disks);
        *t = (struct twin){0};
}

/* ---- alike --------------------------------------------------------------- */

static uint64_t any_size(void *arg, const char *file, const char *format)
{
        (void)arg;
        (void)file;
        (void)format;
        return MiB;
}

static bool make_alike(char *const *argv, struct twin *out)
{
        static const struct twin_options o = {.disk_size = any_size};
        struct err ignored = ERR_INIT;

        return twin_argv(argv, &o, out, &ignored) && !out->not_probed_count &&
               !out->no_offloads;
}

/* The next word that is the machine's: a character device by itself is not, nor
 * is where firmware is looked for. */
static char *const *next_word(char *const *at)
{
        while (*at && at[1] &&
               (strcmp(*at, "-chardev") == 0 || strcmp(*at, "-L") == 0))
                at += 2;
        return at;
}

static bool same_words(char *const *a, char *const *b)
{
        for (;; a++, b++) {
                a = next_word(a);
                b = next_word(b);
                if (!*a || !*b || strcmp(*a, *b) != 0)
                        return !*a && !*b;
        }
}

bool twin_same(char *const *a, char *const *b)
{
        struct twin x = {0}, y = {0};
        bool same = a[0] && b[0] && make_alike(a, &x) && make_alike(b, &y) &&
                    same_words(x.argv + count_start(x.argv),
                               y.argv + count_start(y.argv));

        twin_fini(&x);
        twin_fini(&y);
        return same;
}
