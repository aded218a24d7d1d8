/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* extra: what a qcow2 image holds beside its disk: internal snapshots, and the
 * names of persistent dirty bitmaps, of those that can be relied upon. */
#ifndef STASIS_QCOW_EXTRA_H
#define STASIS_QCOW_EXTRA_H

#include "qcow/map.h"

struct extra_snapshot {
        struct image_snapshot shown; /* its strings are owned here */
        uint64_t l1_offset; /* its L1 table is in the file               */
        uint32_t l1_entries;
        uint64_t vm_state_at; /* in its virtual disk, behind the disk       */
};

struct extra {
        struct extra_snapshot *snapshots;
        size_t snapshot_count;
        uint64_t snapshots_bytes; /* of their table in the file */
        char **bitmaps;
        size_t bitmap_count;
};

/* Of place, regions are not looked at.  extra_fini is to be called also after
 * failure. */
bool extra_read(const struct map_place *place, struct extra *out,
                struct err *err);
void extra_fini(struct extra *e);

#endif
