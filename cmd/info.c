/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that info tells comes from a file, by keys of which most may be
 * missing: a line is printed for what is there.  Words from the file are
 * escaped.
 */
#include "base/cleanup.h"
#include "base/text.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "format/manifest.h"
#include "qemu/redact.h"
#include "restore/inspect.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct options {
        bool json, command, show_secrets;
};

static const struct option table[] = {
        CMD_OPTION_JSON(struct options),
        {
                .name = "command",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, command),
                .help = "print QEMU's command line as it was recorded, quoted "
                        "for a shell, and nothing else",
        },
        {
                .name = "show-secrets",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, show_secrets),
                .help = "do not redact passwords, keys and the like in the "
                        "command line",
        },
        {0},
};

struct info {
        const char *name;
        const struct options *options;
        const json_t *state;
        json_t *manifest; /* a copy, redacted */
        struct inspection in;
        uint64_t file_bytes;
};

static void label(const char *text)
{
        printf("%-14s", text);
}

/* One line, of the words that are there; nothing when none is. */
static void line(const char *head, const char *a, const char *b, const char *c)
{
        const char *words[] = {a, b, c};
        const char *before = "";
        char shown[512];

        if (!a && !b && !c)
                return;
        label(head);
        for (size_t i = 0; i < 3; i++) {
                if (!words[i])
                        continue;
                printf("%s%s", before,
                       text_escape(words[i], shown, sizeof shown));
                before = ", ";
        }
        putchar('\n');
}

static uint64_t number(const json_t *value, const char *path)
{
        json_int_t n = json_integer_value(json_at(value, path));

        return n > 0 ? (uint64_t)n : 0;
}

/* "3 days ago"; empty when the time is none, or lies ahead. */
static const char *age(const char *created, char *out, size_t size)
{
        static const struct {
                const char *word;
                int64_t seconds;
        } units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}};
        struct tm tm = {0};
        const char *end = strptime(created, "%Y-%m-%dT%H:%M:%SZ", &tm);
        int64_t seconds = end && !*end ? time(NULL) - timegm(&tm) : -1;

        *out = '\0';
        if (seconds >= 0)
                snprintf(out, size, " (less than a minute ago)");
        for (size_t i = 0; i < 3; i++) {
                int64_t n = seconds / units[i].seconds;

                if (n < 1)
                        continue;
                snprintf(out, size, " (%lld %s%s ago)", (long long)n,
                         units[i].word, n == 1 ? "" : "s");
                break;
        }
        return out;
}

static void print_cpu(const struct info *i)
{
        uint64_t count = number(i->manifest, "cpu.count");
        char text[32];

        snprintf(text, sizeof text, "%" PRIu64 " CPU%s", count,
                 count == 1 ? "" : "s");
        line("CPU", json_text(i->manifest, "cpu.model"), count ? text : NULL,
             NULL);
}

static void print_origin(const struct info *i)
{
        const char *created = json_text(i->manifest, "created");
        const char *before = json_text(i->manifest, "run_state");
        const char *at_cut = json_text(i->state, "run_state");
        char when[96], shown[64];

        if (created) {
                label("saved");
                printf("%s%s\n", text_escape(created, shown, sizeof shown),
                       age(created, when, sizeof when));
        }
        if (before && at_cut && strcmp(before, at_cut) == 0)
                at_cut = NULL;
        line("run state", before, at_cut, NULL);
        line("VM", json_text(i->manifest, "vm.name"),
             json_text(i->manifest, "vm.uuid"), NULL);
        line("machine", json_text(i->manifest, "machine.type"),
             json_text(i->manifest, "accelerator"), NULL);
        print_cpu(i);
        line("QEMU", json_text(i->manifest, "qemu.version"),
             json_text(i->manifest, "qemu.package"),
             json_text(i->manifest, "qemu.arch"));
        line("snapshot", json_text(i->manifest, "id"),
             json_text(i->manifest, "source"), NULL);
}

static unsigned percent(uint64_t part, uint64_t whole)
{
        return whole ? (unsigned)((double)part * 100 / (double)whole + 0.5) : 0;
}

static void print_ram(const struct info *i)
{
        uint64_t size = 0, raw = 0, stored = 0;
        char a[32], b[32], c[32], shown[512];

        for (size_t n = 0; n < i->in.blocks.count; n++) {
                size += i->in.blocks.list[n].size;
                raw += i->in.blocks.list[n].raw_bytes;
                stored += i->in.blocks.list[n].stored_bytes;
        }
        label("RAM");
        printf("%s in %zu RAMBlock%s; %s in chunks, stored in %s (%u %%)\n",
               text_bytes(size, a, sizeof a), i->in.blocks.count,
               i->in.blocks.count == 1 ? "" : "s", text_bytes(raw, b, sizeof b),
               text_bytes(stored, c, sizeof c), percent(stored, raw));
        printf("  %-28s %12s %12s %12s\n", "RAMBlock", "size", "in chunks",
               "stored");
        for (size_t n = 0; n < i->in.blocks.count; n++) {
                const struct block *block = &i->in.blocks.list[n];

                printf("  %-28s %12s %12s %12s\n",
                       text_escape(block->name, shown, sizeof shown),
                       text_bytes(block->size, a, sizeof a),
                       text_bytes(block->raw_bytes, b, sizeof b),
                       text_bytes(block->stored_bytes, c, sizeof c));
        }
}

