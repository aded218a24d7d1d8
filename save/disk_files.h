/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk_files: a disk whose image files can be read here, as a source. */
#ifndef STASIS_SAVE_DISK_FILES_H
#define STASIS_SAVE_DISK_FILES_H

#include "qcow/chain.h"
#include "qcow/writer.h"
#include "save/disk_source.h"

#include <jansson.h>

/* Extents of a disk in full are told in blocks of this: layers of any
 * granularity become one that a fresh image has by default. */
#define FULL_GRANULARITY QCOW2_CLUSTER_DEFAULT

/* Opens the files of a disk as qemu/disks.h tells it.  ERR_UNSUPPORTED, with
 * the reason, when an image is no file here or of a format that we do not read.
 */
bool disk_files_open(const json_t *disk, struct chain **out, struct err *err);

struct files {
        struct chain *chain;
        size_t layers; /* how many of the chain, from the top */
};

/* chain: loaded; it and files outlive the source. */
void disk_files_source(struct chain *chain, bool overlay, struct files *files,
                       struct disk_source *out);

#endif
