/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer: a snapshot, written in one pass to a file or a pipe.
 *
 *      writer_new, writer_manifest,
 *      { writer_borrow, fill, writer_submit | writer_member } ...,
 *      writer_state, writer_finish, writer_free
 *
 * Members appear in submission order at any thread count.  Every 512 members
 * an index segment follows.  The caller publishes the file (base/io.h).
 * All calls from one thread.
 */
#ifndef STASIS_FORMAT_WRITER_H
#define STASIS_FORMAT_WRITER_H

#include "base/err.h"

#include <jansson.h>

struct writer;

struct writer_options {
        bool compress;         /* false: members are stored as they are      */
        int level;             /* zstd level                                 */
        unsigned threads;      /* workers; 0: none, the serial twin          */
        int64_t mtime;         /* of every member, seconds since the epoch   */
        const char *spool_dir; /* for a pipe and for the index; NULL: default */
        /* Called, from within any writer call, when a submitted chunk has been
         * written: where its stored bytes begin (for writer_read_back) and how
         * many they are; stored_len 0: it was zero and was dropped. */
        void (*written)(void *arg, uint64_t tag, uint64_t data_offset,
                        uint32_t stored_len);
        void *arg;
};

/* A chunk being filled. bytes: CHUNK_SIZE, 64-byte aligned. */
struct chunk {
        uint8_t *bytes;
        size_t len;       /* 1..CHUNK_SIZE                                   */
        char dir[512];    /* "ram/pc.ram": the member's name before the
                             address (format/name.h makes them)              */
        uint64_t address; /* multiple of CHUNK_SIZE for RAM and stream       */
        bool drop_zero;   /* write nothing if all bytes are zero             */
        uint64_t tag;     /* the caller's, for written()                     */
};

/* fd: borrowed. name: for errors.  read_back: whether writer_read_back will
 * be used; then, if fd is not a regular file, what is written is also kept in
 * an unlinked spool. */
bool writer_new(int fd, const char *name, bool read_back,
                const struct writer_options *options, struct writer **out,
                struct err *err);
/* NULL is fine. Says nothing about the file's fate. */
void writer_free(struct writer *w);

/* stasis/manifest.json; must be first.  The writer adds what is its own: format
 * version, features, digest and compression names. */
bool writer_manifest(struct writer *w, const json_t *manifest, struct err *err);

/* A free chunk; writes out finished ones until there is one. */
bool writer_borrow(struct writer *w, struct chunk **out, struct err *err);
/* Takes the chunk back, always. */
bool writer_submit(struct writer *w, struct chunk *chunk, struct err *err);
/* Takes a borrowed chunk back unwritten. */
void writer_return(struct writer *w, struct chunk *chunk);
/* Waits until all that was submitted is written (and told by written()). */
bool writer_flush(struct writer *w, struct err *err);
/* Chunk bytes that were written before, raw; len as they were submitted. */
bool writer_read_back(struct writer *w, uint64_t data_offset,
                      uint32_t stored_len, uint8_t *bytes, size_t len,
                      struct err *err);

/* A whole small member, stored as it is: "stasis/vmdesc.json". Flushes. */
bool writer_member(struct writer *w, const char *name, const void *bytes,
                   size_t len, struct err *err);
/* stasis/state.json; the writer adds totals. */
bool writer_state(struct writer *w, const json_t *state, struct err *err);
/* Index, trailer, end of archive.  Does not sync. */
bool writer_finish(struct writer *w, struct err *err);

/* Bytes written so far. */
uint64_t writer_size(const struct writer *w);

#endif
