/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disks: which of a VM's disks go into the snapshot, and how.
 *
 *      disks_select (before the VM is touched), disks_store (while QEMU waits
 *      for the verdict), disks_release (before the verdict), disks_free
 *
 * While QEMU waits its images are flushed and inactive, and it holds no lock
 * against writers.  Neither do we: if we were killed, QEMU could find our lock
 * still there when it takes the images back, and go on without them.  Instead
 * we look that nobody writes, before and after, and that nothing has changed.
 */
#ifndef STASIS_SAVE_DISKS_H
#define STASIS_SAVE_DISKS_H

#include "base/progress.h"
#include "format/writer.h"

struct disks_options {
        const char *const *chosen; /* NAME[=overlay|full|none]; borrowed     */
        unsigned chosen_count;
        const char *all; /* "overlay" or "full": every disk that can be
                            written to; NULL: only chosen ones               */
        bool digest_bases;
        bool behind; /* copied while the guest runs again (save/behind.h)    */
};

struct disks;
struct behind;
struct qmp;

/* list: as qemu/disks.h made it, outlives the disks, as q does; the entries of
 * disks that are to be stored get "stored", "name" and "dir".  Opens files,
 * reads none.  What stasis cannot read, QEMU will (save/disk_nbd.h). */
bool disks_select(struct qmp *q, json_t *list,
                  const struct disks_options *options, struct disks **out,
                  struct err *err);
size_t disks_count(const struct disks *d);
/* Adds each to b, in the order of disks_store. */
bool disks_behind(const struct disks *d, struct behind *b, struct err *err);
/* Content to the writer; sizes, granularity and the bases' pins to the list's
 * entries.  behind: after the cut; NULL: QEMU waits for the verdict. */
bool disks_store(struct disks *d, struct writer *w, uint64_t tag,
                 struct behind *behind, struct progress *progress,
                 struct err *err);
/* Descriptors.  NULL is fine, as is a second time. */
void disks_release(struct disks *d);
void disks_free(struct disks *d);

/* Bytes that disks_store stored. */
uint64_t disks_data_bytes(const struct disks *d);

#endif
