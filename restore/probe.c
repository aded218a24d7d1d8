/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/probe.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/progress.h"
#include "qemu/process.h"
#include "qemu/stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GREETING_MS 10000
#define DUMP_MS     10000
#define SEND_NAME   "stasis-probe"

/* ---- its stream ---------------------------------------------------------- */

static bool item_begin(void *arg, const struct stream_item *item,
                       struct err *err)
{
        return devices_begin(arg, item->number, item->kind, item->idstr, err);
}

static bool item_bytes(void *arg, const uint8_t *bytes, size_t len,
                       struct err *err)
{
        return devices_bytes(arg, bytes, len, err);
}

static bool item_end(void *arg, struct err *err)
{
        return devices_end(arg, err);
}

static bool vmdesc(void *arg, const uint8_t *json, size_t len, struct err *err)
{
        return devices_vmdesc(arg, json, len, err);
}

static bool ram_start(void *arg, const struct ram_blocks *blocks,
                      struct err *err)
{
        (void)arg;
        (void)blocks;
        (void)err;
        return true;
}

static bool page(void *arg, unsigned block, uint64_t offset,
                 enum page_kind kind, const uint8_t *bytes, size_t len,
                 struct err *err)
{
        (void)arg;
        (void)block;
        (void)offset;
        (void)kind;
        (void)bytes;
        (void)len;
        (void)err;
        return true;
}

static bool ram_end(void *arg, struct err *err)
{
        (void)arg;
        (void)err;
        return true;
}

static bool disk(void *arg, const char *device, uint64_t offset,
                 const uint8_t *bytes, struct err *err)
{
        (void)arg;
        (void)device;
        (void)offset;
        (void)bytes;
        (void)err;
        return true;
}

static bool read_stream(int fd, struct devices_builder *builder,
                        struct devices *out, struct err *err)
{
        struct stream_events events = {
                .item_begin = item_begin,
                .item_bytes = item_bytes,
                .item_end = item_end,
                .ram_start = ram_start,
                .page = page,
                .ram_end = ram_end,
                .disk = disk,
                .vmdesc = vmdesc,
                .arg = builder,
        };
        struct source *source = NULL;
        struct stream *stream = NULL;
        bool ok;

        ok = source_new(fd, "the probe", NULL, NULL, &source, err) &&
             stream_new(source, &events, &(struct stream_options){0}, &stream,
                        err) &&
             stream_run(stream, err) && devices_finish(builder, out, err);
        stream_free(stream);
        source_free(source);
        return ok;
}

bool probe_devices(struct qmp *q, struct devices *out, struct err *err)
{
        struct devices_builder *builder = NULL;
        CLEANUP_FD int ours = -1;
        bool ok;

        TRY(qmp_open_stream(q, SEND_NAME, &ours, err));
        /* Nothing is gained by sending slowly. */
        TRY(qmp_command(
                q, "migrate-set-parameters",
                json_pack("{s:I}", "max-bandwidth", (json_int_t)1 << 40), NULL,
                NULL, err));
        TRY(qmp_command(q, "migrate",
                        json_pack("{s:s}", "uri", "fd:" SEND_NAME), NULL, NULL,
                        err));
        ok = devices_new(&builder, err) && read_stream(ours, builder, out, err);
        devices_builder_free(builder);
        return ok;
}

/* ---- twins --------------------------------------------------------------- */

static bool looks_like_qcow2(const char *file)
{
        struct err ignored = ERR_INIT;
        uint8_t magic[4] = {0};
        CLEANUP_FD int fd = -1;

        return io_open_read(file, &fd, &ignored) &&
               pread(fd, magic, sizeof magic, 0) == sizeof magic &&
               memcmp(magic, "QFI\xfb", sizeof magic) == 0;
}

bool probe_disk(const char *file, const char *format, struct chain **out,
                struct err *err)
{
        enum image_format f = IMAGE_RAW;

        if (!format)
                f = looks_like_qcow2(file) ? IMAGE_QCOW2 : IMAGE_RAW;
        else if (!image_format_named(format, &f))
                return err_set(err, ERR_UNSUPPORTED,
                               "an image of a format that stasis does not "
                               "read");
        return chain_resolve(file, f, out, err);
}

uint64_t probe_disk_size(void *arg, const char *file, const char *format)
{
        struct err ignored = ERR_INIT;
        struct chain *chain = NULL;
        uint64_t size = 0;

        (void)arg;
        if (probe_disk(file, format, &chain, &ignored))
                size = chain_size(chain);
        chain_close(chain);
        return size;
}

