/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contents: what is on a disk, as mount and mkfs ask: partition table, file
 * systems, their labels and UUIDs.  The one door to libblkid.
 *
 * Only the regions where such marks can be are read (CONTENTS_EDGE at either
 * end of the disk and of each partition), into a sparse file in memory that
 * libblkid then probes: any reader will do, and a disk of any size is cheap.
 */
#ifndef STASIS_BASE_CONTENTS_H
#define STASIS_BASE_CONTENTS_H

#include "base/err.h"

#include <jansson.h>

/* Bytes at either end that are looked at: btrfs keeps its superblock at 64 KiB,
 * ZFS four labels of 256 KiB, LVM and md within the first MiB or at the end. */
#define CONTENTS_EDGE (2u << 20)

/* len bytes at offset of the disk, offset + len <= size. */
typedef bool contents_read(void *arg, uint64_t offset, uint8_t *bytes,
                           size_t len, struct err *err);

/* *out: a new list, in ascending order of offset; empty: nothing known.
 *
 *   {"offset":0, "size":10737418240, "partition_table":"gpt", "uuid":"..."}
 *   {"offset":1048576, "size":..., "type":"ext4", "usage":"filesystem",
 *    "label":"...", "uuid":"..."}
 *
 * What libblkid finds ambivalent (several signatures) is "type":"ambivalent".
 * Keys without a value are missing. */
bool contents_probe(contents_read *read, void *arg, uint64_t size, json_t **out,
                    struct err *err);

/* A contents list in a few words: "gpt partition table; ext4 'root' (UUID ...)
 * at 1048576", escaped; "" for none.  Returns out. */
const char *contents_words(const json_t *contents, char *out, size_t room);

#endif
