/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/grammar.h"

#include "base/emit.h"
#include "base/limits.h"
#include "base/text.h"
#include "qemu/stream_format.h"
#include "qemu/tail.h"
#include "qemu/vmdesc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* RAM's START is the largest item that is looked into: 4096 blocks. */
#define HEAD_MAX (2 * MiB)

/* As many live sections as qemu/stream.h reads. */
#define LIVE_MAX 16

struct device {
        char idstr[256];
        uint32_t instance_id;
        uint64_t payload;
};

struct grammar {
        struct ram_blocks ram;
        struct stream_config config;
        bool have_ram, have_config, ram_ended, ended, footers, have_vmdesc;
        struct device *devices;
        size_t device_count, device_room;
        unsigned next_number;
        uint32_t live[LIVE_MAX]; /* ids of START sections */
        unsigned live_count;
        bool have_disks, disks_ended;
        uint32_t disks_id; /* of block migration */
        /* The item being told. */
        char kind[16], name[320], idstr[256];
        size_t head_len;
        uint64_t len;
        uint8_t last[FOOTER_SIZE];
        uint8_t head[HEAD_MAX];
};

bool grammar_new(struct grammar **out, struct err *err)
{
        *out = calloc(1, sizeof **out);
        return *out || err_nomem(err);
}

void grammar_free(struct grammar *g)
{
        if (!g)
                return;
        ram_blocks_fini(&g->ram);
        free(g->devices);
        free(g);
}

const struct ram_blocks *grammar_ram(const struct grammar *g)
{
        return g->have_ram ? &g->ram : NULL;
}

bool grammar_disks(const struct grammar *g, uint32_t *section_id_out)
{
        *section_id_out = g->disks_id;
        return g->have_disks;
}

bool grammar_footers(const struct grammar *g)
{
        return g->footers;
}

const struct stream_config *grammar_config(const struct grammar *g)
{
        return &g->config;
}

const char *grammar_machine(const struct grammar *g)
{
        return g->config.machine;
}

const char *grammar_section(const struct grammar *g)
{
        return g->idstr[0] ? g->idstr : g->kind;
}

static bool bad(struct grammar *g, struct err *err, const char *why)
{
        err_in_section(err, g->name);
        return err_set(err, ERR_CORRUPT, "%s", why);
}

bool grammar_begin(struct grammar *g, unsigned number, const char *kind,
                   const char *name, struct err *err)
{
        snprintf(g->kind, sizeof g->kind, "%s", kind);
        snprintf(g->name, sizeof g->name, "%s", name);
        g->idstr[0] = '\0';
        g->head_len = 0;
        g->len = 0;
        if (number != g->next_number)
                return bad(g, err, "items are not numbered in sequence");
        if (g->ended)
                return bad(g, err, "an item behind the end of the stream");
        g->next_number++;
        return true;
}

static void keep_last(struct grammar *g, const uint8_t *p, size_t len)
{
        size_t keep;

        if (len >= FOOTER_SIZE) {
                memcpy(g->last, p + len - FOOTER_SIZE, FOOTER_SIZE);
                return;
        }
        keep = FOOTER_SIZE - len;
        memmove(g->last, g->last + len, keep);
        memcpy(g->last + keep, p, len);
}

bool grammar_bytes(struct grammar *g, const uint8_t *bytes, size_t len,
                   struct err *err)
{
        size_t room = sizeof g->head - g->head_len;

        (void)err;
        if (room > len)
                room = len;
        memcpy(g->head + g->head_len, bytes, room);
        g->head_len += room;
        g->len += len;
        keep_last(g, bytes, len);
        return true;
}

static bool check_footer(struct grammar *g, uint32_t section_id,
                         struct err *err)
{
        uint8_t want[FOOTER_SIZE];
        struct emit e;

        emit_init(&e, want, sizeof want);
        emit_u8(&e, ITEM_FOOTER);
        emit_u32be(&e, section_id);
        if (g->footers &&
            (g->len < FOOTER_SIZE || memcmp(g->last, want, FOOTER_SIZE) != 0))
                return bad(g, err, "the section's footer is not its own");
        return true;
}

static bool end_header(struct grammar *g, struct err *err)
{
        static const uint8_t want[] = {0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3};

        if (g->next_number != 1 || g->len != sizeof want ||
            memcmp(g->head, want, sizeof want) != 0)
                return bad(g, err, "not a stream header of version 3");
        return true;
}

