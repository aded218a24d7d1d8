/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/disk_out.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/name.h"
#include "format/reader.h"
#include "qcow/writer.h"
#include "restore/base.h"
#include "restore/disk_walk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct disk_out {
        const struct disk_info *disk;
        const struct disk_out_options *options;
        struct chain *base; /* NULL: none, or not needed */
        struct place *place;
        struct qcow2_writer *writer; /* NULL: raw */
        struct disk_walk walk;
        uint64_t size;
        uint64_t pos; /* up to here all is written */
        uint8_t *buffer;
};

bool disk_out_find(const json_t *state, const char *name, struct disk_info *out,
                   struct err *err)
{
        char names[300] = "", shown[128];
        size_t n = state_disks(state);

        for (size_t i = 0; i < n; i++) {
                size_t used = strlen(names);

                *out = state_disk(state, i);
                if (strcmp(out->name, name) == 0)
                        return true;
                snprintf(names + used, sizeof names - used, "%s%s",
                         used ? ", " : "",
                         text_escape(out->name, shown, sizeof shown));
        }
        if (!n)
                return err_set(err, ERR_USAGE,
                               "no disk is stored in this snapshot");
        return err_set(err, ERR_USAGE,
                       "disk %s is not stored in this snapshot (stored: %s)",
                       name, names);
}

/* ---- raw ----------------------------------------------------------------- */

/* What the base has at [pos, end) of a disk that becomes flat. */
static bool copy_base(struct disk_out *o, uint64_t pos, uint64_t end,
                      struct err *err)
{
        while (pos < end) {
                uint64_t len = end - pos;
                enum extent_kind kind = EXTENT_ZERO;

                if (o->base && pos < chain_size(o->base)) {
                        TRY(chain_extent(o->base, 0, o->base->count, pos, &len,
                                         &kind, err));
                        if (len > end - pos)
                                len = end - pos;
                }
                if (kind == EXTENT_DATA) {
                        if (len > CHUNK_SIZE)
                                len = CHUNK_SIZE;
                        TRY(chain_read(o->base, 0, o->base->count, pos,
                                       o->buffer, (size_t)len, err));
                        TRY(io_pwrite_all(place_fd(o->place), o->buffer,
                                          (size_t)len, pos, o->options->path,
                                          err));
                } else {
                        TRY(place_discard(o->place, pos, len, err));
                }
                pos += len;
        }
        return true;
}

/* Up to offset there is nothing of the overlay's own. */
static bool reach(struct disk_out *o, uint64_t offset, struct err *err)
{
        if (!o->writer && o->pos < offset)
                TRY(copy_base(o, o->pos, offset, err));
        o->pos = offset;
        return true;
}

static bool put_zero(void *arg, uint64_t offset, uint64_t length,
                     struct err *err)
{
        struct disk_out *o = arg;

        if (offset >= o->size)
                return true;
        if (length > o->size - offset)
                length = o->size - offset;
        TRY(reach(o, offset, err));
        o->pos = offset + length;
        return o->writer ? qcow2_writer_zero(o->writer, offset, length, err)
                         : place_discard(o->place, offset, length, err);
}

static bool put_data(struct disk_out *o, uint64_t offset, const uint8_t *bytes,
                     size_t len, struct err *err)
{
        /* A recorded stream pads the disk's last chunk. */
        if (offset >= o->size)
                return true;
        if (len > o->size - offset)
                len = (size_t)(o->size - offset);
        TRY(reach(o, offset, err));
        o->pos = offset + len;
        return o->writer ? qcow2_writer_data(o->writer, offset, bytes, len, err)
                         : io_pwrite_all(place_fd(o->place), bytes, len, offset,
                                         o->options->path, err);
}

/* ---- before anything is written ------------------------------------------ */

static enum disk_form form_of(const struct disk_out *o)
{
        const char *was = json_text(
                json_array_get(json_object_get(o->disk->json, "chain"), 0),
                "format");

        if (o->options->form != DISK_FORM_DEFAULT)
                return o->options->form;
        if (place_is_device(o->place))
                return DISK_FORM_RAW;
        if (o->disk->overlay)
                return DISK_FORM_QCOW2;
        return was && strcmp(was, "qcow2") == 0 ? DISK_FORM_QCOW2
                                                : DISK_FORM_RAW;
}