/* It writes the file and ends, before it would do anything else. */
bool probe_dump_start(char *const *argv, struct dumping *out, struct err *err)
{
        struct process_options o = {.quiet = true, .outgoing = true};
        CLEANUP_FREE char **words = NULL;
        size_t count = 0;
        char path[64];

        TRY(io_open_unlinked(NULL, &out->fd, err));
        snprintf(path, sizeof path, "/proc/%ld/fd/%d", (long)getpid(), out->fd);
        while (argv[count])
                count++;
        words = calloc(count + 3, sizeof *words);
        if (!words)
                return err_nomem(err);
        memcpy(words, argv, count * sizeof *words);
        words[count] = (char *)(uintptr_t) "-dump-vmstate";
        words[count + 1] = path;
        o.argv = words;
        return process_start(&o, &out->process, err);
}

bool probe_dump_end(struct dumping *d, struct dump **out, struct err *err)
{
        CLEANUP_FREE char *text = NULL;
        char ending[32], path[64];
        size_t len = 0;

        *out = NULL;
        /* One that aborts in the middle (it makes an instance of each device
         * type) has told nothing. */
        if (!process_ended(d->process, DUMP_MS) ||
            strcmp(process_ending(d->process, ending), "exit status 0") != 0)
                return true;
        snprintf(path, sizeof path, "/proc/self/fd/%d", d->fd);
        TRY(io_read_file(path, LIMIT_VMDESC_BYTES, &text, &len, err));
        return len == 0 || dump_parse((const uint8_t *)text, len, out, err);
}

void dumping_fini(struct dumping *d)
{
        process_free(d->process);
        if (d->fd >= 0)
                close(d->fd);
}

/* Ctrl-C ends the twin, too: what is said of that is not why. */
static bool interrupted(struct err *err)
{
        struct err why = ERR_INIT;

        if (progress_cancelled(&why))
                *err = why;
        return why.status != ERR_NONE;
}

static bool ask(struct process *p, struct view *out, struct err *err)
{
        char said[600], ending[32];
        struct qmp *q = NULL;
        bool ok;

        ok = qmp_attach(process_take_qmp(p), "the probe", GREETING_MS, &q,
                        err) &&
             view_ask(q, process_pid(p), out, err) &&
             probe_devices(q, &out->devices, err);
        out->have_devices = ok;
        qmp_close(q);
        if (ok || !process_ended(p, 500))
                return ok;
        process_said(p, said, sizeof said);
        process_ending(p, ending);
        if (interrupted(err))
                return false;
        err_clear(err);
        return err_set(err, ERR_QEMU, "the probe ended (%s): %s", ending, said);
}

bool probe_view(char *const *argv, struct view *out, struct err *err)
{
        struct process_options o = {
                .argv = argv, .quiet = true, .outgoing = true};
        struct process *p = NULL;
        bool ok;

        *out = (struct view){0};
        TRY(process_start(&o, &p, err));
        ok = ask(p, out, err);
        process_free(p);
        return ok;
}

/* again: NULL, or what it would save afterwards. */
static bool load(char *const *argv, struct reader *r, bool with_ram,
                 const char *spool_dir, struct refusal *out,
                 struct devices *again, struct err *err)
{
        struct target_options o = {.command = argv, .quiet = true};
        struct target *t = NULL;
        bool ok, paused;

        ok = target_open(&o, &t, &paused, err) &&
             target_try(t, r, !with_ram, spool_dir, out, err) &&
             (!again || out->section[0] ||
              probe_devices(target_qmp(t), again, err));
        target_free(t);
        if (ok && !out->section[0])
                return true;
        return !interrupted(err) && ok;
}

static bool load_file(char *const *argv, int fd, const char *name,
                      bool with_ram, unsigned threads, const char *spool_dir,
                      struct refusal *out, struct devices *again,
                      struct err *err)
{
        struct reader_options how = {.threads = threads,
                                     .only = with_ram ? NULL : "stream/"};
        struct reader *r = NULL;
        bool ok;

        ok = reader_open(fd, name, &how, &r, err) &&
             load(argv, r, with_ram, spool_dir, out, again, err);
        reader_close(r);
        return ok;
}

bool probe_load(char *const *argv, int fd, const char *name, bool with_ram,
                unsigned threads, const char *spool_dir, struct refusal *out,
                struct err *err)
{
        return load_file(argv, fd, name, with_ram, threads, spool_dir, out,
                         NULL, err);
}

bool probe_again(char *const *argv, int fd, const char *name, unsigned threads,
                 const char *spool_dir, struct refusal *out,
                 struct devices *again_out, struct err *err)
{
        return load_file(argv, fd, name, true, threads, spool_dir, out,
                         again_out, err);
}
