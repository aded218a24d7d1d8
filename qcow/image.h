/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image: one image file, raw or qcow2, and what that file alone says of each
 * byte of its virtual disk.  Read-only.  (qcow2: the interop specification of
 * QEMU, docs/interop/qcow2.txt; versions 2 and 3.)
 *
 * A qcow2 image is hostile until checked: tables are bounded before memory is
 * allocated, every offset lies in the file, no table is used twice, neither
 * tables nor data lie in other tables, reserved bits are not set.  (Errors in
 * L2 tables are found when these are read.)  Refused by name: corrupt bit,
 * external data file, encryption, unknown incompatible features
 * (ERR_UNSUPPORTED).  Refcounts are not needed and not read, so that a dirty
 * image is read as it is.
 *
 * Memory: the L1 table (at most 32 MiB) twice, 512 KiB of L2 tables, and three
 * clusters where they are compressed.
 */
#ifndef STASIS_QCOW_IMAGE_H
#define STASIS_QCOW_IMAGE_H

#include "base/err.h"

enum image_format {
        IMAGE_RAW,
        IMAGE_QCOW2,
};

/* By the name of QEMU's block driver; false: another format. */
bool image_format_named(const char *name, enum image_format *out);
const char *image_format_name(enum image_format format);

/* What one file says of a range of its virtual disk. */
enum extent_kind {
        EXTENT_ABSENT, /* nothing: the backing file's; zeros without one     */
        EXTENT_ZERO,   /* zeros, whatever is below                           */
        EXTENT_DATA,
};

struct image;

/* fd: borrowed, outlives the image, read with pread only (its position moves,
 * where holes are looked for).  name: for errors, escaped there.
 * A raw image is a file or a block device of any size, in whole sectors of 512
 * bytes as a guest sees them; its holes are EXTENT_ZERO (it has nothing
 * below).  ERR_CORRUPT, ERR_TRUNCATED,
 * ERR_UNSUPPORTED, ERR_LIMIT with the place in the file. */
bool image_open(int fd, const char *name, enum image_format format,
                struct image **out, struct err *err);
void image_close(struct image *i); /* NULL is fine */

uint64_t image_size(const struct image *i); /* of the virtual disk, bytes   */
/* Extents begin and end at multiples of this (or at the disk's end): the
 * cluster size, the subcluster size with extended L2 entries, 512 for raw. */
uint32_t image_granularity(const struct image *i);
uint32_t image_cluster_size(const struct image *i); /* 0: raw               */

/* What is at offset < image_size(), and how far it reaches: *len_out > 0, at
 * most to the disk's end; neighbouring extents may be of one kind. */
bool image_extent(struct image *i, uint64_t offset, uint64_t *len_out,
                  enum extent_kind *kind_out, struct err *err);
/* len bytes of an EXTENT_DATA range; data that lies one behind the other in
 * the file is read with one pread. */
bool image_read(struct image *i, uint64_t offset, uint8_t *bytes, size_t len,
                struct err *err);

/* As the file writes it, or NULL; format NULL: the file does not say. */
const char *image_backing_name(const struct image *i);
const char *image_backing_format(const struct image *i);

/* Persistent dirty bitmaps that are valid in the file (autoclear bit set, not
 * in use). */
size_t image_bitmaps(const struct image *i);
const char *image_bitmap_name(const struct image *i, size_t n);

/* Internal snapshots (savevm). */
struct image_snapshot {
        const char *id, *name; /* borrowed from the image                    */
        uint32_t date_sec, date_nsec;
        uint64_t vm_clock_ns, disk_size, vm_state_size;
};

size_t image_snapshots(const struct image *i);
struct image_snapshot image_snapshot_at(const struct image *i, size_t n);
/* len bytes of the VM state (a migration stream) of snapshot n. */
bool image_vm_state_read(struct image *i, size_t n, uint64_t offset,
                         uint8_t *bytes, size_t len, struct err *err);

#endif
