/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disks: the stored disks that a restore brings back, before its QEMU starts.
 *
 *      restored_disks_write, restored_disks_commit, [restored_disks_undo],
 *      restored_disks_free
 */
#ifndef STASIS_RESTORE_DISKS_H
#define STASIS_RESTORE_DISKS_H

#include "restore/disk_out.h"

struct disks_wanted {
        const char *const *disks; /* NAME=PATH; borrowed                     */
        unsigned disk_count;
        const char *const *bases; /* NAME=PATH; borrowed                     */
        unsigned base_count;
        bool overwrite;
        unsigned threads;
        struct progress *progress;
};

struct restored_disks;

/* Writes them all, nothing is visible yet. */
bool restored_disks_write(int in_fd, const char *in_name, const json_t *state,
                          const struct disks_wanted *wanted,
                          struct restored_disks **out, struct err *err);
/* They appear, durable; when one fails, those before it are taken back. */
bool restored_disks_commit(struct restored_disks *d, struct err *err);
/* Takes fresh files back: the guest has not run. */
void restored_disks_undo(struct restored_disks *d);
/* NULL is fine. */
void restored_disks_free(struct restored_disks *d);

/* Where the disk of that name has gone; NULL: it was not asked for. */
const char *restored_disks_path(const struct restored_disks *d,
                                const char *name);

#endif