static bool end_configuration(struct grammar *g, struct err *err)
{
        struct cursor c;

        if (g->next_number != 2 || g->have_config)
                return bad(g, err, "a configuration out of place");
        g->have_config = true;
        cursor_init(&c, g->head, g->head_len, 0, g->name, err);
        return stream_config_parse(&c, &g->config) && cursor_done(&c);
}

/* RAM's START; whether sections have footers shows behind its payload. */
static bool end_ram_start(struct grammar *g, const struct section_header *h,
                          struct err *err)
{
        struct cursor c;

        if (g->have_ram || g->len > g->head_len)
                return bad(g, err, "a second start of RAM, or too large");
        cursor_init(&c, g->head, g->head_len, 0, g->name, err);
        TRY(cursor_skip(&c, "section header", h->len));
        TRY(ram_parse_start(&c, g->config.ignore_shared, &g->ram));
        g->ram.section_id = h->section_id;
        g->have_ram = true;
        g->footers = cursor_left(&c) == FOOTER_SIZE;
        if (!g->footers)
                return cursor_done(&c);
        return check_footer(g, h->section_id, err);
}

/* Sections of block migration are kept without records: EOS and, if there are
 * any, the footer. */
static bool check_disks(struct grammar *g, size_t header, uint32_t section_id,
                        struct err *err)
{
        struct cursor c;
        uint64_t record;

        cursor_init(&c, g->head, g->head_len, 0, g->name, err);
        TRY(cursor_skip(&c, "section header", header));
        TRY(cursor_u64be(&c, "record", &record));
        if (!g->have_ram)
                g->footers = cursor_left(&c) > 0;
        if (record != DISK_EOS ||
            cursor_left(&c) != (g->footers ? FOOTER_SIZE : 0))
                return bad(g, err, "records of block migration in an item");
        return check_footer(g, section_id, err);
}

static bool add_device(struct grammar *g, const struct section_header *h,
                       struct err *err)
{
        struct device *d;

