/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fingerprint: the identity of a file that stays outside of a snapshot, made
 * at the cut and compared at restore.
 *
 * Cheap on purpose (about 6 MiB are read, whatever the size): device, inode,
 * size, mtime, and a digest over the first MiB, the last MiB and 64 blocks of
 * 64 KiB spread evenly between.  What a write in place leaves as it was in
 * the samples shows in the mtime; a copy that kept its mtime is the same file.
 * A block device has no useful mtime: there the samples must do.
 *
 *   {"dev":2049, "ino":131, "size":1048576, "mtime":"1771234567.123456789",
 *    "device":false, "samples":"<XXH3-128>"}
 */
#ifndef STASIS_FORMAT_FINGERPRINT_H
#define STASIS_FORMAT_FINGERPRINT_H

#include "base/err.h"

#include <jansson.h>

/* *out: a new reference.  Takes no lock and leaves none. */
bool fingerprint_take(const char *path, json_t **out, struct err *err);

/* Compares the file that is now at path with what was recorded.  *why gets
 * what differs, in a few words, or "" when nothing does.  Fails only when the
 * recorded value is not a fingerprint (ERR_CORRUPT); a file that cannot be
 * read differs. */
bool fingerprint_compare(const json_t *recorded, const char *path,
                         char why[160], struct err *err);

#endif
