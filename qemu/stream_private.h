/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stream.c (items), stream_ram.c (RAM records) and stream_disk.c (block
 * migration's records) share. */
#ifndef STASIS_QEMU_STREAM_PRIVATE_H
#define STASIS_QEMU_STREAM_PRIVATE_H

#include "base/limits.h"
#include "base/spool.h"
#include "qemu/config.h"
#include "qemu/iterable.h"
#include "qemu/stream.h"
#include "qemu/stream_format.h"
#include "qemu/tail.h"

struct live_section {
        uint32_t id;
        bool ram, disks;
        enum iterable iterable;
        char idstr[256];
};

#define LIVE_SECTIONS_MAX 16
#define EARLY_MAX         256

enum footers { FOOTERS_UNKNOWN, FOOTERS_ON, FOOTERS_OFF };

struct stream {
        struct source *source; /* borrowed */
        struct stream_events events;
        struct stream_options options;
        struct stream_config config;
        struct ram_blocks ram;
        struct live_section live[LIVE_SECTIONS_MAX];
        unsigned live_count;
        struct tail_early early[EARLY_MAX];
        unsigned early_count;
        enum footers footers;
        bool ram_started, ram_ended;
        bool ram_moved; /* a PART or END of RAM has been seen        */
        bool multifd;
        uint32_t page_size; /* 0: not known yet                          */
        uint32_t advised_page_size;
        int last_block;      /* for CONTINUE; -1: none                    */
        unsigned items;      /* told so far                               */
        struct spool *spool; /* the tail                                  */
        const char *split;
        uint64_t trailing;
        uint8_t page[TARGET_PAGE_MAX]; /* COMPRESS_PAGE inflates here       */
};

/* Records of a PART or END, the section's header already taken, up to and
 * with EOS. */
bool stream_ram_records(struct stream *s, uint32_t section_id, struct err *err);

/* The main channel is at a barrier of multifd. */
bool stream_barrier(struct stream *s, struct err *err);

/* The same of the section `block`. */
bool stream_disk_records(struct stream *s, struct err *err);

/* At least n bytes in view. */
bool stream_view(struct stream *s, size_t n, const uint8_t **p,
                 struct err *err);

/* Notes the failure with section and place; returns false. */
bool stream_fail(struct stream *s, struct err *err, enum status status,
                 const char *section, const char *fmt, ...)
        __attribute__((format(printf, 5, 6)));

/* Tells an item that is at hand. */
bool stream_item_whole(struct stream *s, struct stream_item *item,
                       const uint8_t *p, size_t len, struct err *err);

/* Nothing of RAM comes any more. */
bool stream_end_ram(struct stream *s, struct err *err);

/* Reads the tail to the end of the stream and tells it. */
bool stream_tail(struct stream *s, struct err *err);

#endif
