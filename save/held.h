/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* held: items of a stream that are told before they can be written. */
#ifndef STASIS_SAVE_HELD_H
#define STASIS_SAVE_HELD_H

#include "qemu/stream.h"

struct held;

/* A little memory, then an unlinked file in spool_dir (NULL: default). */
bool held_new(const char *spool_dir, struct held **out, struct err *err);
void held_free(struct held *h); /* NULL is fine */

bool held_begin(struct held *h, const struct stream_item *item,
                struct err *err);
/* Bytes of the item that was begun last. */
bool held_bytes(struct held *h, const uint8_t *p, size_t len, struct err *err);

size_t held_count(const struct held *h);
/* The n-th; *bytes_out is valid until the next held_bytes. */
bool held_get(struct held *h, size_t n, const struct stream_item **item_out,
              const uint8_t **bytes_out, size_t *len_out, struct err *err);

#endif
