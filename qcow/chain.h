/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chain: an image and its backing files, top first, read as one disk.
 *
 * Two ways to one: the files are known (chain_open, then chain_load when they
 * may be read: opening takes descriptors only), or only the top is, and the
 * rest is what the images say (chain_resolve), by QEMU's rules: a backing name
 * that is not absolute is relative to the directory of the name that its
 * overlay was opened by.  Refused: loops (by device and inode), more than
 * CHAIN_MAX files, json: and protocol names, a backing file whose format is
 * not stated.
 */
#ifndef STASIS_QCOW_CHAIN_H
#define STASIS_QCOW_CHAIN_H

#include "qcow/image.h"

#define CHAIN_MAX 200

struct chain_file {
        const char *path; /* as it was opened; owned by the chain            */
        enum image_format format;
        int fd;              /* owned by the chain, O_RDONLY                 */
        struct image *image; /* NULL before chain_load                       */
};

struct chain {
        struct chain_file *files; /* files[0] is the top                     */
        size_t count;
};

/* Opens; reads nothing.  count: 1 to CHAIN_MAX.  A file that is there twice is
 * ERR_CORRUPT. */
bool chain_open(const char *const *paths, const enum image_format *formats,
                size_t count, struct chain **out, struct err *err);
/* Reads the headers of chain_open's files.  Which backing file an image names
 * is of no account: who opened the chain knows it. */
bool chain_load(struct chain *c, struct err *err);

/* chain_open and chain_load of the files that the images name. */
bool chain_resolve(const char *path, enum image_format format,
                   struct chain **out, struct err *err);
void chain_close(struct chain *c); /* NULL is fine */

/* Of a loaded chain. */
uint64_t chain_size(const struct chain *c); /* the top's                     */

/* As image_extent, over files [first, first + count) as one disk, in which
 * files[first] is the top; first + count <= c->count.  What lies behind the
 * end of a shorter file below is EXTENT_ZERO, as QEMU has it; what none of them
 * has is EXTENT_ABSENT. offset < the size of files[first]. */
bool chain_extent(struct chain *c, size_t first, size_t count, uint64_t offset,
                  uint64_t *len_out, enum extent_kind *kind_out,
                  struct err *err);
/* Any range within the size of files[first], of any kinds; absent ones are
 * zeros. */
bool chain_read(struct chain *c, size_t first, size_t count, uint64_t offset,
                uint8_t *bytes, size_t len, struct err *err);

/* The disk of which files[first] is the top, all below included, for who reads
 * through a callback (a contents_read of base/contents.h). */
struct chain_part {
        struct chain *chain;
        size_t first;
};

bool chain_part_read(void *part, uint64_t offset, uint8_t *bytes, size_t len,
                     struct err *err);

#endif
