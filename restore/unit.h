/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit: what a lazy restore reads and keeps at once: a chunk, or a host page of
 * the target where that is larger.  Pages below are target pages unless they
 * are called host pages.
 */
#ifndef STASIS_RESTORE_UNIT_H
#define STASIS_RESTORE_UNIT_H

#include "base/limits.h"
#include "format/places.h"
#include "qemu/ram.h"

/* Of huge pages; QEMU must get one whole, and waits for it. */
#define UNIT_SIZE_MAX (2 * MiB)

struct layout {
        const struct ram_blocks *ram; /* borrowed */
        /* Host page size of each RAMBlock at the target, bytes: a power of two,
         * page_size to UNIT_SIZE_MAX; borrowed. */
        const uint64_t *host_pages;
        uint32_t page_size; /* target page size */
        const struct places *places;
};

uint64_t unit_size(const struct layout *l, unsigned block);
/* Of all RAMBlocks. */
size_t unit_largest(const struct layout *l);
uint64_t unit_count(const struct layout *l, unsigned block);
/* Less at the block's end. */
size_t unit_len(const struct layout *l, unsigned block, uint64_t unit);
/* false: it is zeros. */
bool unit_is_stored(const struct layout *l, unsigned block, uint64_t unit);
/* Into bytes, unit_len of them; checked. */
bool unit_read(const struct layout *l, struct place_buffer *b, unsigned block,
               uint64_t unit, uint8_t *bytes, struct err *err);

#endif
