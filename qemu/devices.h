/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * devices: the device state of one migration stream, in memory: its device
 * sections with their payloads, and what vmdesc says of each.  The same for a
 * snapshot's stream items and for the stream of a QEMU that is asked; both are
 * checked against the grammar on the way (qemu/grammar.h).
 *
 *      devices_new, {devices_begin, devices_bytes ..., devices_end} ...,
 *      devices_vmdesc, devices_finish, devices_free
 */
#ifndef STASIS_QEMU_DEVICES_H
#define STASIS_QEMU_DEVICES_H

#include "qemu/config.h"
#include "qemu/ram.h"

#include <jansson.h>
#include <stddef.h>

struct device_section {
        char idstr[256];
        uint32_t section_id, instance_id, version_id;
        bool early, live; /* live: a START, nothing of it is kept           */
        uint8_t *item;    /* owned; header, payload, footer; live: NULL     */
        const uint8_t *payload;
        size_t len;      /* of the payload                                 */
        unsigned number; /* of the stream item                             */
        const json_t *vmdesc; /* its description; NULL: it has none; borrowed */
};

struct devices {
        struct device_section *list; /* owned; in stream order               */
        size_t count;
        /* Header and configuration as they were recorded; owned. */
        uint8_t *head;
        size_t head_len;
        struct stream_config config; /* machine "" : the stream has none     */
        struct ram_blocks ram;
        bool ram_ended; /* by an END section; ram_end: its item's number */
        unsigned ram_end;
        bool footers;
        uint32_t page_size; /* target page size, as vmdesc says; 0: no word  */
        json_t *vmdesc;     /* owned; NULL: the stream has none.  Keys that
                               QEMU repeats in one object bear a number:
                               qemu/fields.h */
};

struct devices_builder;

bool devices_new(struct devices_builder **out, struct err *err);
/* NULL is fine; what finish gave away stays. */
void devices_builder_free(struct devices_builder *b);

/* Items, from type byte to footer; kind as in struct stream_item.  Of items
 * that are no device's nothing is kept. */
bool devices_begin(struct devices_builder *b, unsigned number, const char *kind,
                   const char *name, struct err *err);
bool devices_bytes(struct devices_builder *b, const uint8_t *bytes, size_t len,
                   struct err *err);
bool devices_end(struct devices_builder *b, struct err *err);
bool devices_vmdesc(struct devices_builder *b, const uint8_t *json, size_t len,
                    struct err *err);
/* Sections and descriptions find each other.  out: to be released with
 * devices_fini. */
bool devices_finish(struct devices_builder *b, struct devices *out,
                    struct err *err);
void devices_fini(struct devices *d);

/* What is behind a device path: "virtio-blk" of "0000:00:04.0/virtio-blk". */
const char *device_class(const char *idstr);

/* By name and instance; NULL: there is none. */
const struct device_section *
devices_find(const struct devices *d, const char *idstr, uint32_t instance_id);

#endif
