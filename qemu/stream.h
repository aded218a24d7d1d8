/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream: QEMU's migration stream, read once from front to end.
 * (spec/migration-stream.md; QEMU 5.2 to 11.1)
 *
 * The stream has no lengths and no checksum.  Everything up to the end of RAM
 * is parsed by its layout; what is behind, device sections and vmdesc, is kept
 * in a spool until the stream is complete and then split exactly (qemu/tail.h).
 *
 * What is told, in the stream's order:
 *   item_begin, item_bytes ..., item_end    everything that is not RAM content
 *   ram_start                               after the item of RAM's START
 *   page                                    each page record, in order
 *   disk                                    each 1 MiB of block migration
 *   part_end                                after each PART of RAM
 *   ram_end                                 before the first item behind RAM
 *   complete                                nothing more comes; before the
 *                                           first device section is told
 *   vmdesc                                  after the item of EOF
 * Link commands (OPEN_RETURN_PATH, PING, POSTCOPY_ADVISE) are dropped: they
 * belong to a connection, not to a VM.  PART sections of RAM and of block
 * migration are not items; RAM's START is told without host page sizes, its
 * END, and block migration's START and END, without records.
 */
#ifndef STASIS_QEMU_STREAM_H
#define STASIS_QEMU_STREAM_H

#include "qemu/ram.h"
#include "qemu/source.h"

struct stream_item {
        unsigned number;      /* 0, 1, ... over all items told              */
        const char *kind;     /* header configuration command start part end
                                 early full eof                             */
        char idstr[256];      /* of a section; a command's name; else ""    */
        uint32_t section_id;  /* of sections                                */
        uint32_t instance_id; /* of start, early, full                      */
        uint32_t version_id;  /* of start, early, full                      */
};

struct stream_events {
        bool (*item_begin)(void *arg, const struct stream_item *item,
                           struct err *err);
        bool (*item_bytes)(void *arg, const uint8_t *bytes, size_t len,
                           struct err *err);
        bool (*item_end)(void *arg, struct err *err);
        bool (*ram_start)(void *arg, const struct ram_blocks *blocks,
                          struct err *err);
        bool (*page)(void *arg, unsigned block, uint64_t offset,
                     enum page_kind kind, const uint8_t *bytes, size_t len,
                     struct err *err);
        /* A sender at work ends one every 50 ms or so.  May be NULL. */
        bool (*part_end)(void *arg, struct err *err);
        bool (*ram_end)(void *arg, struct err *err);
        /* May be NULL. */
        bool (*complete)(void *arg, struct err *err);
        /* offset: a multiple of its length, 1 MiB; may come again, the last one
         * counts.  bytes NULL: zeros.  device: the BlockBackend's name. */
        bool (*disk)(void *arg, const char *device, uint64_t offset,
                     const uint8_t *bytes, struct err *err);
        bool (*vmdesc)(void *arg, const uint8_t *json, size_t len,
                       struct err *err);
        void *arg;
};

struct stream_options {
        /* For device state; NULL: default. */
        const char *spool_dir;
        /* A live sender never closes: at_end is asked when nothing more comes.
         * NULL: the stream ends where the file ends. */
        bool (*at_end)(void *arg, bool *at_end, struct err *err);
        /* Pages come over multifd channels as well: called at each barrier of
         * the main channel, from RAM's START on.  NULL: none do. */
        bool (*barrier)(void *arg, struct err *err);
        void *arg;
};

struct stream;

/* source: borrowed. */
bool stream_new(struct source *source, const struct stream_events *events,
                const struct stream_options *options, struct stream **out,
                struct err *err);
void stream_free(struct stream *s);
/* To the end. Errors name section and stream offset. */
bool stream_run(struct stream *s, struct err *err);

/* Known when item "configuration" was told; "" when the stream has none
 * (machine types up to 2.3). */
const char *stream_machine(const struct stream *s);
/* Known before the first page is told, 0 before that. */
uint32_t stream_page_size(const struct stream *s);
bool stream_has_footers(const struct stream *s);
/* How device sections were told apart: "vmdesc", "footers", "headers". */
const char *stream_split(const struct stream *s);
/* The source used multifd: its pages went over other connections. */
bool stream_saw_multifd(const struct stream *s);
/* Bytes behind the end of the stream. */
uint64_t stream_trailing(const struct stream *s);

#endif