        if (g->device_count == g->device_room) {
                size_t room = g->device_room ? 2 * g->device_room : 64;
                struct device *grown =
                        realloc(g->devices, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                g->devices = grown;
                g->device_room = room;
        }
        d = &g->devices[g->device_count++];
        strcpy(d->idstr, h->idstr);
        d->instance_id = h->instance_id;
        d->payload = g->len - h->len - (g->footers ? FOOTER_SIZE : 0);
        return true;
}

static bool is_live(const struct grammar *g, uint32_t id)
{
        for (unsigned i = 0; i < g->live_count; i++)
                if (g->live[i] == id)
                        return true;
        return false;
}

static bool end_section(struct grammar *g, uint8_t type, struct err *err)
{
        bool early = strcmp(g->kind, "early") == 0;
        struct section_header h;

        if (!section_header_parse(g->head, g->head_len, &h) || h.type != type)
                return bad(g, err, "not a section of that kind");
        strcpy(g->idstr, h.idstr);
        if (type == ITEM_START) {
                if (g->live_count == LIVE_MAX || is_live(g, h.section_id))
                        return bad(g, err, "its section id is in use");
                g->live[g->live_count++] = h.section_id;
        }
        if (type == ITEM_START && strcmp(h.idstr, "ram") == 0)
                return end_ram_start(g, &h, err);
        if (type == ITEM_START && strcmp(h.idstr, STREAM_DISKS) == 0) {
                if (g->have_disks)
                        return bad(g, err, "block migration starts twice");
                g->have_disks = true;
                g->disks_id = h.section_id;
                return check_disks(g, h.len, h.section_id, err);
        }
        if (!early && type == ITEM_FULL && !g->have_ram)
                return bad(g, err, "device state before RAM");
        if (early)
                g->footers = true; /* only machine types that have them */
        TRY(check_footer(g, h.section_id, err));
        if (type == ITEM_FULL)
                return g->len >= h.len + (g->footers ? FOOTER_SIZE : 0)
                               ? add_device(g, &h, err)
                               : bad(g, err, "shorter than its header");
        return true;
}

static bool end_part(struct grammar *g, uint8_t type, struct err *err)
{
        struct cursor c;
        uint64_t record;
        uint32_t id;
        uint8_t got;

        cursor_init(&c, g->head, g->head_len, 0, g->name, err);
        TRY(cursor_u8(&c, "type", &got));
        TRY(cursor_u32be(&c, "section_id", &id));
        if (got != type)
                return bad(g, err, "not a section of that kind");
        if (!is_live(g, id))
                return bad(g, err, "a section that was never started");
        if (g->have_disks && id == g->disks_id) {
                strcpy(g->idstr, STREAM_DISKS);
                if (type != ITEM_END || g->disks_ended)
                        return bad(g, err, "block migration has one end");
                g->disks_ended = true;
                return check_disks(g, 5, id, err);
        }
        if (!g->have_ram || id != g->ram.section_id)
                return check_footer(g, id, err);
        strcpy(g->idstr, "ram");
        TRY(cursor_u64be(&c, "record", &record));
        if (type != ITEM_END || g->ram_ended || record != RAM_EOS ||
            cursor_left(&c) != (g->footers ? FOOTER_SIZE : 0))
                return bad(g, err, "the end of RAM is not as recorded");
        g->ram_ended = true;
        return check_footer(g, id, err);
}

static bool end_command(struct grammar *g, struct err *err)
{
        uint16_t command, len;
        struct cursor c;
        uint8_t type;

        cursor_init(&c, g->head, g->head_len, 0, g->name, err);
        TRY(cursor_u8(&c, "type", &type));
        TRY(cursor_u16be(&c, "command", &command));
        TRY(cursor_u16be(&c, "length", &len));
        TRY(cursor_skip(&c, "payload", len));
        TRY(cursor_done(&c));
        if (type != ITEM_COMMAND || command != COMMAND_SWITCHOVER_START)
                return bad(g, err, "a command that no snapshot holds");
        return true;
}

static bool end_eof(struct grammar *g, struct err *err)
{
        if (g->len != 1 || g->head[0] != ITEM_EOF || !g->have_ram)
                return bad(g, err, "not the end of a stream");
        g->ended = true;
        return true;
}

bool grammar_end(struct grammar *g, struct err *err)
{
        const char *k = g->kind;

        if ((g->next_number == 1) != (strcmp(k, "header") == 0))
                return bad(g, err, "the header is not the first item");
        if (strcmp(k, "header") == 0)
                return end_header(g, err);
        if (strcmp(k, "configuration") == 0)
                return end_configuration(g, err);
        if (strcmp(k, "start") == 0)
                return end_section(g, ITEM_START, err);
        if (strcmp(k, "full") == 0 || strcmp(k, "early") == 0)
                return end_section(g, ITEM_FULL, err);
        if (strcmp(k, "part") == 0)
                return end_part(g, ITEM_PART, err);
        if (strcmp(k, "end") == 0)
                return end_part(g, ITEM_END, err);
        if (strcmp(k, "command") == 0)
                return end_command(g, err);
        if (strcmp(k, "eof") == 0)
                return end_eof(g, err);
        return bad(g, err, "an item of unknown kind");
}

static bool same_devices(struct grammar *g, const struct vmdesc *v,
                         struct err *err)
{
        char shown[300];

        for (size_t i = 0; i < v->count && i < g->device_count; i++) {
                const struct device *d = &g->devices[i];

                if (strcmp(v->devices[i].idstr, d->idstr) == 0 &&
                    v->devices[i].instance_id == d->instance_id &&
                    /* arrays of varying elements: the footer decides */
                    (v->devices[i].bytes == d->payload || g->footers))
                        continue;
                text_escape(d->idstr, shown, sizeof shown);
                err_in_section(err, shown);
                return err_set(err, ERR_CORRUPT,
                               "vmdesc describes another section here");
        }
        if (v->count == g->device_count)
                return true;
        return err_set(err, ERR_CORRUPT,
                       "vmdesc describes %zu device sections, %zu are there",
                       v->count, g->device_count);
}

bool grammar_vmdesc(struct grammar *g, const uint8_t *json, size_t len,
                    struct err *err)
{
        struct vmdesc v;
        bool ok;

        if (!g->ended || g->have_vmdesc)
                return err_set(err, ERR_CORRUPT, "a vmdesc out of place");
        g->have_vmdesc = true;
        TRY(vmdesc_parse(json, len, &v, err));
        ok = same_devices(g, &v, err);
        vmdesc_fini(&v);
        return ok;
}

bool grammar_finish(struct grammar *g, struct err *err)
{
        if (!g->ended)
                return err_set(err, ERR_CORRUPT,
                               "the recorded stream has no end");
        return true;
}
