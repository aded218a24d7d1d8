/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers of the qcow2 format, and what QEMU allows of them. */
#ifndef STASIS_QCOW_QCOW2_FORMAT_H
#define STASIS_QCOW_QCOW2_FORMAT_H

#define QCOW2_MAGIC 0x514649fbu

#define QCOW2_V2_HEADER 72
#define QCOW2_V3_HEADER 104

#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
/* With extended L2 entries. */
#define QCOW2_EXTENDED_BITS_MIN 14

/* Incompatible features. */
#define QCOW2_DIRTY        (1u << 0)
#define QCOW2_CORRUPT      (1u << 1)
#define QCOW2_DATA_FILE    (1u << 2)
#define QCOW2_COMPRESSION  (1u << 3)
#define QCOW2_EXTENDED_L2  (1u << 4)
#define QCOW2_INCOMPATIBLE 0x1full
/* Autoclear features. */
#define QCOW2_BITMAPS_VALID (1u << 0)

#define QCOW2_EXT_END            0u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_BITMAPS        0x23852875u
#define QCOW2_EXT_FEATURE_NAMES  0x6803f857u

/* Entries of L1 and L2 tables. */
#define QCOW2_OFFSET_MASK 0x00fffffffffffe00ull
#define QCOW2_COPIED      (1ull << 63)
#define QCOW2_COMPRESSED  (1ull << 62)
#define QCOW2_ZERO        1ull

#define QCOW2_SUBCLUSTERS 32

/* What QEMU refuses to exceed. */
#define QCOW2_L1_BYTES_MAX     (32u << 20)
#define QCOW2_REFTABLE_MAX     (8u << 20)
#define QCOW2_SNAPSHOTS_MAX    65536u
#define QCOW2_SNAPSHOTS_BYTES  (64u << 20)
#define QCOW2_SNAPSHOT_EXTRA   1024u
#define QCOW2_BITMAPS_MAX      65535u
#define QCOW2_BITMAPS_BYTES    (64u << 20)
#define QCOW2_BACKING_NAME_MAX 1023u
#define QCOW2_BACKING_FORMAT   16u
/* Of the directory of bitmaps. */
#define QCOW2_BITMAP_IN_USE 1u

#endif
