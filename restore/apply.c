/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/apply.h"

#include "base/cleanup.h"
#include "base/emit.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/spool.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/name.h"
#include "qemu/emission.h"
#include "qemu/grammar.h"
#include "qemu/stream_format.h"
#include "restore/disk_play.h"

#include <stdio.h>
#include <string.h>

#define VMDESC "stasis/vmdesc.json"

#define WITHHELD_MEMORY (16 * MiB)

/* An item of the withheld part: for apply_report.section. */
struct withheld {
        char section[256];
        uint64_t len;
};

struct apply {
        struct reader *reader;
        int fd;
        const char *out_name;
        const struct apply_options *options;
        struct apply_report *report;
        struct grammar *grammar;
        struct emission *emission; /* once RAM's START was seen */
        uint32_t page_size;
        char (*dirs)[512]; /* of each RAMBlock */
        uint8_t **sent;    /* per RAMBlock a bit a chunk */
        struct disk_play disks;
        /* The stream item that is being told. */
        char dir[512];
        uint64_t item_len;
        bool item_open, item_withheld, item_dropped;
        bool linked;      /* the link commands have been sent, or need not */
        bool withholding; /* from the end of block migration, or of RAM, on */
        bool ram_ended;
        struct spool *spool;
        struct withheld *list;
        size_t list_count, list_room;
        uint64_t written; /* besides emission's */
};

static void note(struct apply *a, const char *section)
{
        text_escape(section, a->report->section, sizeof a->report->section);
}

static bool send(struct apply *a, const uint8_t *bytes, size_t len,
                 struct err *err)
{
        TRY(io_write_all(a->fd, bytes, len, a->out_name, err));
        a->written += len;
        return true;
}

