/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * multifd: what goes over one of QEMU's multifd connections: a greeting, then
 * packets of pages.  (spec/migration-stream.md, "multifd")
 */
#ifndef STASIS_QEMU_MULTIFD_H
#define STASIS_QEMU_MULTIFD_H

#include "qemu/ram.h"

/* As QEMU's own multifd-channels. */
#define MULTIFD_CHANNELS_MAX 255

#define MULTIFD_HELLO_SIZE 64

/* *id_out: which of the channels it is. */
bool multifd_hello_parse(const uint8_t bytes[MULTIFD_HELLO_SIZE],
                         unsigned channels, unsigned *id_out, struct err *err);

/* A packet's pages are 512 KiB at most. */
#define MULTIFD_PAGES_BYTES (512U * 1024)
/* QEMU's own bound of what a compressor makes of them. */
#define MULTIFD_PAYLOAD_MAX (2 * MULTIFD_PAGES_BYTES)

/* Of a packet's header, whose length depends on the target's page size alone.
 */
size_t multifd_header_size(uint32_t page_size);

struct multifd_packet {
        bool sync;       /* what has come before it is older than what follows
                          */
        uint64_t number; /* in the order in which QEMU sent them, about       */
        unsigned normal; /* pages in the payload, in order of page[]         */
        unsigned zero;   /* pages of zeros, behind them in page[]            */
        uint32_t payload; /* bytes that follow the header                     */
        unsigned block;   /* if there are pages */
        const uint8_t *page; /* offsets, be64, in the header                  */
};

/* head: multifd_header_size(page_size) bytes, which out->page points into.
 * zstd: how the payload is to be compressed, else not at all. */
bool multifd_packet_parse(const uint8_t *head, uint32_t page_size, bool zstd,
                          const struct ram_blocks *blocks,
                          struct multifd_packet *out, struct err *err);
/* In bytes into the block, which the page is within. */
uint64_t multifd_offset(const struct multifd_packet *p, unsigned n);

#endif
