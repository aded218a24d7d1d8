/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reader: a snapshot, member by member, in the file's order, everything
 * checked.
 *
 * From a file (pread): trailer and index are verified by reader_open; members
 * are read ahead and decoded in workers.  From a pipe: one pass through
 * libarchive; damage shows at the next index segment at the latest, and only
 * when reader_next has returned READ_END is the whole file known to be sound.
 * That holds for both: before READ_END, headers and padding are not proven.
 *
 * All calls from one thread.
 */
#ifndef STASIS_FORMAT_READER_H
#define STASIS_FORMAT_READER_H

#include "base/err.h"

#include <jansson.h>

struct reader;

struct reader_options {
        unsigned threads; /* decoding workers; 0: the serial twin            */
        bool stored_only; /* check stored digests, do not decode: READ_CHUNK
                             then comes with bytes == NULL                   */
        /* A file's members whose names begin so, and no others ("disk/a/");
         * each is checked, READ_END then proves nothing more.  NULL: all. */
        const char *only;
};

enum read_kind {
        READ_CHUNK,  /* of ram/, disk/ or stream/, decoded and checked     */
        READ_MEMBER, /* a whole member under stasis/ other than manifest,
                        state, index, segments and trailer: vmdesc.json;
                        or disk/NODE/zeros                                 */
        READ_PROVEN, /* pipe only: index and trailer proved all members
                        before; state is known now.  (A file says so
                        through reader_state at open; its READ_END still
                        proves headers and padding.)                       */
        READ_END,
};

struct read_item {
        enum read_kind kind;
        char name[1024];      /* the member's full name, as in the file       */
        char dir[512];        /* "ram/pc.ram"; READ_CHUNK only                */
        uint64_t address;     /* READ_CHUNK only                              */
        const uint8_t *bytes; /* borrowed until the next reader call         */
        size_t len;
        uint64_t offset; /* of the member's stored data in the file          */
        uint64_t stored_len;
};

/* fd: borrowed; a regular file is read by its index, anything else as a
 * pipe.  name: for errors.  Reads the manifest. */
bool reader_open(int fd, const char *name, const struct reader_options *options,
                 struct reader **out, struct err *err);
void reader_close(struct reader *r);
bool reader_is_pipe(const struct reader *r);

/* Borrowed; checked by format/manifest.h. */
const json_t *reader_manifest(const struct reader *r);
/* NULL from a pipe until READ_PROVEN. */
const json_t *reader_state(const struct reader *r);

bool reader_next(struct reader *r, struct read_item *out, struct err *err);

/* Total stored bytes and members, for progress; 0 from a pipe. */
uint64_t reader_total_bytes(const struct reader *r);

/* One index line, decoded. */
struct index_entry {
        char name[1024];
        uint64_t data_offset;
        uint64_t stored_len, raw_len;
        uint8_t stored_digest[16], raw_digest[16];
};

/* Walks the index of a file, in order, without reading members; before the
 * first reader_next.  fn returns false to stop (with err set, or not).
 * ERR_UNSUPPORTED from a pipe. */
bool reader_index(struct reader *r,
                  bool (*fn)(void *arg, const struct index_entry *e,
                             struct err *err),
                  void *arg, struct err *err);

/* A whole small member of a file by name, checked ("stasis/vmdesc.json");
 * before the first reader_next.  bytes_out malloc'd.  *len_out = 0 and NULL
 * when there is none. */
bool reader_get(struct reader *r, const char *name, size_t max,
                uint8_t **bytes_out, size_t *len_out, struct err *err);

#endif