static bool open_withheld(struct apply *a, struct err *err)
{
        if (a->list_count == a->list_room) {
                size_t room = a->list_room ? 2 * a->list_room : 64;
                struct withheld *grown = realloc(a->list, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                a->list = grown;
                a->list_room = room;
        }
        a->list[a->list_count++] = (struct withheld){.len = 0};
        return true;
}

static bool withhold(struct apply *a, const uint8_t *bytes, size_t len,
                     struct err *err)
{
        if (spool_size(a->spool) + len > LIMIT_TAIL_BYTES)
                return err_set(err, ERR_LIMIT, "too much device state");
        a->list[a->list_count - 1].len += len;
        return spool_append(a->spool, bytes, len, err);
}

static size_t chunks_of(uint64_t size)
{
        return (size_t)(size / CHUNK_SIZE + (size % CHUNK_SIZE != 0));
}

/* RAM's START has been told: the blocks are known. */
static bool begin_ram(struct apply *a, struct err *err)
{
        const struct ram_blocks *ram = grammar_ram(a->grammar);
        json_t *size = json_at(reader_manifest(a->reader), "target_page_size");
        json_int_t page_size = json_integer_value(size);

        if (page_size < TARGET_PAGE_MIN || page_size > TARGET_PAGE_MAX ||
            (page_size & (page_size - 1)) != 0) {
                err_in_section(err, "stasis/manifest.json");
                return err_set(err, ERR_CORRUPT,
                               "target_page_size is not a page size");
        }
        a->page_size = (uint32_t)page_size;
        a->dirs = calloc(ram->count + 1, sizeof *a->dirs);
        a->sent = calloc(ram->count + 1, sizeof *a->sent);
        if (!a->dirs || !a->sent)
                return err_nomem(err);
        for (unsigned i = 0; i < ram->count; i++) {
                uint64_t bytes = ram->blocks[i].size;

                if (bytes % a->page_size != 0)
                        return err_set(err, ERR_CORRUPT,
                                       "a RAMBlock that is not whole pages");
                name_ram_dir(ram->blocks[i].name, a->dirs[i]);
                a->sent[i] = calloc(chunks_of(bytes) / 8 + 1, 1);
                if (!a->sent[i])
                        return err_nomem(err);
        }
        return emission_new(a->fd, a->out_name, ram,
                            grammar_footers(a->grammar), &a->emission, err);
}

static bool close_item(struct apply *a, struct err *err)
{
        if (!a->item_open)
                return true;
        a->item_open = false;
        TRY(grammar_end(a->grammar, err));
        if (a->item_withheld)
                snprintf(a->list[a->list_count - 1].section, 256, "%s",
                         grammar_section(a->grammar));
        if (grammar_ram(a->grammar) && !a->emission)
                return begin_ram(a, err);
        return true;
}

/* The return path is asked for right behind the configuration. */
static bool link_now(struct apply *a, const char *kind, struct err *err)
{
        uint8_t link[EMISSION_LINK_SIZE];

        if (a->linked || strcmp(kind, "header") == 0 ||
            strcmp(kind, "configuration") == 0)
                return true;
        a->linked = true;
        if (!a->options->return_path)
                return true;
        emission_link(link);
        TRY(send(a, link, sizeof link, err));
        return !a->options->linked || a->options->linked(a->options->arg, err);
}

static bool is_section(const struct name *n, const char *kind,
                       const char *idstr)
{
        const char *dot = strrchr(n->dir, '.');

        return strcmp(n->kind, kind) == 0 && dot && strcmp(dot + 1, idstr) == 0;
}

/* Whether the item is sent, and when.  Other live sections may end before RAM's
 * last pages come. */
static bool judge_item(struct apply *a, const struct name *n, struct err *err)
{
        bool starts = is_section(n, "start", STREAM_DISKS);
        bool ends = is_section(n, "end", STREAM_DISKS);

        a->item_dropped = (starts || ends) && a->options->no_block;
        if (starts && !a->item_dropped && a->options->block)
                TRY(a->options->block(a->options->arg, err));
        if (strcmp(n->kind, "full") == 0 || strcmp(n->kind, "eof") == 0 ||
            is_section(n, "end", "ram"))
                a->ram_ended = true;
        /* The disks stand behind device state: their section ends then. */
        if (a->ram_ended || (ends && !a->item_dropped))
                a->withholding = true;
        a->item_withheld = a->withholding && !a->item_dropped;
        return true;
}

static bool open_item(struct apply *a, const struct name *n, struct err *err)
{
        char shown[320];

        TRY(close_item(a, err));
        text_escape(n->dir, shown, sizeof shown);
        TRY(grammar_begin(a->grammar, n->item, n->kind, shown, err));
        memcpy(a->dir, n->dir, sizeof a->dir);
        a->item_len = 0;
        a->item_open = true;
        TRY(link_now(a, n->kind, err));
        TRY(judge_item(a, n, err));
        if (a->item_withheld)
                return open_withheld(a, err);
        note(a, n->kind);
        return true;
}

static bool stream_chunk(struct apply *a, const struct read_item *item,
                         const struct name *n, struct err *err)
{
        if (!a->item_open || strcmp(n->dir, a->dir) != 0)
                TRY(open_item(a, n, err));
        if (item->address != a->item_len)
                return err_set(err, ERR_CORRUPT,
                               "stream bytes are missing before this chunk");
        TRY(grammar_bytes(a->grammar, item->bytes, item->len, err));
        a->item_len += item->len;
        if (a->item_dropped)
                return true;
        if (a->item_withheld)
                return withhold(a, item->bytes, item->len, err);
        return send(a, item->bytes, item->len, err);
}

static int find_block(const struct apply *a, const char *dir)
{
        const struct ram_blocks *ram = grammar_ram(a->grammar);

        for (unsigned i = 0; ram && i < ram->count; i++)
                if (strcmp(a->dirs[i], dir) == 0)
                        return (int)i;
        return -1;
}

static bool ram_chunk(struct apply *a, const struct read_item *item,
                      struct err *err)
{
        const struct ram_block *b;
        uint64_t want = CHUNK_SIZE;
        size_t chunk;
        int i;

        TRY(close_item(a, err));
        i = find_block(a, item->dir);
        if (i < 0)
                return err_set(err, ERR_CORRUPT, "%s",
                               a->emission ? "RAM of no RAMBlock of the stream"
                                           : "RAM before the start of RAM");
        b = &grammar_ram(a->grammar)->blocks[i];
        if (a->ram_ended)
                return err_set(err, ERR_CORRUPT, "RAM behind the end of RAM");
        if (item->address % CHUNK_SIZE || item->address >= b->size)
                return err_set(err, ERR_CORRUPT,
                               "an address outside its RAMBlock");
        if (b->size - item->address < want)
                want = b->size - item->address;
        if (item->len != want)
                return err_set(err, ERR_CORRUPT, "%zu bytes, not %llu",
                               item->len, (unsigned long long)want);
        chunk = (size_t)(item->address / CHUNK_SIZE);
        a->sent[i][chunk / 8] |= (uint8_t)(1U << (chunk % 8));
        note(a, "ram");
        return emission_pages(a->emission, (unsigned)i, item->address,
                              item->bytes, item->len, a->page_size, err);
}

/* Disks are written as block migration if the stream had it. */
static void begin_disks(struct apply *a)
{
        uint32_t section_id;

        if (grammar_disks(a->grammar, &section_id) && a->emission &&
            !a->options->no_block)
                disk_play_begin(&a->disks, a->emission, section_id);
        note(a, STREAM_DISKS);
}

static bool disk_member(struct apply *a, const struct read_item *item,
                        const struct name *n, struct err *err)
{
        TRY(close_item(a, err));
        begin_disks(a);
        if (n->zeros)
                return disk_play_zeros(&a->disks, n->dir, item->bytes,
                                       item->len, err);
        return disk_play_chunk(&a->disks, n->dir, n->address, item->bytes,
                               item->len, err);
}

static bool send_vmdesc(struct apply *a, const uint8_t *json, size_t len,
                        struct err *err)
{
        uint8_t head[5];
        struct emit e;

        TRY(close_item(a, err));
        TRY(grammar_vmdesc(a->grammar, json, len, err));
        TRY(open_withheld(a, err));
        strcpy(a->list[a->list_count - 1].section, "vmdesc");
        emit_init(&e, head, sizeof head);
        emit_u8(&e, ITEM_VMDESC);
        emit_u32be(&e, (uint32_t)len);
        TRY(withhold(a, head, sizeof head, err));
        return withhold(a, json, len, err);
}

static bool other_member(struct apply *a, const struct read_item *item,
                         struct err *err)
{
        return strcmp(item->name, VMDESC) != 0 ||
               send_vmdesc(a, item->bytes, item->len, err);
}

/* Whether state.json says that this whole chunk never came. */
static bool is_absent(const json_t *absent, const char *block, uint64_t begin,
                      uint64_t end)
{
        const json_t *range;
        size_t i;

        json_array_foreach(absent, i, range)
        {
                const char *name = json_text(range, "block");
                uint64_t at = (uint64_t)json_integer_value(
                        json_object_get(range, "offset"));
                uint64_t len = (uint64_t)json_integer_value(
                        json_object_get(range, "length"));

                if (name && strcmp(name, block) == 0 && at <= begin &&
                    at + len >= end)
                        return true;
        }
        return false;
}

static bool has_zeros(const struct apply *a, const char *block, uint64_t at,
                      uint64_t len)
{
        return a->options->is_zero &&
               a->options->is_zero(a->options->arg, block, at, len);
}

/* What is in no chunk is zero, and a target's ROMs are not: so it is sent,
 * unless the target is known to have nothing there yet. */
static bool send_gaps(struct apply *a, struct err *err)
{
        const struct ram_blocks *ram = grammar_ram(a->grammar);
        const json_t *absent =
                json_object_get(reader_state(a->reader), "absent");

        note(a, "ram");
        for (unsigned i = 0; i < ram->count; i++) {
                const struct ram_block *b = &ram->blocks[i];

                for (size_t c = 0; c < chunks_of(b->size); c++) {
                        uint64_t at = (uint64_t)c * CHUNK_SIZE;
                        uint64_t len = b->size - at;

                        if (len > CHUNK_SIZE)
                                len = CHUNK_SIZE;
                        if (a->sent[i][c / 8] >> (c % 8) & 1 ||
                            is_absent(absent, b->name, at, at + len) ||
                            has_zeros(a, b->name, at, len))
                                continue;
                        TRY(emission_pages(a->emission, i, at, NULL,
                                           (size_t)len, a->page_size, err));
                }
        }
        return true;
}

static bool send_withheld(struct apply *a, struct err *err)
{
        const uint8_t *p;

        TRY(spool_view(a->spool, &p, err));
        a->report->device_offset = a->written + emission_bytes(a->emission);
        for (size_t i = 0; i < a->list_count; i++) {
                note(a, a->list[i].section);
                TRY(send(a, p, (size_t)a->list[i].len, err));
                p += a->list[i].len;
        }
        return true;
}

static bool finish(struct apply *a, struct err *err)
{
        TRY(close_item(a, err));
        TRY(grammar_finish(a->grammar, err));
        TRY(disk_play_check(&a->disks, reader_state(a->reader), err));
        if (a->options->proven)
                TRY(a->options->proven(a->options->arg, err));
        begin_disks(a);
        TRY(disk_play_gaps(&a->disks, reader_state(a->reader), err));
        if (!a->options->state_only)
                TRY(send_gaps(a, err));
        return send_withheld(a, err);
}

static bool one_item(struct apply *a, const struct read_item *item,
                     struct err *err)
{
        char shown[320];
        struct name n;
        bool ok;

        if (item->kind != READ_CHUNK && item->kind != READ_MEMBER)
                return true;
        ok = name_parse(item->name, &n, err);
        if (ok && n.class == NAME_DISK)
                ok = disk_member(a, item, &n, err);
        else if (ok && n.class == NAME_RAM)
                ok = ram_chunk(a, item, err);
        else if (ok && n.class == NAME_STREAM)
                ok = stream_chunk(a, item, &n, err);
        else if (ok)
                ok = other_member(a, item, err);
        ok = ok && progress_add(a->options->progress, item->stored_len, err);
        if (!ok)
                err_in_section(err,
                               text_escape(item->name, shown, sizeof shown));
        return ok;
}

static bool run(struct apply *a, struct err *err)
{
        CLEANUP_FREE uint8_t *vmdesc = NULL;
        struct read_item item;
        size_t len = 0;

        /* Beside "stream/": QEMU waits for it. */
        if (a->options->state_only)
                TRY(reader_get(a->reader, VMDESC, LIMIT_VMDESC_BYTES, &vmdesc,
                               &len, err));
        TRY(grammar_new(&a->grammar, err));
        TRY(spool_new(a->options->spool_dir, WITHHELD_MEMORY, &a->spool, err));
        progress_phase(a->options->progress, "restoring",
                       reader_total_bytes(a->reader));
        do {
                TRY(reader_next(a->reader, &item, err));
                TRY(one_item(a, &item, err));
        } while (item.kind != READ_END);
        if (vmdesc)
                TRY(send_vmdesc(a, vmdesc, len, err));
        return finish(a, err);
}

bool apply_run(struct reader *r, int out_fd, const char *out_name,
               const struct apply_options *options, struct apply_report *report,
               struct err *err)
{
        struct apply a = {
                .reader = r,
                .fd = out_fd,
                .out_name = out_name,
                .options = options,
                .report = report,
        };
        const struct ram_blocks *ram;
        bool ok;

        *report = (struct apply_report){0};
        disk_play_init(&a.disks);
        ok = run(&a, err);
        report->stream_bytes =
                a.written + (a.emission ? emission_bytes(a.emission) : 0);
        ram = a.grammar ? grammar_ram(a.grammar) : NULL;
        for (unsigned i = 0; a.sent && ram && i < ram->count; i++)
                free(a.sent[i]);
        free(a.sent);
        free(a.dirs);
        free(a.list);
        disk_play_fini(&a.disks);
        emission_free(a.emission);
        grammar_free(a.grammar);
        spool_free(a.spool);
        return ok;
}
