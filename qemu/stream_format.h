/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bytes of QEMU's migration stream.  (spec/migration-stream.md) */
#ifndef STASIS_QEMU_STREAM_FORMAT_H
#define STASIS_QEMU_STREAM_FORMAT_H

#define STREAM_MAGIC   0x5145564dU /* "QEVM" */
#define STREAM_VERSION 3U

/* The first byte of an item. */
enum item_type {
        ITEM_EOF = 0x00,
        ITEM_START = 0x01,
        ITEM_PART = 0x02,
        ITEM_END = 0x03,
        ITEM_FULL = 0x04,
        ITEM_SUBSECTION = 0x05,
        ITEM_VMDESC = 0x06,
        ITEM_CONFIGURATION = 0x07,
        ITEM_COMMAND = 0x08,
        ITEM_FOOTER = 0x7e,
};

#define FOOTER_SIZE 5

enum stream_command {
        COMMAND_OPEN_RETURN_PATH = 1,
        COMMAND_PING = 2,
        COMMAND_POSTCOPY_ADVISE = 3,
        COMMAND_POSTCOPY_LISTEN = 4,
        COMMAND_POSTCOPY_RUN = 5,
        COMMAND_POSTCOPY_RAM_DISCARD = 6,
        COMMAND_PACKAGED = 7,
        COMMAND_ENABLE_COLO = 8,
        COMMAND_POSTCOPY_RESUME = 9,
        COMMAND_RECV_BITMAP = 10,
        COMMAND_SWITCHOVER_START = 11,
};

/* RAM record flags: the bits below the target page size. */
enum ram_flag {
        RAM_FULL = 0x01, /* obsolete: every loader refuses it */
        RAM_ZERO = 0x02,
        RAM_MEM_SIZE = 0x04,
        RAM_PAGE = 0x08,
        RAM_EOS = 0x10,
        RAM_CONTINUE = 0x20,
        RAM_XBZRLE = 0x40,
        RAM_HOOK = 0x80,
        RAM_COMPRESS_PAGE = 0x100,
        RAM_MULTIFD_FLUSH = 0x200,
};

#define RAM_VERSION 4U

/* idstr of block migration's section. */
#define STREAM_DISKS "block"

/* Record flags of block migration: the bits below the sector number. */
enum disk_flag {
        DISK_DATA = 0x01,
        DISK_EOS = 0x02,
        DISK_PROGRESS = 0x04,
        DISK_ZERO = 0x08, /* added to DISK_DATA: no data follows */
        DISK_FLAGS = 0x1ff,
};

/* What a record is of a disk. */
#define DISK_RECORD_SIZE (1024U * 1024)

/* Flags fit below the smallest page size that has them; QEMU's targets go from
 * 256 bytes (AVR) to 64 KiB (Hexagon). */
#define TARGET_PAGE_MIN 256U
#define TARGET_PAGE_MAX 65536U

#endif
