/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk_store: a disk's extents become members of the snapshot: its list of
 * zeros, then its chunks.  (spec/stasis-format.md, section 4.4) */
#ifndef STASIS_SAVE_DISK_STORE_H
#define STASIS_SAVE_DISK_STORE_H

#include "base/progress.h"
#include "format/writer.h"
#include "save/disk_source.h"

struct disk_totals {
        uint64_t data_bytes, zero_bytes; /* bytes of the virtual disk        */
};

/* overlay: explicit zeros are told; else they are gaps.  dir: "disk/drive0".
 * tag: of the chunks (format/writer.h).  The source's extents are walked twice.
 */
bool disk_store(struct writer *w, const char *dir,
                const struct disk_source *source, bool overlay, uint64_t tag,
                struct progress *progress, struct disk_totals *totals,
                struct err *err);

#endif
