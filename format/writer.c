/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/writer.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/pool.h"
#include "base/sink.h"
#include "base/spool.h"
#include "format/archive.h"
#include "base/codec.h"
#include "format/digest.h"
#include "format/index.h"
#include "format/stasis_format.h"
#include "format/trailer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INDEX_MEMORY (4 * MiB)

struct job {
        struct chunk chunk; /* first: the caller's view */
        uint8_t *packed;
        size_t packed_room, stored_len;
        bool zero;
        uint8_t raw_digest[DIGEST_SIZE], stored_digest[DIGEST_SIZE];
};

struct writer {
        struct writer_options options;
        const char *name;
        int fd;
        struct sink *sink;
        struct archive_out *archive;
        struct pool *pool;
        struct codec *codec;    /* for reading back */
        uint8_t *back;          /* for reading back: stored bytes */
        struct spool *tee;      /* a pipe's chunks, for reading back */
        struct spool *lines;    /* of the index, without its header */
        uint64_t segment_begin; /* in lines */
        unsigned segment_lines, segments;
        uint64_t members, chunks, raw_bytes, stored_bytes;
        struct digest *frame;
};

static void *job_new(void *arg)
{
        const struct writer *w = arg;
        struct job *j = calloc(1, sizeof *j);

        if (!j)
                return NULL;
        j->packed_room = codec_bound(CHUNK_SIZE);
        j->packed = w->options.compress ? malloc(j->packed_room) : NULL;
        j->chunk.bytes = aligned_alloc(64, CHUNK_SIZE);
        if (!j->chunk.bytes || (w->options.compress && !j->packed)) {
                free(j->packed);
                free(j->chunk.bytes);
                free(j);
                return NULL;
        }
        return j;
}

static void job_free(void *job)
{
        struct job *j = job;

        free(j->packed);
        free(j->chunk.bytes);
        free(j);
}

static void *worker_new(void *arg)
{
        const struct writer *w = arg;

        return codec_new(w->options.level);
}

static void worker_free(void *worker)
{
        codec_free(worker);
}

static bool work(void *worker, void *job, struct err *err)
{
        struct job *j = job;
        struct chunk *c = &j->chunk;

        j->zero = c->drop_zero && bytes_are_zero(c->bytes, c->len);
        if (j->zero)
                return true;
        digest_of(c->bytes, c->len, j->raw_digest);
        if (!j->packed) {
                j->stored_len = c->len;
                memcpy(j->stored_digest, j->raw_digest, DIGEST_SIZE);
                return true;
        }
        TRY(codec_pack(worker, c->bytes, c->len, j->packed, j->packed_room,
                       &j->stored_len, err));
        digest_of(j->packed, j->stored_len, j->stored_digest);
        return true;
}

static bool put_bytes(void *arg, const void *bytes, size_t len, bool frame,
                      struct err *err)
{
        struct writer *w = arg;

        if (frame)
                digest_update(w->frame, bytes, len);
        return sink_write(w->sink, bytes, len, err);
}

static bool set_up(struct writer *w, bool read_back, struct err *err)
{
        static const struct pool_ops ops = {
                .job_new = job_new,
                .job_free = job_free,
                .worker_new = worker_new,
                .worker_free = worker_free,
                .work = work,
        };
        const char *dir = w->options.spool_dir;

        w->frame = digest_new();
        w->codec = codec_new(w->options.level);
        w->back = malloc(codec_bound(CHUNK_SIZE));
        if (!w->frame || !w->codec || !w->back)
                return err_nomem(err);
        TRY(sink_new(w->fd, w->name, &w->sink, err));
        if (read_back && !sink_is_file(w->sink))
                TRY(spool_new(dir, 0, &w->tee, err));
        TRY(spool_new(dir, INDEX_MEMORY, &w->lines, err));
        TRY(archive_out_new(put_bytes, w, w->options.mtime, &w->archive, err));
        return pool_new(&ops, w, w->options.threads, &w->pool, err);
}

bool writer_new(int fd, const char *name, bool read_back,
                const struct writer_options *options, struct writer **out_,
                struct err *err)
{
        struct writer *w = calloc(1, sizeof *w);

        if (!w)
                return err_nomem(err);
        w->options = *options;
        w->name = name;
        w->fd = fd;
        if (!set_up(w, read_back, err)) {
                writer_free(w);
                return false;
        }
        *out_ = w;
        return true;
}

void writer_free(struct writer *w)
{
        if (!w)
                return;
        pool_free(w->pool);
        archive_out_free(w->archive);
        spool_free(w->lines);
        spool_free(w->tee);
        codec_free(w->codec);
        digest_free(w->frame);
        sink_free(w->sink);
        free(w->back);
        free(w);
}

uint64_t writer_size(const struct writer *w)
{
        return sink_size(w->sink);
}

