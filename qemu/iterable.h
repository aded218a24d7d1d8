/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * iterable: payloads of the live sections other than RAM and block migration,
 * parsed by layout only to find where they end.  (spec/migration-stream.md,
 * "Other live sections")
 */
#ifndef STASIS_QEMU_ITERABLE_H
#define STASIS_QEMU_ITERABLE_H

#include "base/cursor.h"
#include "qemu/stream_format.h"

enum iterable {
        ITERABLE_NONE,         /* not known                     */
        ITERABLE_DIRTY_BITMAP, /* dirty-bitmap                  */
        ITERABLE_HTAB,         /* spapr/htab                    */
        ITERABLE_STATTRIB,     /* s390-storage_attributes       */
};

enum iterable iterable_of(const char *idstr);

/* What a payload is made of, one record at a time: the record's own bytes are
 * read from the cursor; body_out bytes follow them that need no parsing; done:
 * this was the last record.  state: zeroed by the caller at each payload's
 * begin. */
struct iterable_state {
        unsigned records;
};

bool iterable_record(enum iterable which, enum item_type type, struct cursor *c,
                     struct iterable_state *state, uint64_t *body_out,
                     bool *done_out);

/* More than a record's own bytes ever are. */
#define ITERABLE_RECORD_MAX 1024

#endif
