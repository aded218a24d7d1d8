/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * spool: bytes that are kept back in bounded memory, then in an unlinked file.
 * Append-only; read anywhere.  Not for use from several threads at once.
 */
#ifndef STASIS_BASE_SPOOL_H
#define STASIS_BASE_SPOOL_H

#include "base/err.h"

struct spool;

/* Up to mem_max bytes stay in memory; beyond, all go to an unlinked file in
 * dir (copied; NULL: $TMPDIR or /var/tmp).  The file is made when needed. */
bool spool_new(const char *dir, size_t mem_max, struct spool **out,
               struct err *err);
void spool_free(struct spool *s);
bool spool_append(struct spool *s, const void *bytes, size_t len,
                  struct err *err);
uint64_t spool_size(const struct spool *s);
bool spool_read(struct spool *s, uint64_t offset, void *bytes, size_t len,
                struct err *err);
/* Everything, contiguous, read-only: the memory, or a mapping of the file.
 * Valid until the next append, reset or free. */
bool spool_view(struct spool *s, const uint8_t **bytes_out, struct err *err);
/* Empty again; memory is kept, the file is truncated. */
bool spool_reset(struct spool *s, struct err *err);

#endif