static void print_devices(const struct info *i)
{
        uint64_t bytes = 0, items = 0;
        char a[32];

        for (size_t n = 0; n < i->in.count; n++) {
                if (i->in.groups[n].class != NAME_STREAM)
                        continue;
                items++;
                bytes += i->in.groups[n].raw_bytes;
        }
        label("devices");
        printf("%zu sections; %" PRIu64 " stream items, %s\n",
               json_array_size(json_object_get(i->state, "devices")), items,
               text_bytes(bytes, a, sizeof a));
}

static const char *first_word(const char *a, const char *b, const char *c)
{
        if (a && a[0])
                return a;
        if (b && b[0])
                return b;
        return c ? c : "?";
}

/* The chunks of a stored disk; NULL: it has none. */
static const struct group *find_group(const struct info *i, const char *dir)
{
        for (size_t n = 0; dir && n < i->in.count; n++)
                if (strcmp(i->in.groups[n].dir, dir) == 0)
                        return &i->in.groups[n];
        return NULL;
}

/* How it is stored, and in how much. */
static void print_stored(const struct info *i, const json_t *disk)
{
        const char *how = json_text(disk, "stored");
        const struct group *g = find_group(i, json_text(disk, "dir"));
        char a[32], b[32], shown[64];

        if (!how) {
                printf(", not stored");
                return;
        }
        printf(", stored %s%s: %s in chunks, in %s",
               strcmp(how, "full") == 0 ? "in " : "as ",
               text_escape(how, shown, sizeof shown),
               text_bytes(g ? g->raw_bytes : 0, a, sizeof a),
               text_bytes(g ? g->stored_bytes : 0, b, sizeof b));
}

/* name, size, whether it is stored; then its images, top first. */
static void print_disk(const struct info *i, const json_t *disk)
{
        const json_t *chain = json_object_get(disk, "chain"), *image;
        char a[32], shown[512];
        size_t n;

        printf("%s", text_escape(first_word(json_text(disk, "name"),
                                            json_text(disk, "device"),
                                            json_text(disk, "node")),
                                 shown, sizeof shown));
        printf(", %s", text_bytes(number(disk, "virtual_size"), a, sizeof a));
        if (json_is_true(json_object_get(disk, "read_only")))
                printf(", read-only");
        print_stored(i, disk);
        putchar('\n');
        json_array_foreach(chain, n, image)
        {
                const char *name = first_word(json_text(image, "file"),
                                              json_text(image, "name"), NULL);
                const char *format = json_text(image, "format");

                label("");
                printf("  %s", text_escape(name, shown, sizeof shown));
                if (format)
                        printf(" (%s)",
                               text_escape(format, shown, sizeof shown));
                if (json_object_get(image, "pin"))
                        printf(", pinned");
                else if (!json_object_get(image, "fingerprint"))
                        printf(", no fingerprint");
                putchar('\n');
        }
}

/* The VM's disks, stored or not, as they were at the cut. */
static void print_disks(const struct info *i)
{
        const json_t *disks = json_object_get(i->state, "disks"), *disk;
        size_t n;

        json_array_foreach(disks, n, disk)
        {
                label(n ? "" : "disks");
                print_disk(i, disk);
        }
}

static void print_exceptions(const struct info *i)
{
        const json_t *absent = json_object_get(i->state, "absent");
        const json_t *warnings = json_object_get(i->state, "warnings");
        const json_t *value;
        char a[32], shown[512];
        size_t n;

        json_array_foreach(absent, n, value)
        {
                const char *block = json_text(value, "block");
                const char *reason = json_text(value, "reason");

                label(n ? "" : "never sent");
                printf("%s at %#" PRIx64 ", ",
                       text_bytes(number(value, "length"), a, sizeof a),
                       number(value, "offset"));
                printf("%s", text_escape(block, shown, sizeof shown));
                printf(": %s\n",
                       text_escape(reason ? reason : "?", shown, sizeof shown));
        }
        json_array_foreach(warnings, n, value)
                line("warning", json_string_value(value), NULL, NULL);
}

static void print_words(const json_t *list)
{
        const json_t *value;
        char shown[128];
        size_t n;

        json_array_foreach(list, n, value)
        {
                const char *text = json_string_value(value);

                printf("%s%s", n ? ", " : "",
                       text_escape(text ? text : "?", shown, sizeof shown));
        }
}

