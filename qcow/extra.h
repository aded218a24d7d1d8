/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* extra: what a qcow2 image holds beside its disk: internal snapshots, and the
 * names of persistent dirty bitmaps. */
#ifndef STASIS_QCOW_EXTRA_H
#define STASIS_QCOW_EXTRA_H

#include "qcow/header.h"
#include "qcow/image.h"

struct extra_snapshot {
        struct image_snapshot shown; /* its strings are owned here */
        uint64_t l1_offset;
        uint32_t l1_entries;
};

struct extra {
        struct extra_snapshot *snapshots;
        size_t snapshot_count;
        char **bitmaps;
        size_t bitmap_count;
};

/* extra_fini is to be called also after failure. */
bool extra_read(int fd, const char *name, const struct qcow2_header *h,
                uint64_t file_size, struct extra *out, struct err *err);
void extra_fini(struct extra *e);

#endif
