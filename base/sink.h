/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sink: bytes on their way into a file or a pipe, in order, in few and large
 * writes.
 *
 * A regular file is written by a thread of its own, past the page cache: a
 * copy into it costs more than the disk's own work on a quick disk, and the
 * sync at the end would wait for all of it.  A slow disk is another matter:
 * what it cannot take at once goes into the page cache from then on, so that
 * whoever waits for the last byte (a guest that stands) does not wait for the
 * disk.  Where a file system has no direct writes, the page cache is used from
 * the start.
 */
#ifndef STASIS_BASE_SINK_H
#define STASIS_BASE_SINK_H

#include "base/err.h"

struct sink;

/* fd, name: borrowed.  A regular file that is open for reading and writing, at
 * its beginning, can be read back; anything else is written like a pipe. */
bool sink_new(int fd, const char *name, struct sink **out, struct err *err);
/* What was not flushed may be lost.  NULL is fine. */
void sink_free(struct sink *s);
/* Whether sink_read works. */
bool sink_is_file(const struct sink *s);
/* Bytes given so far. */
uint64_t sink_size(const struct sink *s);
/* Errors may be those of earlier bytes. */
bool sink_write(struct sink *s, const void *bytes, size_t len, struct err *err);
/* All bytes are with the kernel, for any reader of the file; not yet synced. */
bool sink_flush(struct sink *s, struct err *err);
/* Bytes that were given before. */
bool sink_read(struct sink *s, void *bytes, size_t len, uint64_t offset,
               struct err *err);

#endif
