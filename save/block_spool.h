/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block_spool: the disks that QEMU's block migration sends, gathered until the
 * stream is complete, then stored as any disk.
 *
 * What the stream has of a disk comes before RAM and between its parts, in any
 * order, and again when the guest wrote meanwhile; a snapshot has it behind
 * the device sections, in order and once.  So it waits in an unlinked sparse
 * file per disk, without its zeros.
 *
 * Memory: 2 bits for each MiB up to a disk's last.
 */
#ifndef STASIS_SAVE_BLOCK_SPOOL_H
#define STASIS_SAVE_BLOCK_SPOOL_H

#include "base/progress.h"
#include "format/writer.h"

#include <jansson.h>

struct block_spool;

/* dir: for the files; NULL: default; outlives the spool. */
bool block_spool_new(const char *dir, struct block_spool **out,
                     struct err *err);
void block_spool_free(struct block_spool *s); /* NULL is fine */

/* 1 MiB of a disk, in place of what came before; bytes NULL: zeros. */
bool block_spool_add(struct block_spool *s, const char *device, uint64_t offset,
                     const uint8_t *bytes, struct err *err);

/* Content to the writer, chunks with that tag; an entry each to the state's
 * `disks`.  A disk that has one with content already is left as it is. */
bool block_spool_store(struct block_spool *s, struct writer *w, json_t *state,
                       uint64_t tag, struct progress *progress,
                       struct err *err);

#endif
