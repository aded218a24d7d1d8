/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * working_set: the pages that a guest asked for first, in their order, in a
 * small file beside the snapshot.  (spec/lazy-restore.md, section 6)
 */
#ifndef STASIS_RESTORE_WORKING_SET_H
#define STASIS_RESTORE_WORKING_SET_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct layout;

struct working_page {
        uint32_t block;
        uint64_t page; /* target page within the block */
};

/* A million pages are 16 MiB here, and what a guest of 4 GiB touches. */
#define WORKING_SET_MAX 1000000

struct working_set {
        struct working_page *list; /* owned */
        size_t count, room;
};

void working_set_fini(struct working_set *w);
/* Beyond WORKING_SET_MAX, or without memory, pages are left out. */
void working_set_add(struct working_set *w, unsigned block, uint64_t page);

/* PATH.working-set; malloc'd, NULL: no memory. */
char *working_set_path(const char *snapshot);
/* In place of an older file. */
bool working_set_write(const struct working_set *w, const struct layout *l,
                       const char *path, const char *snapshot_id,
                       struct err *err);
/* An empty set when there is no file; ERR_CORRUPT when it is no working set,
 * ERR_MISMATCH: of another snapshot.  w: working_set_fini, in any case. */
bool working_set_read(struct working_set *w, const struct layout *l,
                      const char *path, const char *snapshot_id,
                      struct err *err);

#endif
