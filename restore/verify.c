/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/verify.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/name.h"
#include "format/reader.h"
#include "qemu/devices.h"
#include "qemu/grammar.h"
#include "restore/blocks.h"
#include "restore/disk_walk.h"

#include <string.h>

#define VMDESC "stasis/vmdesc.json"

struct verify {
        const struct verify_options *options;
        struct verify_report *report;
        struct reader *reader;
        struct blocks blocks;
        struct disk_walk disks;
        struct grammar *grammar;         /* NULL: quick      */
        struct devices_builder *devices; /* NULL: not strict */
        bool ram_compared;
        /* The stream item whose chunks are coming. */
        char dir[512];
        uint64_t item_offset, item_len;
        bool item_open;
};

static bool corrupt(struct err *err, const char *why)
{
        return err_set(err, ERR_CORRUPT, "%s", why);
}

/* Manifest and stream tell the RAMBlocks, each for itself. */
static bool compare_ram(struct verify *v, struct err *err)
{
        const struct ram_blocks *ram = grammar_ram(v->grammar);
        const char *machine =
                json_text(reader_manifest(v->reader), "machine.type");

        if (!ram || v->ram_compared)
                return true;
        v->ram_compared = true;
        if (ram->count != v->blocks.count)
                return corrupt(err, "the stream has other RAMBlocks than the "
                                    "manifest");
        for (size_t i = 0; i < ram->count; i++)
                if (strcmp(ram->blocks[i].name, v->blocks.list[i].name) != 0 ||
                    ram->blocks[i].size != v->blocks.list[i].size)
                        return corrupt(err, "the stream has other RAMBlocks "
                                            "than the manifest");
        /* Types up to 2.3 are not named in their stream. */
        if (grammar_machine(v->grammar)[0] &&
            strcmp(machine ? machine : "", grammar_machine(v->grammar)) != 0)
                return corrupt(err, "the stream is of another machine type "
                                    "than the manifest says");
        return true;
}

/* Its errors are about the item, not about the member behind it. */
static bool end_item(struct verify *v, struct err *err)
{
        char shown[320];

        if (!v->item_open)
                return true;
        v->item_open = false;
        if ((!v->grammar ||
             (grammar_end(v->grammar, err) && compare_ram(v, err))) &&
            (!v->devices || devices_end(v->devices, err)))
                return true;
        err_at(err, v->item_offset);
        return err_in_section(err, text_escape(v->dir, shown, sizeof shown));
}

static bool begin_item(struct verify *v, const struct name *n, uint64_t offset,
                       struct err *err)
{
        char shown[320];

        TRY(end_item(v, err));
        if (n->item != v->report->stream_items)
                return corrupt(err, "stream items are not numbered in "
                                    "sequence");
        if (v->report->stream_items >= LIMIT_STREAM_ITEMS)
                return err_set(err, ERR_LIMIT, "more than %d stream items",
                               LIMIT_STREAM_ITEMS);
        v->report->stream_items++;
        memcpy(v->dir, n->dir, sizeof v->dir);
        v->item_offset = offset;
        v->item_len = 0;
        v->item_open = true;
        if (!v->grammar)
                return true;
        text_escape(n->dir, shown, sizeof shown);
        return grammar_begin(v->grammar, n->item, n->kind, shown, err) &&
               (!v->devices ||
                devices_begin(v->devices, n->item, n->kind, shown, err));
}

static bool stream_chunk(struct verify *v, const struct name *n,
                         const struct read_item *item, struct err *err)
{
        v->report->stream_chunks++;
        if (!v->item_open || strcmp(v->dir, n->dir) != 0)
                TRY(begin_item(v, n, item->offset, err));
        if (item->address != v->item_len)
                return corrupt(err, "stream bytes are missing before this "
                                    "chunk");
        v->item_len += item->len;
        if (!v->grammar)
                return true;
        return grammar_bytes(v->grammar, item->bytes, item->len, err) &&
               (!v->devices ||
                devices_bytes(v->devices, item->bytes, item->len, err));
}

static bool ram_chunk(struct verify *v, const struct name *n,
                      const struct read_item *item, struct err *err)
{
        v->report->ram_chunks++;
        TRY(end_item(v, err));
        return blocks_add(&v->blocks, n->dir, item->address, item->len,
                          item->stored_len, err);
}

