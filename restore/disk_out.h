/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_out: a stored disk becomes an image file or the content of a block
 * device.
 *
 * An overlay becomes a qcow2 overlay on its base; a disk in full becomes what
 * it was, qcow2 or raw.  Raw, as on a block device, means flat: an overlay's
 * base is copied with it.
 */
#ifndef STASIS_RESTORE_DISK_OUT_H
#define STASIS_RESTORE_DISK_OUT_H

#include "base/progress.h"
#include "format/manifest.h"
#include "restore/place.h"

enum disk_form {
        DISK_FORM_DEFAULT,
        DISK_FORM_QCOW2,
        DISK_FORM_RAW,
};

struct disk_out_options {
        const char *path; /* where to                                        */
        const char *base; /* where an overlay's base is; NULL: as recorded   */
        enum disk_form form;
        bool overwrite;
        unsigned threads;
        struct progress *progress;
};

/* The stored disk of that name. ERR_USAGE, telling those that there are. */
bool disk_out_find(const json_t *state, const char *name, struct disk_info *out,
                   struct err *err);

/* Everything is checked first (restore/base.h, restore/place.h), then written.
 * in_fd: the snapshot, a file; borrowed.  *out: whole, and not committed. */
bool disk_out_write(int in_fd, const char *in_name,
                    const struct disk_info *disk,
                    const struct disk_out_options *options, struct place **out,
                    struct err *err);

#endif
