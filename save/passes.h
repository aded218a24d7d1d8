/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * passes: how often a precopy sender went over RAM, and what it sent each time.
 *
 * A sender goes through RAM by address, from the first RAMBlock to the last
 * one, again and again, and sends what was written to since it was there last:
 * where addresses begin again from below, a pass ends.  The first one is all of
 * RAM.  No page comes twice in a pass.
 */
#ifndef STASIS_SAVE_PASSES_H
#define STASIS_SAVE_PASSES_H

#include "qemu/ram.h"

#include <jansson.h>
#include <stdio.h>

struct passes;

/* log: which pages came in the second pass and later is kept (in a spool),
 * for passes_write_log. */
bool passes_new(bool log, const char *spool_dir, struct passes **out,
                struct err *err);
void passes_free(struct passes *p); /* NULL is fine */

/* blocks: borrowed for as long as pages come. */
void passes_blocks(struct passes *p, const struct ram_blocks *blocks);
/* sent: bytes of its content in the stream. */
bool passes_page(struct passes *p, unsigned block, uint64_t offset,
                 uint32_t page_size, size_t sent, struct err *err);
/* No more pages come. */
bool passes_end(struct passes *p, struct err *err);

/* Including the one under way. */
unsigned passes_count(const struct passes *p);
/* Of one pass, the first being 1. */
uint64_t passes_pages(const struct passes *p, unsigned pass);
/* Since the one under way began, seconds. */
double passes_age(const struct passes *p);

/* ---- after passes_end, and at least one page ---- */

/* [{"pages": N, "seconds": S}, ...]; NULL: no memory. */
json_t *passes_json(const struct passes *p);
/* {"bytes_per_second": N, "migrations": [{"gbit_per_second": N, "seconds": S
 * or null}, ...]}: how fast the guest writes to memory, and how long a
 * migration would take for that (null: it would not end by itself); NULL: no
 * memory. */
json_t *passes_workload(const struct passes *p);
/* The same for people: a line a pass, and a few lines of what it means. */
void passes_show(const struct passes *p, FILE *to);
/* A CSV file, in place of an older one. */
bool passes_write_log(struct passes *p, const char *path, struct err *err);

#endif
