/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/capture.h"

#include "base/cleanup.h"
#include "base/emit.h"
#include "base/json.h"
#include "base/limits.h"
#include "format/name.h"
#include "format/writer.h"
#include "qemu/channels.h"
#include "qemu/globalstate.h"
#include "qemu/stream.h"
#include "qemu/stream_format.h"
#include "qemu/unsent.h"
#include "save/absent.h"
#include "save/assemble.h"
#include "save/block_spool.h"
#include "save/held.h"
#include "save/passes.h"
#include "save/tee.h"

#include <stdio.h>
#include <string.h>

struct capture {
        const struct capture_options *options;
        const char *out_name;
        struct writer *writer;
        struct stream *stream;
        struct assembler *assembler;
        const struct ram_blocks *blocks; /* the stream's */
        struct progress *progress;
        uint64_t unreported; /* bytes not yet told to progress */
        /* The manifest comes first and tells RAMBlocks and target page size, so
         * that a pipe can be read: what the stream has before its first page
         * is held back.  What comes between pages is held until all of them
         * have come. */
        bool manifest_written;
        struct held *held;
        size_t before_ram;    /* of what is held                            */
        bool ram_written;     /* items are written at once from here on     */
        bool again;           /* an item is written for the second time     */
        struct writer *draft; /* what was written before, to read it back   */
        uint64_t waste;       /* stored bytes of chunks written twice       */
        struct block_spool *disks; /* of block migration; NULL: none came */
        json_t *state;
        json_t *devices; /* in state */
        struct unsent *unsent;
        /* The item that is being told, and its open chunk. */
        struct stream_item item;
        struct chunk *chunk;
        uint64_t item_len;
        char item_dir[512];
        bool in_tail, at_eof, in_item;
        /* Which run state the stream carries; without the section (machine
         * types up to 2.3) QEMU itself takes it for running. */
        char run_state[32];
        uint8_t globalstate[256]; /* the section's beginning */
        size_t globalstate_len;
};

/* Up to the tail the source's bytes are copied; the tail's are those of its
 * items. */
static bool copy(void *arg, const uint8_t *p, size_t len, struct err *err)
{
        struct capture *c = arg;

        return tee_write(c->options->tee, p, len, err);
}

static bool copy_tail(struct capture *c, const uint8_t *p, size_t len,
                      struct err *err)
{
        if (!c->options->tee || !c->in_tail)
                return true;
        if (c->at_eof)
                return tee_keep(c->options->tee, p, len, err);
        return tee_write(c->options->tee, p, len, err);
}

/* A file of whose bytes more than a fifth would have to be written again is
 * written anew instead: it stays well below 1.25 times what it need be. */
#define WASTE_PART 5

/* Told to progress at most this often. */
#define REPORT_BYTES (16 * MiB)

static void written(void *arg, uint64_t tag, uint64_t data_offset,
                    uint32_t stored_len)
{
        struct capture *c = arg;

        if (tag != CAPTURE_TAG)
                assembler_written(c->assembler, tag, data_offset, stored_len);
}

static void begin_item(struct capture *c, const struct stream_item *item)
{
        c->item = *item;
        c->item_len = 0;
        name_stream_dir(item->number, item->kind, item->idstr, c->item_dir);
        if (!c->again)
                unsent_section(c->unsent, item->idstr);
}

static void keep_globalstate(struct capture *c, const uint8_t *p, size_t len)
{
        size_t room = sizeof c->globalstate - c->globalstate_len;

        if (strcmp(c->item.idstr, "globalstate") != 0)
                return;
        if (room > len)
                room = len;
        memcpy(c->globalstate + c->globalstate_len, p, room);
        c->globalstate_len += room;
}

static bool add_bytes(struct capture *c, const uint8_t *p, size_t len,
                      struct err *err)
{
        if (!c->again) {
                unsent_bytes(c->unsent, p, len);
                keep_globalstate(c, p, len);
        }
        while (len > 0) {
                size_t now;

                if (!c->chunk) {
                        TRY(writer_borrow(c->writer, &c->chunk, err));
                        memcpy(c->chunk->dir, c->item_dir, sizeof c->item_dir);
                        c->chunk->address = c->item_len;
                        c->chunk->len = 0;
                        c->chunk->drop_zero = false;
                        c->chunk->tag = CAPTURE_TAG;
                }
                now = CHUNK_SIZE - c->chunk->len;
                if (now > len)
                        now = len;
                memcpy(c->chunk->bytes + c->chunk->len, p, now);
                c->chunk->len += now;
                c->item_len += now;
                p += now;
                len -= now;
                if (c->chunk->len == CHUNK_SIZE)
                        TRY(writer_submit(c->writer, steal(c->chunk), err));
        }
        return true;
}