static bool add_line(struct writer *w, const struct index_entry *e,
                     struct err *err)
{
        char line[LIMIT_INDEX_LINE];

        if (w->members >= LIMIT_MEMBERS)
                return err_set(err, ERR_LIMIT, "more than %d members",
                               LIMIT_MEMBERS);
        w->members++;
        w->segment_lines++;
        return spool_append(w->lines, line, index_line(e, line), err);
}

/* A member of bytes that are at hand, and its line. */
static bool put(struct writer *w, struct index_entry *e, const void *bytes,
                struct err *err)
{
        TRY(archive_out_begin(w->archive, e->name, e->stored_len, err));
        e->data_offset = writer_size(w);
        TRY(archive_out_data(w->archive, bytes, (size_t)e->stored_len, err));
        TRY(archive_out_end(w->archive, err));
        return add_line(w, e, err);
}

static bool put_plain(struct writer *w, const char *name, const void *bytes,
                      size_t len, struct err *err)
{
        struct index_entry e = {.stored_len = len, .raw_len = len};

        snprintf(e.name, sizeof e.name, "%s", name);
        digest_of(bytes, len, e.stored_digest);
        memcpy(e.raw_digest, e.stored_digest, DIGEST_SIZE);
        return put(w, &e, bytes, err);
}

/* The lines since the last segment, as a member, so that a reader of a pipe
 * learns early of damage. */
static bool put_segment(struct writer *w, struct err *err)
{
        size_t len = (size_t)(spool_size(w->lines) - w->segment_begin);
        CLEANUP_FREE char *text = malloc(len + 1);
        char name[64];

        if (!text)
                return err_nomem(err);
        TRY(spool_read(w->lines, w->segment_begin, text, len, err));
        w->segment_begin = spool_size(w->lines);
        w->segment_lines = 0;
        snprintf(name, sizeof name, MEMBER_SEGMENT "%06u", w->segments++);
        return put_plain(w, name, text, len, err);
}

static bool put_chunk(struct writer *w, struct job *j, struct err *err)
{
        struct chunk *c = &j->chunk;
        const uint8_t *bytes = j->packed ? j->packed : c->bytes;
        struct index_entry e = {.stored_len = j->stored_len, .raw_len = c->len};
        uint64_t place;

        snprintf(e.name, sizeof e.name, "%s/%016" PRIx64 "%s", c->dir,
                 c->address, j->packed ? ".zst" : "");
        memcpy(e.raw_digest, j->raw_digest, DIGEST_SIZE);
        memcpy(e.stored_digest, j->stored_digest, DIGEST_SIZE);
        TRY(put(w, &e, bytes, err));
        place = e.data_offset;
        if (w->tee) {
                place = spool_size(w->tee);
                TRY(spool_append(w->tee, bytes, j->stored_len, err));
        }
        w->chunks++;
        w->raw_bytes += c->len;
        w->stored_bytes += j->stored_len;
        if (w->options.written)
                w->options.written(w->options.arg, c->tag, place,
                                   (uint32_t)j->stored_len);
        return true;
}

/* Writes the oldest chunk that was submitted, waiting for its worker. */
static bool collect(struct writer *w, struct err *err)
{
        void *job;
        struct job *j;
        bool ok = pool_next(w->pool, &job, err);

        if (!job)
                return ok;
        j = job;
        if (ok && j->zero && w->options.written)
                w->options.written(w->options.arg, j->chunk.tag, 0, 0);
        if (ok && !j->zero)
                ok = put_chunk(w, j, err);
        pool_done(w->pool, job);
        if (ok && w->segment_lines >= SEGMENT_MEMBERS)
                ok = put_segment(w, err);
        return ok;
}

bool writer_borrow(struct writer *w, struct chunk **out_, struct err *err)
{
        void *job;

        while ((job = pool_borrow(w->pool)) == NULL)
                TRY(collect(w, err));
        *out_ = &((struct job *)job)->chunk;
        return true;
}

bool writer_submit(struct writer *w, struct chunk *chunk, struct err *err)
{
        (void)err;
        assert(chunk->len > 0 && chunk->len <= CHUNK_SIZE);
        pool_submit(w->pool, chunk);
        return true;
}

void writer_return(struct writer *w, struct chunk *chunk)
{
        pool_done(w->pool, chunk);
}

bool writer_flush(struct writer *w, struct err *err)
{
        while (pool_pending(w->pool) > 0)
                TRY(collect(w, err));
        return true;
}

bool writer_read_back(struct writer *w, uint64_t data_offset,
                      uint32_t stored_len, uint8_t *bytes, size_t len,
                      struct err *err)
{
        uint8_t *to = w->options.compress ? w->back : bytes;