static void print_file(const struct info *i)
{
        const char *version = json_text(i->manifest, "writer.version");
        const char *writer = json_text(i->manifest, "writer.name");
        char a[32];

        label("file");
        printf("%s, %" PRIu64 " members",
               text_bytes(i->file_bytes, a, sizeof a), i->in.members);
        if (i->in.waste_bytes)
                printf(", %s of it waste (RAM that came again)",
                       text_bytes(i->in.waste_bytes, a, sizeof a));
        putchar('\n');
        label("format");
        printf("%" PRIu64 ".%" PRIu64 ", ", number(i->manifest, "format.major"),
               number(i->manifest, "format.minor"));
        print_words(json_at(i->manifest, "features.required"));
        putchar('\n');
        line("written by", writer, version, NULL);
}

static void print(const struct info *i)
{
        print_origin(i);
        print_ram(i);
        print_devices(i);
        print_disks(i);
        print_exceptions(i);
        print_file(i);
}

static json_t *describe(const struct info *i)
{
        json_t *state = json_deep_copy(i->state);

        return json_pack("{s:O, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I}}",
                         "manifest", i->manifest, "state", state, "totals",
                         "file_bytes", (json_int_t)i->file_bytes, "members",
                         (json_int_t)i->in.members, "chunks",
                         (json_int_t)i->in.chunks, "raw_bytes",
                         (json_int_t)i->in.raw_bytes, "stored_bytes",
                         (json_int_t)i->in.stored_bytes, "waste_bytes",
                         (json_int_t)i->in.waste_bytes);
}

static bool has_control(const char *s)
{
        for (; *s; s++)
                if (iscntrl((unsigned char)*s) && *s != '\n' && *s != '\t')
                        return true;
        return false;
}

static bool print_command(const struct info *i, struct err *err)
{
        const json_t *argv = json_at(i->manifest, "vm.argv"), *word;
        const char *before = "";
        size_t n;

        if (!json_is_array(argv))
                return err_set(err, ERR_UNSUPPORTED,
                               "the snapshot records no command line");
        json_array_foreach(argv, n, word)
        {
                const char *text = json_string_value(word);
                CLEANUP_FREE char *quoted = text_shell_quote(text ? text : "");

                if (!quoted)
                        return err_nomem(err);
                /* Escaping would change what a shell reads. */
                if (isatty(STDOUT_FILENO) && has_control(quoted))
                        return err_set(err, ERR_UNSUPPORTED,
                                       "a word has control characters, which "
                                       "are not for a terminal");
                printf("%s%s", before, quoted);
                before = " ";
        }
        putchar('\n');
        return true;
}

static bool copy_manifest(struct info *i, const json_t *manifest,
                          struct err *err)
{
        json_t *argv;

        i->manifest = json_deep_copy(manifest);
        if (!i->manifest)
                return err_nomem(err);
        argv = json_at(i->manifest, "vm.argv");
        if (argv && !i->options->show_secrets && !redact_argv(argv))
                json_object_del(json_object_get(i->manifest, "vm"), "argv");
        return true;
}

static bool show(struct info *i, struct reader *r, struct err *err)
{
        i->state = reader_state(r);
        TRY(copy_manifest(i, reader_manifest(r), err));
        if (i->options->command)
                return print_command(i, err);
        TRY(inspect_run(r, NULL, NULL, &i->in, err));
        if (i->options->json)
                return cmd_print_json(describe(i), err);
        print(i);
        return true;
}

static bool info(const char *operand, const struct options *o, struct err *err)
{
        struct info i = {.options = o};
        struct reader *r = NULL;
        CLEANUP_FD int fd = -1;
        struct stat st;
        bool ok;

        TRY(cmd_open_input(operand, &fd, &i.name, err));
        ok = reader_open(fd, i.name, &(struct reader_options){0}, &r, err);
        if (ok && reader_is_pipe(r))
                ok = err_set(err, ERR_USAGE,
                             "a pipe tells its index last: give a file");
        i.file_bytes = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
        ok = ok && show(&i, r, err);
        inspection_fini(&i.in);
        json_decref(i.manifest);
        reader_close(r);
        return ok ? cmd_flush(err) : err_in_file(err, i.name);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {0};
        struct operands operands;
        struct err err = ERR_INIT;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!info(operands.items[0], &o, &err))
                return cmd_fail(self, &err);
        return 0;
}

static const char *const examples[] = {
        "stasis info web01.stasis",
        "stasis info --command web01.stasis",
        NULL,
};

const struct command cmd_info = {
        .name = "info",
        .summary = "tell what a snapshot is of, and what it holds",
        .usage = "[OPTION...] FILE",
        .examples = examples,
        .options = table,
        .operands_min = 1,
        .operands_max = 1,
        .run = run,
};
