/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reader.c, reader_file.c and reader_pipe.c share. */
#ifndef STASIS_FORMAT_READER_PRIVATE_H
#define STASIS_FORMAT_READER_PRIVATE_H

#include "base/limits.h"
#include "base/pool.h"
#include "base/spool.h"
#include "format/archive.h"
#include "base/codec.h"
#include "format/digest.h"
#include "format/index.h"
#include "format/name.h"
#include "format/order.h"
#include "format/reader.h"
#include "format/stasis_format.h"
#include "format/trailer.h"

/* A member on its way through the workers. */
struct read_job {
        const struct reader *reader;
        struct index_entry entry; /* a pipe's worker fills the digests      */
        struct name name;
        bool chunk; /* of ram/, stream/, disk/; not disk/X/zeros        */
        bool known; /* digests are known and must be met (file)         */
        bool decode;
        uint8_t *buf; /* gap (file only), then the stored bytes           */
        size_t buf_room;
        size_t gap_len;
        uint64_t gap_begin; /* in the file */
        uint8_t *raw; /* CHUNK_SIZE, of compressed chunks                 */
        const uint8_t *bytes; /* result */
        size_t len;
};

/* Manifest, vmdesc, state. */
#define KNOWN_MEMBERS 4

struct file_source {
        uint64_t size;
        struct trailer trailer;
        uint64_t index_pos; /* of the next line, in the index               */
        uint64_t data_end;  /* of the member read last                      */
        uint64_t fetched;   /* up to there the kernel was asked to read     */
        char text[64 * 1024];
        size_t text_begin, text_end;
        uint64_t text_left; /* index bytes not in text yet                  */
        const char *line;   /* the one taken last, its newline behind it   */
        size_t line_len;
        /* The few members under stasis/ that are no segments, as the survey
         * found them; what is not among them is looked for. */
        struct index_entry known[KNOWN_MEMBERS];
        unsigned known_count;
        struct digest *index;   /* of the walk                              */
        struct digest *segment; /* of the lines since the last segment      */
        bool walked, reading, ended;
};

struct pipe_source {
        struct archive_in *archive;
        uint8_t *block;      /* what is read from the pipe */
        uint64_t delivered;  /* bytes given to libarchive  */
        uint64_t classified; /* bytes known to be frame or data */
        uint8_t *pending;    /* frame bytes and read-ahead from there on */
        size_t pending_len, pending_room;
        struct spool *lines; /* since the last segment     */
        struct digest *index;
        uint64_t index_bytes;
        struct order order;
        bool at_index, proven, eof;
        uint64_t index_size;
        uint64_t index_offset;
        struct trailer trailer;
};

struct reader {
        struct reader_options options;
        const char *name;
        int fd;
        bool is_pipe;
        struct pool *pool;
        struct read_job *out; /* lent to the caller */
        struct digest *frame;
        json_t *manifest, *state;
        bool packed; /* chunks are zstd frames */
        uint64_t total_bytes;
        struct file_source file;
        struct pipe_source pipe;
};

#define BLOCK_SIZE (256 * 1024)

bool file_open(struct reader *r, struct err *err);
void file_close(struct reader *r);
/* Finds one more member for j; *more_out = false at the end. */
bool file_fetch(struct reader *r, struct read_job *j, bool *more_out,
                struct err *err);
/* By a worker: what file_fetch found is read from the file. */
bool file_read(struct read_job *j, struct err *err);
/* A member has come out of the workers, in order. */
bool file_account(struct reader *r, const struct read_job *j, struct err *err);
bool file_finish(struct reader *r, struct err *err);

bool pipe_open(struct reader *r, struct err *err);
void pipe_close(struct reader *r);
bool pipe_fetch(struct reader *r, struct read_job *j, bool *more_out,
                struct err *err);
/* A member has come out of the workers, in order. */
bool pipe_account(struct reader *r, const struct read_job *j, struct err *err);
/* All members have: index and trailer. */
bool pipe_prove(struct reader *r, struct err *err);
bool pipe_finish(struct reader *r, struct err *err);

/* Decides what a member is and whether its sizes can be; entry is filled. */
bool job_classify(struct reader *r, struct read_job *j, struct err *err);
bool job_room(struct read_job *j, size_t need, struct err *err);

/* Adds the member's name and place to an error. */
bool in_member(struct err *err, const struct index_entry *e);

bool load_json(const void *bytes, size_t len, const char *name, json_t **out,
               struct err *err);

#endif