static bool note_device(struct capture *c, struct err *err)
{
        const struct stream_item *i = &c->item;
        json_t *device;

        if (strcmp(i->kind, "full") != 0 && strcmp(i->kind, "early") != 0)
                return true;
        device = json_pack("{s:s, s:I, s:I, s:I, s:I}", "idstr", i->idstr,
                           "instance_id", (json_int_t)i->instance_id,
                           "version_id", (json_int_t)i->version_id, "item",
                           (json_int_t)i->number, "bytes",
                           (json_int_t)c->item_len);
        if (!device || json_array_append_new(c->devices, device) != 0)
                return err_nomem(err);
        return true;
}

static bool end_item(struct capture *c, struct err *err)
{
        if (c->chunk)
                TRY(writer_submit(c->writer, steal(c->chunk), err));
        return c->again || note_device(c, err);
}

static bool begin(void *arg, const struct stream_item *item, struct err *err)
{
        struct capture *c = arg;

        c->in_item = true;
        c->at_eof = strcmp(item->kind, "eof") == 0;
        c->in_tail |= c->at_eof || strcmp(item->kind, "full") == 0;
        if (!c->ram_written)
                return held_begin(c->held, item, err);
        begin_item(c, item);
        return true;
}

static bool bytes(void *arg, const uint8_t *p, size_t len, struct err *err)
{
        struct capture *c = arg;

        TRY(copy_tail(c, p, len, err));
        if (!c->ram_written)
                return held_bytes(c->held, p, len, err);
        return add_bytes(c, p, len, err);
}

static bool end(void *arg, struct err *err)
{
        struct capture *c = arg;

        c->in_item = false;
        return !c->ram_written || end_item(c, err);
}

/* From the first-th of what is held to before the last-th. */
static bool write_held(struct capture *c, size_t first, size_t last,
                       struct err *err)
{
        for (size_t i = first; i < last; i++) {
                const struct stream_item *item;
                const uint8_t *p;
                size_t len;

                TRY(held_get(c->held, i, &item, &p, &len, err));
                begin_item(c, item);
                TRY(add_bytes(c, p, len, err));
                TRY(end_item(c, err));
        }
        return true;
}

