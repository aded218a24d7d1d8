/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * limits: the most that anything read from a file, a socket or an image may
 * claim.  Checked before memory is allocated.  Stated in the spec.
 */
#ifndef STASIS_BASE_LIMITS_H
#define STASIS_BASE_LIMITS_H

#define KiB 1024ULL
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)
#define TiB (1024 * GiB)

/* A chunk's raw size, and the boundary that it never crosses. */
#define CHUNK_SIZE MiB

/* RAM of one RAMBlock, and of all of them. */
#define LIMIT_RAM_BYTES (64 * TiB)
/* RAMBlocks in one stream. */
#define LIMIT_RAM_BLOCKS 4096
/* Non-RAM items of one stream (sections, commands). */
#define LIMIT_STREAM_ITEMS 1000000
/* Device sections that are looked into at once: each is compared with all. */
#define LIMIT_DEVICE_SECTIONS 65536
/* Disks in one snapshot. */
#define LIMIT_DISKS 1024
/* The list of an overlay's zero extents, bytes. */
#define LIMIT_ZEROS (64 * MiB)
/* A disk's virtual size, bytes: what QEMU can address. */
#define LIMIT_DISK_BYTES (1024 * 1024 * TiB)
/* Bytes of one non-RAM item that is buffered while it is parsed. */
#define LIMIT_ITEM_BYTES (64 * MiB)
/* Bytes of everything behind RAM: device sections, end of stream, vmdesc. */
#define LIMIT_TAIL_BYTES (4 * GiB)
/* vmdesc JSON. */
#define LIMIT_VMDESC_BYTES (64 * MiB)
/* manifest.json and state.json, each. */
#define LIMIT_JSON_BYTES (16 * MiB)
/* Members of one snapshot. */
#define LIMIT_MEMBERS 134217728
/* One line of the index, newline included. */
#define LIMIT_INDEX_LINE 1024
/* One QMP message. */
#define LIMIT_QMP_MESSAGE (64 * MiB)

#endif
