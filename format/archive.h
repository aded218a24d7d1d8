/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive: members of a pax tar, written and read with libarchive; its one
 * door.  Unbuffered: what is given to be written goes to the sink as it is.
 */
#ifndef STASIS_FORMAT_ARCHIVE_H
#define STASIS_FORMAT_ARCHIVE_H

#include "base/err.h"

#include <sys/types.h>

struct archive_out;

/* frame: tar headers, pax records, padding; else a member's data. */
typedef bool archive_sink(void *arg, const void *bytes, size_t len, bool frame,
                          struct err *err);

bool archive_out_new(archive_sink *sink, void *arg, int64_t mtime,
                     struct archive_out **out, struct err *err);
/* Without archive_out_close before, nothing more is written. */
void archive_out_free(struct archive_out *a);
/* A member: its header, exactly size bytes in any pieces, padding. */
bool archive_out_begin(struct archive_out *a, const char *name, uint64_t size,
                       struct err *err);
bool archive_out_data(struct archive_out *a, const void *bytes, size_t len,
                      struct err *err);
bool archive_out_end(struct archive_out *a, struct err *err);
/* The two blocks of zeros that end the archive. */
bool archive_out_close(struct archive_out *a, struct err *err);

struct archive_in;

/* Fills *bytes_out with what comes next, at the end with 0 bytes. */
typedef bool archive_feed(void *arg, const void **bytes_out, size_t *len_out,
                          struct err *err);

bool archive_in_new(archive_feed *feed, void *arg, struct archive_in **out,
                    struct err *err);
void archive_in_free(struct archive_in *a);
/* The next member; *name_out = NULL at the end of the archive.  Anything but a
 * regular file is ERR_CORRUPT. name: borrowed until the next call. */
bool archive_in_next(struct archive_in *a, const char **name_out,
                     uint64_t *size_out, uint64_t *data_offset_out,
                     struct err *err);
/* Exactly len bytes of its data. */
bool archive_in_data(struct archive_in *a, void *bytes, size_t len,
                     struct err *err);

#endif
