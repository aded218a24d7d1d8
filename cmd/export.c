/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/disk_out.h"

#include "base/cleanup.h"
#include "cmd/commands.h"
#include "cmd/common.h"
#include "format/reader.h"

#include <stdio.h>
#include <string.h>

struct options {
        const char *disk, *format, *base;
        bool overwrite;
        unsigned threads;
        int progress;
};

static const struct option table[] = {
        {
                .name = "disk",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, disk),
                .value = "NAME",
                .help = "the stored disk to export (see info)",
        },
        {
                .name = "format",
                .kind = OPTION_STRING,
                .offset = offsetof(struct options, format),
                .value = "FORMAT",
                .help = "qcow2 (an overlay stays one, on its base) or raw (an "
                        "overlay's base is copied with it); default: as it "
                        "was, raw on a block device",
                .words = "qcow2 raw",
        },
        {
                .name = "base",
                .kind = OPTION_FILE,
                .offset = offsetof(struct options, base),
                .value = "PATH",
                .help = "where the overlay's base is (default: where it was)",
        },
        {
                .name = "overwrite",
                .kind = OPTION_FLAG,
                .offset = offsetof(struct options, overwrite),
                .help = "replace a file, or what is on a block device",
        },
        CMD_OPTION_THREADS(struct options),
        CMD_OPTION_PROGRESS(struct options),
        {.name = NULL},
};

static enum disk_form form(const char *format)
{
        if (!format)
                return DISK_FORM_DEFAULT;
        return strcmp(format, "raw") == 0 ? DISK_FORM_RAW : DISK_FORM_QCOW2;
}

static bool export_disk(int fd, const char *name, struct reader *r,
                        const struct options *o,
                        const struct disk_out_options *options, struct err *err)
{
        struct place *place;
        struct disk_info disk;
        bool ok;

        if (reader_is_pipe(r))
                return err_set(err, ERR_USAGE,
                               "a pipe tells its index last: give a file");
        TRY(disk_out_find(reader_state(r), o->disk, &disk, err));
        TRY(disk_out_write(fd, name, &disk, options, &place, err));
        ok = place_commit(place, err);
        place_close(place);
        return ok;
}

static bool export(const struct options *o, const struct operands *operands,
                   struct err *err)
{
        struct disk_out_options options = {
                .path = operands->items[1],
                .base = o->base,
                .form = form(o->format),
                .overwrite = o->overwrite,
                .threads = cmd_threads(o->threads),
        };
        struct reader *r = NULL;
        CLEANUP_FD int fd = -1;
        const char *name;
        bool ok;

        if (!o->disk)
                return err_set(err, ERR_USAGE, "--disk NAME is missing");
        TRY(cmd_open_input(operands->items[0], &fd, &name, err));
        TRY(progress_new(o->progress, &options.progress, err));
        ok = reader_open(fd, name, &(struct reader_options){0}, &r, err) &&
             export_disk(fd, name, r, o, &options, err);
        reader_close(r);
        progress_free(options.progress);
        return ok || err_in_file(err, name);
}

static int run(const struct command *self, int argc, char **argv)
{
        struct options o = {.threads = CMD_THREADS_DEFAULT, .progress = -1};
        struct operands operands;
        struct err err = ERR_INIT;
        int code;

        if (!cmd_parse(self, argc, argv, &o, &operands, &code))
                return code;
        if (!export(&o, &operands, &err))
                return cmd_fail(self, &err);
        return 0;
}

static const char *const examples[] = {
        "stasis export --disk drive0 web01.stasis web01.qcow2",
        "stasis export --disk drive0 --format raw web01.stasis web01.img",
        NULL,
};

const struct command cmd_export = {
        .name = "export",
        .summary = "make an image of a disk that a snapshot holds",
        .usage = "--disk NAME [OPTION...] FILE IMAGE",
        .examples = examples,
        .options = table,
        .operands_min = 2,
        .operands_max = 2,
        .run = run,
};
