/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and numbers of the snapshot file.  (spec/stasis-format.md) */
#ifndef STASIS_FORMAT_STASIS_FORMAT_H
#define STASIS_FORMAT_STASIS_FORMAT_H

#define FORMAT_MAJOR 1
#define FORMAT_MINOR 0

#define MEMBER_MANIFEST "stasis/manifest.json"
#define MEMBER_STATE    "stasis/state.json"
#define MEMBER_INDEX    "stasis/index"
#define MEMBER_SEGMENT  "stasis/index." /* and six digits */
#define MEMBER_TRAILER  "stasis/trailer"

/* Features, by name, in manifest.json. */
#define FEATURE_ZSTD   "chunks-zstd"
#define FEATURE_DIGEST "digest-xxh3-128"

/* An index segment follows each so many members. */
#define SEGMENT_MEMBERS 512

/* Target pages, bytes. */
#define PAGE_SIZE_MIN 256
#define PAGE_SIZE_MAX 65536

/* Of a stored disk, bytes: a chunk's.  (qcow2 has clusters of 2 MiB, too.) */
#define DISK_GRANULARITY_MAX (1024 * 1024)

/* tar */
#define TAR_BLOCK    512
#define TAR_END_SIZE 1024

/* The trailer's data; its place is the file's length less this. */
#define TRAILER_SIZE      512
#define TRAILER_FROM_END  (TRAILER_SIZE + TAR_END_SIZE)
#define TRAILER_MAGIC     "stasis-trailer-1"
#define TRAILER_MAGIC_LEN 16

/* The most that stands between two members' data: padding, a pax block with
 * its records, the header. */
#define GAP_MAX (16 * 1024)

/* The most that a member's data may be when a reader keeps it in memory. */
#define MEMBER_BYTES_MAX (64 * 1024 * 1024)

/* The index's first line. */
#define INDEX_HEADER "stasis-index 1\n"

#endif