static bool chunk(struct verify *v, const struct read_item *item,
                  struct err *err)
{
        struct name n;

        TRY(name_parse(item->name, &n, err));
        if (item->address % CHUNK_SIZE + item->len > CHUNK_SIZE)
                return corrupt(err, "a chunk across a multiple of 1 MiB");
        v->report->raw_bytes += item->len;
        v->report->stored_bytes += item->stored_len;
        if (n.class == NAME_DISK) {
                v->report->disk_chunks++;
                return end_item(v, err) &&
                       disk_walk_chunk(&v->disks, n.dir, n.address, item->len,
                                       err);
        }
        return n.class == NAME_RAM ? ram_chunk(v, &n, item, err)
                                   : stream_chunk(v, &n, item, err);
}

static bool member(struct verify *v, const struct read_item *item,
                   struct err *err)
{
        struct name n;

        TRY(end_item(v, err));
        TRY(name_parse(item->name, &n, err));
        if (n.class == NAME_DISK)
                return disk_walk_zeros(&v->disks, n.dir, item->bytes, item->len,
                                       err);
        if (!v->grammar || strcmp(item->name, VMDESC) != 0)
                return true;
        return grammar_vmdesc(v->grammar, item->bytes, item->len, err) &&
               (!v->devices ||
                devices_vmdesc(v->devices, item->bytes, item->len, err));
}

static bool one(struct verify *v, const struct read_item *item, struct err *err)
{
        char shown[320];
        bool ok = true;

        if (item->kind == READ_CHUNK)
                ok = chunk(v, item, err);
        else if (item->kind == READ_MEMBER)
                ok = member(v, item, err);
        else
                return true;
        if (!ok) {
                err_at(err, item->offset);
                return err_in_section(
                        err, text_escape(item->name, shown, sizeof shown));
        }
        return progress_add(v->options->progress, item->stored_len, err);
}

/* From a pipe, content comes before its digests are known.  Where it makes no
 * sense, the rest is read: what the container has to say about it comes first.
 */
static void prefer_damage(struct verify *v, struct err *err)
{
        struct err damage = ERR_INIT;
        struct read_item item;

        if (!reader_is_pipe(v->reader) || err_exit_code(err) < 3)
                return;
        do {
                if (!reader_next(v->reader, &item, &damage))
                        *err = damage;
        } while (damage.status == ERR_NONE && item.kind != READ_END &&
                 progress_add(v->options->progress, item.stored_len, &damage));
}

static bool check_strictly(struct verify *v, struct err *err)
{
        CLEANUP(devices_fini) struct devices devices = {0};

        if (!v->devices)
                return true;
        return devices_finish(v->devices, &devices, err) &&
               strict_check(&devices, &v->report->strict, err);
}

static bool run(struct verify *v, struct err *err)
{
        struct read_item item;

        TRY(blocks_init(&v->blocks, reader_manifest(v->reader), err));
        if (!v->options->quick)
                TRY(grammar_new(&v->grammar, err));
        if (v->options->strict)
                TRY(devices_new(&v->devices, err));
        progress_phase(v->options->progress, "verifying",
                       reader_total_bytes(v->reader));
        do {
                TRY(reader_next(v->reader, &item, err));
                if (!one(v, &item, err)) {
                        prefer_damage(v, err);
                        return false;
                }
        } while (item.kind != READ_END);
        TRY(end_item(v, err));
        TRY(disk_walk_end(&v->disks, reader_state(v->reader), err));
        for (size_t i = 0; i < v->blocks.count; i++)
                v->report->ram_replaced += v->blocks.list[i].replaced;
        return (!v->grammar || grammar_finish(v->grammar, err)) &&
               check_strictly(v, err);
}

bool verify_run(int fd, const char *name, const struct verify_options *options,
                struct verify_report *report, struct err *err)
{
        struct reader_options how = {.threads = options->threads,
                                     .stored_only = options->quick};
        struct verify v = {.options = options, .report = report};
        bool ok;

        *report = (struct verify_report){0};
        disk_walk_init(&v.disks, NULL, NULL);
        ok = reader_open(fd, name, &how, &v.reader, err) && run(&v, err);
        grammar_free(v.grammar);
        devices_builder_free(v.devices);
        blocks_fini(&v.blocks);
        disk_walk_fini(&v.disks);
        reader_close(v.reader);
        return ok || err_in_file(err, name);
}
