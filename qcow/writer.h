/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer: a fresh qcow2 image, version 3, written front to back: data first,
 * then L2 tables, L1 table, refcounts; the header last, so that until then the
 * file is no image.  `qemu-img check` finds it clean.
 *
 * Not compressed, no extended L2 entries, no bitmaps, no internal snapshots.
 * Memory: one L2 table, one cluster, and 8 bytes for each L2 table and refcount
 * block.
 */
#ifndef STASIS_QCOW_WRITER_H
#define STASIS_QCOW_WRITER_H

#include "base/err.h"

/* Of clusters, bytes: qemu-img's default. */
#define QCOW2_CLUSTER_DEFAULT 65536u

struct qcow2_writer;

struct qcow2_writer_options {
        uint64_t size;              /* of the virtual disk; a multiple of 512 */
        uint32_t cluster_size;      /* 512 to 2 MiB, a power of two           */
        const char *backing_name;   /* as it is to be written, or NULL        */
        const char *backing_format; /* "raw", "qcow2"; with a name            */
};

/* fd: borrowed; an empty regular file, opened for reading and writing.  name:
 * for errors. ERR_LIMIT when a disk of that size does not fit clusters of that
 * size, or the backing name the first cluster. */
bool qcow2_writer_new(int fd, const char *name,
                      const struct qcow2_writer_options *options,
                      struct qcow2_writer **out, struct err *err);
void qcow2_writer_free(struct qcow2_writer *w); /* NULL is fine */

/* Ranges ascend and never overlap, else ERR_CORRUPT: they come from a file.
 * With a backing file each begins and ends at a multiple of the cluster size,
 * or ends at the disk's end (also ERR_CORRUPT); without one anywhere, and what
 * of a cluster no range has is zeros. */
bool qcow2_writer_data(struct qcow2_writer *w, uint64_t offset,
                       const uint8_t *bytes, size_t len, struct err *err);
/* Reads as zeros whatever the backing file has. */
bool qcow2_writer_zero(struct qcow2_writer *w, uint64_t offset, uint64_t len,
                       struct err *err);
/* Tables and header.  Does not sync. */
bool qcow2_writer_finish(struct qcow2_writer *w, struct err *err);

#endif