static bool open_base(struct disk_out *o, struct err *err)
{
        const struct disk_info *d = o->disk;

        o->size = d->size;
        if (!d->overlay && (d->size_known || !o->options->base))
                return true;
        TRY(base_open(d, o->options->base, &o->base, err));
        if (d->size_known)
                return true;
        o->size = chain_size(o->base);
        if (o->size + CHUNK_SIZE <= d->size)
                return err_set(err, ERR_MISMATCH,
                               "the base has %llu bytes, and the disk chunks "
                               "up to %llu",
                               (unsigned long long)o->size,
                               (unsigned long long)d->size);
        return true;
}

static bool open_writer(struct disk_out *o, struct err *err)
{
        CLEANUP_FREE char *base = NULL;
        struct qcow2_writer_options w = {
                .size = o->size,
                .cluster_size = QCOW2_CLUSTER_DEFAULT,
        };

        if (o->disk->overlay) {
                const struct chain_file *top = &o->base->files[0];

                /* Larger ones would hide what the base has beside them. */
                w.cluster_size = o->disk->granularity;

                base = realpath(top->path, NULL);
                if (!base) {
                        err_os(err, errno, "realpath");
                        return err_in_file(err, top->path);
                }
                w.backing_name = base;
                w.backing_format = image_format_name(top->format);
        }
        return qcow2_writer_new(place_fd(o->place), o->options->path, &w,
                                &o->writer, err);
}

static bool prepare(struct disk_out *o, struct err *err)
{
        struct place_options p = {.overwrite = o->options->overwrite};
        enum disk_form form;

        TRY(open_base(o, err));
        p.size = o->size;
        TRY(place_open(o->options->path, &p, &o->place, err));
        form = form_of(o);
        if (form == DISK_FORM_QCOW2 && place_is_device(o->place))
                return err_set(err, ERR_USAGE,
                               "a qcow2 image goes into a file, not on a "
                               "block device");
        if (form == DISK_FORM_QCOW2)
                return open_writer(o, err);
        o->buffer = malloc(CHUNK_SIZE);
        if (!o->buffer)
                return err_nomem(err);
        if (!place_is_device(o->place) &&
            ftruncate(place_fd(o->place), (off_t)o->size) != 0) {
                err_os(err, errno, "ftruncate");
                return err_in_file(err, o->options->path);
        }
        return true;
}

/* ---- writing ------------------------------------------------------------- */

static bool one(struct disk_out *o, const struct read_item *item,
                struct err *err)
{
        struct name n;

        TRY(name_parse(item->name, &n, err));
        if (item->kind == READ_MEMBER)
                return disk_walk_zeros(&o->walk, n.dir, item->bytes, item->len,
                                       err);
        TRY(disk_walk_chunk(&o->walk, n.dir, n.address, item->len, err));
        return put_data(o, n.address, item->bytes, item->len, err);
}

static bool copy(struct disk_out *o, struct reader *r, struct err *err)
{
        struct read_item item;
        char shown[320];

        progress_phase(o->options->progress, "writing disks",
                       reader_total_bytes(r));
        for (;;) {
                TRY(reader_next(r, &item, err));
                if (item.kind == READ_END)
                        break;
                if (!one(o, &item, err))
                        return err_in_section(err, text_escape(item.name, shown,
                                                               sizeof shown));
                TRY(progress_add(o->options->progress, item.stored_len, err));
        }
        TRY(disk_walk_end(&o->walk, reader_state(r), err));
        TRY(reach(o, o->size, err));
        return !o->writer || qcow2_writer_finish(o->writer, err);
}

static bool run(struct disk_out *o, int in_fd, const char *in_name,
                struct err *err)
{
        char only[600];
        struct reader_options how = {.threads = o->options->threads,
                                     .only = only};
        struct reader *r;
        bool ok;

        snprintf(only, sizeof only, "%s/", o->disk->dir);
        TRY(prepare(o, err));
        TRY(reader_open(in_fd, in_name, &how, &r, err));
        ok = copy(o, r, err);
        reader_close(r);
        return ok;
}

bool disk_out_write(int in_fd, const char *in_name,
                    const struct disk_info *disk,
                    const struct disk_out_options *options, struct place **out,
                    struct err *err)
{
        struct disk_out o = {.disk = disk, .options = options};
        char shown[128];
        bool ok;

        disk_walk_init(&o.walk, put_zero, &o);
        ok = run(&o, in_fd, in_name, err);
        disk_walk_fini(&o.walk);
        qcow2_writer_free(o.writer);
        chain_close(o.base);
        free(o.buffer);
        if (ok) {
                *out = o.place;
                return true;
        }
        place_close(o.place);
        return err_doing(err, "writing disk %s",
                         text_escape(disk->name, shown, sizeof shown));
}