static json_t *describe_blocks(const struct ram_blocks *blocks)
{
        json_t *list = json_array();

        for (unsigned i = 0; list && i < blocks->count; i++) {
                const struct ram_block *b = &blocks->blocks[i];
                char dir[512];
                json_t *block = json_pack("{s:s, s:s, s:I}", "name", b->name,
                                          "dir", name_ram_dir(b->name, dir),
                                          "size", (json_int_t)b->size);

                if (!block || json_array_append_new(list, block) != 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

/* What the VM was asked for, and what only the stream knows for sure. */
static bool write_manifest(struct capture *c, struct err *err)
{
        const char *type = stream_machine(c->stream);
        json_t *m = json_deep_copy(c->options->manifest), *machine;
        bool ok;

        machine = json_object_get(m, "machine");
        if (!machine && m && json_put(m, "machine", json_object(), err))
                machine = json_object_get(m, "machine");
        ok = machine != NULL || err_nomem(err);
        ok = ok &&
             (!type[0] || json_put(machine, "type", json_string(type), err));
        ok = ok && json_put(m, "target_page_size",
                            json_integer(stream_page_size(c->stream)), err);
        ok = ok && json_put(m, "ram_blocks", describe_blocks(c->blocks), err);
        ok = ok && writer_manifest(c->writer, m, err);
        json_decref(m);
        return ok;
}

static channels_page channel_page;

static bool ram_start(void *arg, const struct ram_blocks *blocks,
                      struct err *err)
{
        struct capture *c = arg;

        c->blocks = blocks;
        unsent_blocks(c->unsent, blocks);
        if (c->options->passes)
                passes_blocks(c->options->passes, blocks);
        TRY(assembler_new(c->writer, blocks, c->options->spool_dir,
                          &c->assembler, err));
        if (c->options->any_order)
                assembler_expect_any_order(c->assembler);
        if (c->options->haste)
                TRY(assembler_expect_haste(c->assembler, err));
        return !c->options->channels ||
               channels_begin(c->options->channels, blocks,
                              stream_page_size(c->stream), channel_page, c,
                              err);
}

/* With the first page, or at the end of RAM that has none. */
static bool begin_snapshot(struct capture *c, struct err *err)
{
        TRY(write_manifest(c, err));
        c->manifest_written = true;
        c->before_ram = held_count(c->held);
        return write_held(c, 0, c->before_ram, err);
}

static bool report(struct capture *c, uint64_t bytes, struct err *err)
{
        c->unreported += bytes;
        if (c->unreported < REPORT_BYTES)
                return true;
        TRY(progress_add(c->progress, c->unreported, err));
        c->unreported = 0;
        return true;
}

static bool page(void *arg, unsigned block, uint64_t offset,
                 enum page_kind kind, const uint8_t *p, size_t len,
                 struct err *err)
{
        struct capture *c = arg;
        uint32_t page_size = stream_page_size(c->stream);

        if (!c->manifest_written)
                TRY(begin_snapshot(c, err));
        TRY(report(c, page_size, err));
        if (c->options->passes)
                TRY(passes_page(c->options->passes, block, offset, page_size,
                                len, err));
        return assembler_page(c->assembler, page_size, block, offset, kind, p,
                              len, err);
}

/* While the main channel is waited for, wherever it may be. */
static bool channel_page(void *arg, unsigned block, uint64_t offset,
                         const uint8_t *p, size_t len, struct err *err)
{
        struct capture *c = arg;
        uint8_t zero = 0;

        if (!c->manifest_written && c->in_item)
                return err_set(err, ERR_UNSUPPORTED,
                               "pages over multifd before all live sections "
                               "have started");
        if (!p)
                return page(c, block, offset, PAGE_FILL, &zero, 1, err);
        return page(c, block, offset, PAGE_RAW, p, len, err);
}

static bool barrier(void *arg, struct err *err)
{
        struct capture *c = arg;

        return channels_barrier(c->options->channels, err);
}

static bool part_end(void *arg, struct err *err)
{
        struct capture *c = arg;

        return !c->options->part || c->options->part(c->options->arg, err);
}

static bool ram_end(void *arg, struct err *err)
{
        struct capture *c = arg;

        if (!c->manifest_written)
                TRY(begin_snapshot(c, err));
        if (c->options->passes)
                TRY(passes_end(c->options->passes, err));
        TRY(progress_add(c->progress, c->unreported, err));
        c->unreported = 0;
        return true;
}

static bool open_writer(struct capture *c, int fd, struct err *err)
{
        const struct capture_options *o = c->options;
        struct writer_options options = {
                .compress = o->compress,
                .level = o->level,
                .threads = o->threads,
                .mtime = o->time,
                .spool_dir = o->spool_dir,
                .written = written,
                .arg = c,
        };

        return writer_new(fd, c->out_name, true, &options, &c->writer, err);
}

/* From the start, in another file: each chunk once. */
static bool write_anew(struct capture *c, struct err *err)
{
        int fd;

        TRY(c->options->anew(c->options->arg, &fd, err));
        c->draft = steal(c->writer);
        TRY(open_writer(c, fd, err));
        progress_phase(c->progress, "copying", 0);
        TRY(write_manifest(c, err));
        c->again = true;
        TRY(write_held(c, 0, c->before_ram, err));
        c->again = false;
        TRY(assembler_end_in(c->assembler, c->writer, err));
        writer_free(c->draft);
        c->draft = NULL;
        return true;
}

static bool write_ram(struct capture *c, struct err *err)
{
        uint64_t waste, size;

        TRY(assembler_flush(c->assembler, err));
        waste = assembler_superseded(c->assembler);
        size = writer_size(c->writer);
        if (c->options->draft ||
            (c->options->anew && waste > size / WASTE_PART))
                return write_anew(c, err);
        c->waste = waste;
        return assembler_end(c->assembler, err);
}

/* The sender waits for the verdict. */
static bool complete(void *arg, struct err *err)
{
        struct capture *c = arg;

        if (c->options->received)
                TRY(c->options->received(c->options->arg, err));
        TRY(write_ram(c, err));
        c->ram_written = true;
        return write_held(c, c->before_ram, held_count(c->held), err);
}

static bool disk(void *arg, const char *device, uint64_t offset,
                 const uint8_t *p, struct err *err)
{
        struct capture *c = arg;

        if (!c->disks)
                TRY(block_spool_new(c->options->spool_dir, &c->disks, err));
        TRY(report(c, MiB, err));
        return block_spool_add(c->disks, device, offset, p, err);
}

static bool vmdesc(void *arg, const uint8_t *json, size_t len, struct err *err)
{
        struct capture *c = arg;
        uint8_t head[5];
        struct emit e;

        emit_init(&e, head, sizeof head);
        emit_u8(&e, ITEM_VMDESC);
        emit_u32be(&e, (uint32_t)len);
        TRY(copy_tail(c, head, sizeof head, err));
        TRY(copy_tail(c, json, len, err));
        return writer_member(c->writer, "stasis/vmdesc.json", json, len, err);
}

/* A range that never came: explained and noted, or the save fails. */
static bool missing(void *arg, unsigned block, uint64_t offset, uint64_t len,
                    struct err *err)
{
        struct capture *c = arg;

        return absent_add(json_object_get(c->state, "absent"),
                          &c->blocks->blocks[block], offset, len,
                          unsent_reason(c->unsent, block),
                          stream_saw_multifd(c->stream), err);
}

static bool write_state(struct capture *c, struct err *err)
{
        if (!c->assembler)
                return err_set(err, ERR_CORRUPT, "the stream has no RAM");
        TRY(json_put(c->state, "absent", json_array(), err));
        TRY(assembler_missing(c->assembler, missing, c, err));
        TRY(json_put(c->state, "section_footers",
                     json_boolean(stream_has_footers(c->stream)), err));
        TRY(json_put(c->state, "section_split",
                     json_string(stream_split(c->stream)), err));
        globalstate_run_state(c->globalstate, c->globalstate_len, c->run_state);
        TRY(json_put(c->state, "run_state", json_string(c->run_state), err));
        if (c->options->complete)
                TRY(c->options->complete(c->options->arg, c->writer, c->state,
                                         err));
        if (c->disks)
                TRY(block_spool_store(c->disks, c->writer, c->state,
                                      CAPTURE_TAG, c->progress, err));
        return writer_state(c->writer, c->state, err);
}

static void fill_report(const struct capture *c, const struct source *source,
                        struct capture_report *report)
{
        *report = (struct capture_report){
                .stream_bytes = source_offset(source),
                .snapshot_bytes = writer_size(c->writer),
                .ram_bytes = c->blocks->total,
                .zero_bytes = assembler_zero_bytes(c->assembler),
                .pages_again = assembler_pages_again(c->assembler),
                .waste_bytes = c->waste,
                .trailing_bytes = stream_trailing(c->stream),
        };
}

static bool idle(void *arg, struct err *err)
{
        struct capture *c = arg;
        bool at_end;

        /* Mid-stream: only whether the sender is well is of interest. */
        return c->options->quiet(c->options->arg, &at_end, err);
}

static bool at_end(void *arg, bool *out, struct err *err)
{
        struct capture *c = arg;

        return c->options->quiet(c->options->arg, out, err);
}

static bool run(struct capture *c, struct source *source,
                struct capture_report *report, struct err *err)
{
        struct stream_options options = {
                .spool_dir = c->options->spool_dir,
                .at_end = c->options->quiet ? at_end : NULL,
                .barrier = c->options->channels ? barrier : NULL,
                .arg = c,
        };
        struct stream_events events = {
                .item_begin = begin,
                .item_bytes = bytes,
                .item_end = end,
                .ram_start = ram_start,
                .page = page,
                .part_end = part_end,
                .ram_end = ram_end,
                .complete = complete,
                .disk = disk,
                .vmdesc = vmdesc,
                .arg = c,
        };

        if (c->options->tee)
                source_copy_to(source, copy, c);
        if (c->options->channels)
                source_wait_with(source, channels_wait, c->options->channels);
        TRY(stream_new(source, &events, &options, &c->stream, err));
        progress_phase(c->progress, "saving", c->options->expected_bytes);
        TRY(stream_run(c->stream, err));
        TRY(write_state(c, err));
        TRY(writer_finish(c->writer, err));
        fill_report(c, source, report);
        return true;
}

static bool prepare(struct capture *c, int out_fd, struct err *err)
{
        c->state = json_object();
        c->devices = json_array();
        c->unsent = unsent_new();
        if (!c->state || !c->devices || !c->unsent)
                return err_nomem(err);
        TRY(json_put(c->state, "devices", json_incref(c->devices), err));
        TRY(held_new(c->options->spool_dir, &c->held, err));
        return open_writer(c, out_fd, err);
}

static void release(struct capture *c)
{
        if (c->chunk)
                writer_return(c->writer, c->chunk);
        assembler_free(c->assembler);
        writer_free(c->writer);
        writer_free(c->draft);
        stream_free(c->stream);
        held_free(c->held);
        block_spool_free(c->disks);
        unsent_free(c->unsent);
        json_decref(c->devices);
        json_decref(c->state);
}

bool capture_run(int in_fd, const char *in_name, int out_fd,
                 const char *out_name, const struct capture_options *options,
                 struct capture_report *report, struct err *err)
{
        struct capture c = {
                .options = options,
                .out_name = out_name,
                .progress = options->progress,
        };
        struct source *source = NULL;
        bool ok;

        ok = prepare(&c, out_fd, err) &&
             source_new(in_fd, in_name, options->quiet ? idle : NULL, &c,
                        &source, err) &&
             run(&c, source, report, err);
        if (!ok && c.stream)
                err_doing(err, "reading the migration stream");
        release(&c);
        source_free(source);
        return ok;
}
