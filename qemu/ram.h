/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ram: the payload of the `ram` sections.  (spec/migration-stream.md, "RAM")
 */
#ifndef STASIS_QEMU_RAM_H
#define STASIS_QEMU_RAM_H

#include "base/cursor.h"
#include "base/emit.h"

struct ram_block {
        char name[256];
        uint64_t size;    /* used length, bytes                             */
        uint64_t address; /* guest physical, only with x-ignore-shared      */
};

struct ram_blocks {
        struct ram_block *blocks; /* owned */
        unsigned count;
        uint64_t total;
        bool addresses;     /* x-ignore-shared: each entry has its address   */
        bool multifd_flush; /* behind the entries (QEMU 8.1 and later)    */
        bool page_sizes;    /* some entry carried a host page size (dropped) */
        uint32_t section_id;
};

void ram_blocks_fini(struct ram_blocks *b);
bool ram_blocks_copy(const struct ram_blocks *from, struct ram_blocks *to,
                     struct err *err);
/* The block's index, or -1. */
int ram_blocks_find(const struct ram_blocks *b, const char *name);

/* What a record does to a page. */
enum page_kind {
        PAGE_RAW,   /* bytes: the page                                       */
        PAGE_FILL,  /* bytes: one byte, all of the page                      */
        PAGE_DELTA, /* bytes: XBZRLE against the page's present content      */
};

/* Applies an XBZRLE delta to a page; ERR_CORRUPT when it is malformed (QEMU
 * rules: migration/xbzrle.c, 5.2 to 10.2). The page is then undefined. */
bool xbzrle_apply(uint8_t *page, size_t page_size, const uint8_t *delta,
                  size_t len, struct err *err);

/* Payload of a START section: parses from the cursor, which must hold at least
 * all of it; with_addresses: x-ignore-shared is on at the source.  The caller
 * calls ram_blocks_fini, also after failure. */
bool ram_parse_start(struct cursor *c, bool with_addresses,
                     struct ram_blocks *out);
/* The same payload again, host page sizes left out: the form every plain
 * precopy destination accepts.  Returns its length; with out NULL only that. */
size_t ram_emit_start(const struct ram_blocks *b, struct emit *out);

#endif
