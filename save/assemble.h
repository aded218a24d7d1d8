/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * assemble: pages, as they come, become chunks.
 *
 * In the first pass pages come in ascending order and one chunk is open at a
 * time.  A page that belongs to a chunk already handed to the writer (a live
 * source sends pages again, whole or as XBZRLE deltas) is a patch, kept aside
 * (save/patches.h).  At the end each patched chunk is read back once, patched,
 * and written again under its name: the later one counts.
 * Memory: 32 bytes a chunk, a bitmap for each with pages still missing, and one
 * for each that has patches.
 */
#ifndef STASIS_SAVE_ASSEMBLE_H
#define STASIS_SAVE_ASSEMBLE_H

#include "format/writer.h"
#include "qemu/ram.h"

struct assembler;

/* The writer's written() is to be given to assembler_written.  blocks:
 * borrowed. */
bool assembler_new(struct writer *w, const struct ram_blocks *blocks,
                   const char *spool_dir, struct assembler **out,
                   struct err *err);
/* Each page comes once and all come, in any order: a chunk that the sender
 * left in the middle is not written before it is whole. */
void assembler_expect_any_order(struct assembler *a);
/* Pages come again, and a guest stands still while the last of them do. */
bool assembler_expect_haste(struct assembler *a, struct err *err);
void assembler_free(struct assembler *a);

void assembler_written(struct assembler *a, uint64_t tag, uint64_t data_offset,
                       uint32_t stored_len);

/* page_size: the same in each call. */
bool assembler_page(struct assembler *a, uint32_t page_size, unsigned block,
                    uint64_t offset, enum page_kind kind, const uint8_t *bytes,
                    size_t len, struct err *err);
/* No more pages come: what is open is written, and all of the writer's hands.
 */
bool assembler_flush(struct assembler *a, struct err *err);
/* After it, one of the two.  Writes again what was patched ... */
bool assembler_end(struct assembler *a, struct err *err);
/* ... or all chunks, each once, into another writer, whose written() is to be
 * given to assembler_written too. */
bool assembler_end_in(struct assembler *a, struct writer *w, struct err *err);
/* After assembler_flush: stored bytes of chunks that assembler_end would write
 * again. */
uint64_t assembler_superseded(const struct assembler *a);

uint64_t assembler_pages_again(const struct assembler *a);
/* Bytes in chunks that are all zero and were not written. */
uint64_t assembler_zero_bytes(const struct assembler *a);

/* Ranges of which no page ever came, in order. */
bool assembler_missing(const struct assembler *a,
                       bool (*fn)(void *arg, unsigned block, uint64_t offset,
                                  uint64_t len, struct err *err),
                       void *arg, struct err *err);

#endif
