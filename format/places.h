/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * places: where in a file the chunks of RAM are, so that they can be read in
 * any order and from any thread; each is checked whenever it is read.
 *
 * Memory: 56 bytes a chunk that is stored.
 */
#ifndef STASIS_FORMAT_PLACES_H
#define STASIS_FORMAT_PLACES_H

#include "base/codec.h"
#include "format/reader.h"

struct places;

/* dirs: "ram/pc.ram", as the manifest has them, and sizes in bytes; both are
 * borrowed, as is r, which must be of a file and not have been read yet.
 * ERR_CORRUPT: a chunk of none of these, or where none can be. */
bool places_new(struct reader *r, const char *const *dirs,
                const uint64_t *sizes, unsigned count, struct places **out,
                struct err *err);
void places_free(struct places *p); /* NULL is fine */

/* false: it is not stored, which means zeros. */
bool places_has(const struct places *p, unsigned dir, uint64_t chunk);
/* Stored bytes of all. */
uint64_t places_stored_bytes(const struct places *p);

/* What one thread needs to read. */
struct place_buffer;
struct place_buffer *place_buffer_new(void); /* NULL: no memory */
void place_buffer_free(struct place_buffer *b);

/* Into raw, CHUNK_SIZE bytes; *len_out: less at the block's end.  A chunk that
 * is not stored is zeros. */
bool places_read(const struct places *p, struct place_buffer *b, unsigned dir,
                 uint64_t chunk, uint8_t *raw, size_t *len_out,
                 struct err *err);

#endif
