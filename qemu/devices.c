/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/devices.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "qemu/fields.h"
#include "qemu/grammar.h"
#include "qemu/stream_format.h"
#include "qemu/tail.h"

#include <stdlib.h>
#include <string.h>

/* Of a START section only its header is wanted. */
#define START_KEPT 512

struct devices_builder {
        struct grammar *grammar;
        struct devices d;
        /* The item being told; item NULL: not one that is kept. */
        unsigned number;
        enum { SKIPPED, HEAD, KEPT, START } keep;
        bool early, end;
        uint8_t *item;
        size_t len, room;
        uint64_t total;
};

bool devices_new(struct devices_builder **out, struct err *err)
{
        struct devices_builder *b = calloc(1, sizeof *b);

        if (!b)
                return err_nomem(err);
        if (!grammar_new(&b->grammar, err)) {
                free(b);
                return false;
        }
        *out = b;
        return true;
}

void devices_builder_free(struct devices_builder *b)
{
        if (!b)
                return;
        grammar_free(b->grammar);
        devices_fini(&b->d);
        free(b->item);
        free(b);
}

bool devices_begin(struct devices_builder *b, unsigned number, const char *kind,
                   const char *name, struct err *err)
{
        b->number = number;
        b->len = 0;
        b->early = strcmp(kind, "early") == 0;
        b->end = strcmp(kind, "end") == 0;
        b->keep = b->early || strcmp(kind, "full") == 0 ? KEPT
                  : strcmp(kind, "start") == 0          ? START
                  : strcmp(kind, "header") == 0         ? HEAD
                  : strcmp(kind, "configuration") == 0  ? HEAD
                                                        : SKIPPED;
        return grammar_begin(b->grammar, number, kind, name, err);
}

static bool keep(struct devices_builder *b, const uint8_t *bytes, size_t len,
                 struct err *err)
{
        if (b->keep == START && len > START_KEPT - b->len)
                len = START_KEPT - b->len;
        b->total += len;
        if (b->total > LIMIT_TAIL_BYTES)
                return err_set(err, ERR_LIMIT, "device state is too large");
        if (len > b->room - b->len) {
                size_t room = 2 * (b->len + len);
                uint8_t *grown = realloc(b->item, room);

                if (!grown)
                        return err_nomem(err);
                b->item = grown;
                b->room = room;
        }
        memcpy(b->item + b->len, bytes, len);
        b->len += len;
        return true;
}

bool devices_bytes(struct devices_builder *b, const uint8_t *bytes, size_t len,
                   struct err *err)
{
        if (b->keep != SKIPPED && len > 0)
                TRY(keep(b, bytes, len, err));
        return grammar_bytes(b->grammar, bytes, len, err);
}

static bool add_head(struct devices_builder *b, struct err *err)
{
        struct devices *d = &b->d;
        uint8_t *grown = realloc(d->head, d->head_len + b->len + 1);

        if (!grown)
                return err_nomem(err);
        d->head = grown;
        memcpy(grown + d->head_len, b->item, b->len);
        d->head_len += b->len;
        return true;
}

static bool add(struct devices_builder *b, struct err *err)
{
        struct devices *d = &b->d;
        struct device_section *s;
        struct section_header h;
        size_t foot = 0;

        if (!section_header_parse(b->item, b->len, &h))
                return err_set(err, ERR_CORRUPT, "not a section");
        if (d->count == LIMIT_DEVICE_SECTIONS)
                return err_set(err, ERR_LIMIT, "more than %d device sections",
                               LIMIT_DEVICE_SECTIONS);
        /* Grows at powers of two; the grammar bounds the number of items. */
        if ((d->count & (d->count - 1)) == 0) {
                size_t room = d->count ? 2 * d->count : 1;
                struct device_section *grown =
                        realloc(d->list, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                d->list = grown;
        }
        s = &d->list[d->count];
        *s = (struct device_section){.section_id = h.section_id,
                                     .instance_id = h.instance_id,
                                     .version_id = h.version_id,
                                     .early = b->early,
                                     .live = b->keep == START,
                                     .number = b->number};
        strcpy(s->idstr, h.idstr);
        d->count++;
        if (s->live)
                return true;
        foot = grammar_footers(b->grammar) ? FOOTER_SIZE : 0;
        if (b->len < h.len + foot)
                return err_set(err, ERR_CORRUPT, "shorter than its header");
        s->item = steal(b->item);
        b->room = 0;
        s->payload = s->item + h.len;
        s->len = b->len - h.len - foot;
        return true;
}

bool devices_end(struct devices_builder *b, struct err *err)
{
        TRY(grammar_end(b->grammar, err));
        if (b->end && strcmp(grammar_section(b->grammar), "ram") == 0) {
                b->d.ram_ended = true;
                b->d.ram_end = b->number;
        }
        if (b->keep == HEAD)
                return b->len == 0 || add_head(b, err);
        return b->keep == SKIPPED || add(b, err);
}

bool devices_vmdesc(struct devices_builder *b, const uint8_t *json, size_t len,
                    struct err *err)
{
        TRY(grammar_vmdesc(b->grammar, json, len, err));
        return fields_parse(json, len, &b->d.vmdesc, err);
}

/* The grammar has seen to it that both list the same sections in one order. */
static void join(struct devices *d)
{
        const json_t *list = json_object_get(d->vmdesc, "devices");
        size_t next = 0;

        for (size_t i = 0; i < d->count; i++)
                if (!d->list[i].live)
                        d->list[i].vmdesc = json_array_get(list, next++);
}

bool devices_finish(struct devices_builder *b, struct devices *out,
                    struct err *err)
{
        const struct ram_blocks *ram = grammar_ram(b->grammar);
        struct devices *d = &b->d;

        TRY(grammar_finish(b->grammar, err));
        d->config = *grammar_config(b->grammar);
        d->footers = grammar_footers(b->grammar);
        d->page_size = (uint32_t)json_integer_value(
                json_object_get(d->vmdesc, "page_size"));
        if (ram)
                TRY(ram_blocks_copy(ram, &d->ram, err));
        join(d);
        *out = *d;
        *d = (struct devices){0};
        return true;
}

void devices_fini(struct devices *d)
{
        for (size_t i = 0; i < d->count; i++)
                free(d->list[i].item);
        free(d->list);
        free(d->head);
        ram_blocks_fini(&d->ram);
        json_decref(d->vmdesc);
        *d = (struct devices){0};
}

const char *device_class(const char *idstr)
{
        const char *slash = strrchr(idstr, '/');

        return slash ? slash + 1 : idstr;
}

const struct device_section *
devices_find(const struct devices *d, const char *idstr, uint32_t instance_id)
{
        for (size_t i = 0; i < d->count; i++)
                if (d->list[i].instance_id == instance_id &&
                    strcmp(d->list[i].idstr, idstr) == 0)
                        return &d->list[i];
        return NULL;
}
