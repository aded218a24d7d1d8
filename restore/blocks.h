/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blocks: the RAMBlocks that a manifest names, and the RAM chunks found for
 * them: each at a place where one can be, whole, and counted.
 *
 * A chunk that comes again replaces the earlier one, which is then waste.
 * Memory: 4 bytes a chunk.
 */
#ifndef STASIS_RESTORE_BLOCKS_H
#define STASIS_RESTORE_BLOCKS_H

#include "base/err.h"

#include <jansson.h>

struct block {
        const char *name, *dir; /* borrowed from the manifest               */
        uint64_t size;
        uint64_t chunks, raw_bytes, stored_bytes; /* replaced ones left out */
        uint64_t replaced, replaced_bytes;        /* chunks; stored bytes   */
        uint32_t *stored; /* by chunk; 0: none has come                     */
};

struct blocks {
        struct block *list;
        size_t count;
        size_t last; /* where the last chunk went: mostly there goes the next */
};

/* manifest: checked, outlives b.  blocks_fini is to be called also after
 * failure. */
bool blocks_init(struct blocks *b, const json_t *manifest, struct err *err);
void blocks_fini(struct blocks *b);

/* A chunk of RAM: raw_len bytes at address of the block with that dir. */
bool blocks_add(struct blocks *b, const char *dir, uint64_t address,
                uint64_t raw_len, uint64_t stored_len, struct err *err);

#endif