        assert(stored_len <= codec_bound(CHUNK_SIZE));
        assert(w->options.compress || stored_len == len);
        if (w->tee) {
                TRY(spool_read(w->tee, data_offset, to, stored_len, err));
        } else {
                TRY(sink_read(w->sink, to, stored_len, data_offset, err));
        }
        return !w->options.compress ||
               codec_unpack(w->codec, to, stored_len, bytes, len, err);
}

bool writer_member(struct writer *w, const char *name, const void *bytes,
                   size_t len, struct err *err)
{
        TRY(writer_flush(w, err));
        return put_plain(w, name, bytes, len, err);
}

static bool put_json(struct writer *w, const char *name, const json_t *value,
                     struct err *err)
{
        char *text = json_dumps(value, JSON_INDENT(1));
        bool ok;

        if (!text)
                return err_nomem(err);
        ok = strlen(text) <= LIMIT_JSON_BYTES ||
             err_set(err, ERR_LIMIT, "%s: larger than %llu bytes", name,
                     (unsigned long long)LIMIT_JSON_BYTES);
        ok = ok && writer_member(w, name, text, strlen(text), err);
        free(text);
        return ok;
}

bool writer_manifest(struct writer *w, const json_t *manifest, struct err *err)
{
        json_t *m, *required;
        bool ok;

        required = w->options.compress
                           ? json_pack("[s, s]", FEATURE_DIGEST, FEATURE_ZSTD)
                           : json_pack("[s]", FEATURE_DIGEST);
        m = json_pack("{s:{s:i, s:i}, s:{s:o, s:[]}, s:{s:s, s:s}}", "format",
                      "major", FORMAT_MAJOR, "minor", FORMAT_MINOR, "features",
                      "required", required, "optional", "writer", "name",
                      "stasis", "version", STASIS_VERSION);
        ok = m && json_object_update((json_t *)m,
                                     (json_t *)(uintptr_t)manifest) == 0;
        ok = ok ? put_json(w, MEMBER_MANIFEST, m, err) : err_nomem(err);
        json_decref(m);
        return ok;
}

bool writer_state(struct writer *w, const json_t *state, struct err *err)
{
        json_t *s = json_copy((json_t *)(uintptr_t)state), *totals;
        bool ok;

        ok = writer_flush(w, err);
        totals = json_pack("{s:I, s:I, s:I}", "chunks", (json_int_t)w->chunks,
                           "raw_bytes", (json_int_t)w->raw_bytes,
                           "stored_bytes", (json_int_t)w->stored_bytes);
        if (ok && (!s || !totals || json_object_set(s, "totals", totals) != 0))
                ok = err_nomem(err);
        ok = ok && put_json(w, MEMBER_STATE, s, err);
        json_decref(totals);
        json_decref(s);
        return ok;
}

/* The index is streamed out of its spool. */
static bool put_index(struct writer *w, struct trailer *t, struct err *err)
{
        uint64_t size = spool_size(w->lines);
        struct digest *d = digest_new();
        char block[16 * KiB];
        bool ok = d != NULL || err_nomem(err);

        t->index_size = strlen(INDEX_HEADER) + size;
        ok = ok &&
             archive_out_begin(w->archive, MEMBER_INDEX, t->index_size, err);
        t->index_offset = writer_size(w);
        if (ok) {
                digest_update(d, INDEX_HEADER, strlen(INDEX_HEADER));
                ok = archive_out_data(w->archive, INDEX_HEADER,
                                      strlen(INDEX_HEADER), err);
        }
        for (uint64_t at = 0; ok && at < size;) {
                size_t now = size - at < sizeof block ? (size_t)(size - at)
                                                      : sizeof block;

                ok = spool_read(w->lines, at, block, now, err) &&
                     archive_out_data(w->archive, block, now, err);
                digest_update(d, block, now);
                at += now;
        }
        if (ok)
                digest_result(d, t->index_digest);
        digest_free(d);
        return ok && archive_out_end(w->archive, err);
}

bool writer_finish(struct writer *w, struct err *err)
{
        struct trailer t = {0};
        uint8_t bytes[TRAILER_SIZE];

        TRY(writer_flush(w, err));
        TRY(put_index(w, &t, err));
        TRY(archive_out_begin(w->archive, MEMBER_TRAILER, TRAILER_SIZE, err));
        t.members = w->members;
        t.file_size = writer_size(w) + TRAILER_SIZE + TAR_END_SIZE;
        digest_result(w->frame, t.frame_digest);
        trailer_encode(&t, bytes);
        TRY(archive_out_data(w->archive, bytes, sizeof bytes, err));
        TRY(archive_out_end(w->archive, err));
        TRY(archive_out_close(w->archive, err));
        assert(writer_size(w) == t.file_size);
        return sink_flush(w->sink, err);
}
