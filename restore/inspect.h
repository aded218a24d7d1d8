/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inspect: what is in a snapshot, from its index; no chunk is read.  Needs a
 * file: a pipe tells its index last.
 */
#ifndef STASIS_RESTORE_INSPECT_H
#define STASIS_RESTORE_INSPECT_H

#include "format/name.h"
#include "format/reader.h"
#include "restore/blocks.h"

/* The chunks of a stream item, or of a disk overlay. */
struct group {
        enum name_class class;
        char *dir; /* owned */
        uint64_t chunks, raw_bytes, stored_bytes;
};

struct inspection {
        struct blocks blocks;
        struct group *groups; /* in the file's order */
        size_t count, room;
        uint64_t members, chunks, raw_bytes, stored_bytes;
        uint64_t waste_bytes; /* stored bytes of replaced RAM chunks        */
};

/* Called for each chunk, in the file's order; false stops. */
typedef bool inspect_chunk(void *arg, const struct index_entry *e,
                           const struct name *n, struct err *err);

/* r outlives out.  each may be NULL.  inspection_fini is to be called also
 * after failure. */
bool inspect_run(struct reader *r, inspect_chunk *each, void *arg,
                 struct inspection *out, struct err *err);
void inspection_fini(struct inspection *i);

#endif
