/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * index: text, a line a member in the file's order, for every member before the
 * index itself.  (spec/stasis-format.md, "Index")
 *
 *   OFFSET STORED RAW STORED-DIGEST RAW-DIGEST NAME\n
 *   16 hex digits, 16, 16, 32, 32, the member's name
 *
 * Numbers and digests have one spelling: lower case, full width.
 */
#ifndef STASIS_FORMAT_INDEX_H
#define STASIS_FORMAT_INDEX_H

#include "base/limits.h"
#include "format/reader.h" /* struct index_entry */

/* Everything of a line before the name. */
#define INDEX_FIXED (3 * 17 + 2 * 33)

/* Writes a line with newline, no NUL; returns its length (at most
 * LIMIT_INDEX_LINE: names are shorter than 600 bytes). */
size_t index_line(const struct index_entry *e, char out[LIMIT_INDEX_LINE]);
/* line: without newline. ERR_CORRUPT. */
bool index_parse(const char *line, size_t len, struct index_entry *out,
                 struct err *err);

#endif
