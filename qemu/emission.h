/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emission: sections of RAM and of block migration, and link commands, written
 * for a destination.
 * (spec/migration-stream.md, "What restore writes")
 */
#ifndef STASIS_QEMU_EMISSION_H
#define STASIS_QEMU_EMISSION_H

#include "qemu/ram.h"

struct emission;

/* blocks: borrowed; fd: borrowed, blocking. */
bool emission_new(int fd, const char *name, const struct ram_blocks *blocks,
                  bool footers, struct emission **out, struct err *err);
void emission_free(struct emission *e);

/* One PART section with the pages of a chunk; offset and len are multiples of
 * page_size.  bytes NULL: zero pages. */
bool emission_pages(struct emission *e, unsigned block, uint64_t offset,
                    const uint8_t *bytes, size_t len, uint32_t page_size,
                    struct err *err);

/* One PART section with the pages page[0..count) of bytes, count at most
 * EMISSION_PICKED_MAX; offset: of the first byte.  bytes NULL: zero pages. */
#define EMISSION_PICKED_MAX 512
bool emission_picked(struct emission *e, unsigned block, uint64_t offset,
                     const uint8_t *bytes, const uint16_t *page, size_t count,
                     uint32_t page_size, struct err *err);

/* PART sections of block migration, whose section id is given: len bytes of a
 * disk, both offset and len multiples of 1 MiB.  bytes NULL: zeros. */
bool emission_disk(struct emission *e, uint32_t section_id, const char *device,
                   uint64_t offset, const uint8_t *bytes, uint64_t len,
                   struct err *err);

/* Commands OPEN_RETURN_PATH and PING 1, which stand before RAM's START. */
#define EMISSION_LINK_SIZE 14
void emission_link(uint8_t out[EMISSION_LINK_SIZE]);

uint64_t emission_bytes(const struct emission *e);

#endif
