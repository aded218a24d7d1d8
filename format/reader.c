/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/reader.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/reader_private.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A pipe's raw digests are found by decoding, always. */
static bool needs_raw(const struct reader *r)
{
        return r->is_pipe || !r->options.stored_only;
}

static void *job_new(void *arg)
{
        const struct reader *r = arg;
        struct read_job *j = calloc(1, sizeof *j);

        if (!j)
                return NULL;
        j->reader = r;
        j->buf_room = codec_bound(CHUNK_SIZE) + GAP_MAX;
        j->buf = malloc(j->buf_room);
        j->raw = needs_raw(r) ? malloc(CHUNK_SIZE) : NULL;
        if (!j->buf || (!j->raw && needs_raw(r))) {
                free(j->buf);
                free(j->raw);
                free(j);
                return NULL;
        }
        return j;
}

static void job_free(void *job)
{
        struct read_job *j = job;

        free(j->buf);
        free(j->raw);
        free(j);
}

static void *worker_new(void *arg)
{
        (void)arg;
        return codec_new(1);
}

static void worker_free(void *worker)
{
        codec_free(worker);
}

bool in_member(struct err *err, const struct index_entry *e)
{
        char shown[320];

        err_at(err, e->data_offset);
        return err_in_section(err, text_escape(e->name, shown, sizeof shown));
}

static bool mismatch(const struct read_job *j, const char *what,
                     const uint8_t *stored, const uint8_t *computed,
                     struct err *err)
{
        char a[DIGEST_HEX], b[DIGEST_HEX];

        err_set(err, ERR_CORRUPT,
                "digest mismatch of %s bytes: stored %s, computed %s", what,
                digest_hex(stored, a), digest_hex(computed, b));
        return in_member(err, &j->entry);
}

/* Meets a known digest, or notes it. */
static bool meet(struct read_job *j, const char *what, uint8_t *entry,
                 const uint8_t *bytes, size_t len, struct err *err)
{
        uint8_t computed[DIGEST_SIZE];

        digest_of(bytes, len, computed);
        if (!j->known)
                memcpy(entry, computed, DIGEST_SIZE);
        else if (memcmp(entry, computed, DIGEST_SIZE) != 0)
                return mismatch(j, what, entry, computed, err);
        return true;
}

static bool work(void *worker, void *job, struct err *err)
{
        struct read_job *j = job;
        size_t len = (size_t)j->entry.stored_len;
        bool packed = j->chunk && j->name.zst;
        const uint8_t *stored;

        if (!j->reader->is_pipe)
                TRY(file_read(j, err));
        stored = j->buf + j->gap_len;
        j->bytes = NULL;
        j->len = (size_t)j->entry.raw_len;
        TRY(meet(j, "stored", j->entry.stored_digest, stored, len, err));
        if (!packed) {
                j->bytes = stored;
                if (!j->known)
                        memcpy(j->entry.raw_digest, j->entry.stored_digest,
                               DIGEST_SIZE);
                return memcmp(j->entry.raw_digest, j->entry.stored_digest,
                              DIGEST_SIZE) == 0 ||
                       mismatch(j, "raw", j->entry.raw_digest,
                                j->entry.stored_digest, err);
        }
        if (!j->decode)
                return true;
        if (!codec_unpack(worker, stored, len, j->raw, j->len, err))
                return in_member(err, &j->entry);
        j->bytes = j->raw;
        return meet(j, "raw", j->entry.raw_digest, j->raw, j->len, err);
}

bool job_room(struct read_job *j, size_t need, struct err *err)
{
        uint8_t *grown;

        if (need <= j->buf_room)
                return true;
        grown = realloc(j->buf, need);
        if (!grown)
                return err_nomem(err);
        j->buf = grown;
        j->buf_room = need;
        return true;
}

bool job_classify(struct reader *r, struct read_job *j, struct err *err)
{
        struct index_entry *e = &j->entry;

        if (!name_parse(e->name, &j->name, err))
                return in_member(err, e);
        j->chunk = j->name.class != NAME_STASIS &&
                   j->name.class != NAME_UNKNOWN && !j->name.zeros;
        j->decode = !r->options.stored_only;
        if (e->stored_len > MEMBER_BYTES_MAX) {
                err_set(err, ERR_LIMIT, "a member of %llu bytes",
                        (unsigned long long)e->stored_len);
                return in_member(err, e);
        }
        if (!j->name.zst && e->raw_len != e->stored_len) {
                err_set(err, ERR_CORRUPT,
                        "%llu stored but %llu raw bytes of what is stored as "
                        "it is",
                        (unsigned long long)e->stored_len,
                        (unsigned long long)e->raw_len);
                return in_member(err, e);
        }
        if (!j->chunk)
                return true;
        if (j->name.zst != r->packed) {
                err_set(err, ERR_CORRUPT,
                        "its suffix is not what the manifest's features say");
                return in_member(err, e);
        }
        if (e->stored_len > codec_bound(CHUNK_SIZE) ||
            e->raw_len > CHUNK_SIZE || e->raw_len == 0) {
                err_set(err, ERR_CORRUPT,
                        "a chunk of %llu stored and %llu raw bytes",
                        (unsigned long long)e->stored_len,
                        (unsigned long long)e->raw_len);
                return in_member(err, e);
        }
        return true;
}

bool load_json(const void *bytes, size_t len, const char *name, json_t **out,
               struct err *err)
{
        json_error_t why;

        *out = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why);
        if (*out)
                return true;
        err_in_section(err, name);
        return err_set(err, ERR_CORRUPT, "not JSON: line %d: %s", why.line,
                       why.text);
}

static bool open_source(struct reader *r, struct err *err)
{
        static const struct pool_ops ops = {
                .job_new = job_new,
                .job_free = job_free,
                .worker_new = worker_new,
                .worker_free = worker_free,
                .work = work,
        };
        struct stat st;

        r->frame = digest_new();
        if (!r->frame)
                return err_nomem(err);
        r->is_pipe = fstat(r->fd, &st) != 0 || !S_ISREG(st.st_mode);
        TRY(pool_new(&ops, r, r->options.threads, &r->pool, err));
        return r->is_pipe ? pipe_open(r, err) : file_open(r, err);
}

bool reader_open(int fd, const char *name, const struct reader_options *options,
                 struct reader **out, struct err *err)
{
        struct reader *r = calloc(1, sizeof *r);

        if (!r)
                return err_nomem(err);
        r->options = *options;
        r->name = name;
        r->fd = fd;
        if (!open_source(r, err)) {
                err_in_file(err, name);
                reader_close(r);
                return false;
        }
        *out = r;
        return true;
}

void reader_close(struct reader *r)
{
        if (!r)
                return;
        pool_free(r->pool);
        pipe_close(r);
        file_close(r);
        digest_free(r->frame);
        json_decref(r->manifest);
        json_decref(r->state);
        free(r);
}

bool reader_is_pipe(const struct reader *r)
{
        return r->is_pipe;
}

const json_t *reader_manifest(const struct reader *r)
{
        return r->manifest;
}

const json_t *reader_state(const struct reader *r)
{
        return r->state;
}

uint64_t reader_total_bytes(const struct reader *r)
{
        return r->total_bytes;
}

/* Keeps the workers busy: as many members ahead as there are jobs. */
static bool read_ahead(struct reader *r, struct err *err)
{
        void *job;
        bool more = true;

        while (more && (job = pool_borrow(r->pool)) != NULL) {
                bool ok = r->is_pipe ? pipe_fetch(r, job, &more, err)
                                     : file_fetch(r, job, &more, err);

                if (!ok || !more)
                        pool_done(r->pool, job);
                else
                        pool_submit(r->pool, job);
                TRY(ok);
        }
        return true;
}

static void hand_out(struct reader *r, struct read_job *j,
                     struct read_item *out)
{
        r->out = j;
        out->kind = j->chunk ? READ_CHUNK : READ_MEMBER;
        memcpy(out->name, j->entry.name, sizeof out->name);
        memcpy(out->dir, j->name.dir, sizeof out->dir);
        out->address = j->name.address;
        out->bytes = j->bytes;
        out->len = j->len;
        out->offset = j->entry.data_offset;
        out->stored_len = j->entry.stored_len;
}

/* Members that are the format's own business, or unknown, are not told. */
static bool is_told(const struct read_job *j)
{
        const char *n = j->entry.name;

        if (j->name.class == NAME_UNKNOWN)
                return false;
        return j->chunk ||
               (strcmp(n, MEMBER_MANIFEST) != 0 &&
                strcmp(n, MEMBER_STATE) != 0 && !order_is_segment(n));
}

/* Of a pipe, the digests that its worker found prove nothing yet. */
static bool arrived(struct reader *r, struct read_job *j, struct err *err)
{
        if (!r->is_pipe)
                return file_account(r, j, err);
        TRY(pipe_account(r, j, err));
        if (strcmp(j->entry.name, MEMBER_STATE) == 0) {
                TRY(load_json(j->bytes, j->len, MEMBER_STATE, &r->state, err));
                return state_check(r->state, err);
        }
        return true;
}

static bool finish(struct reader *r, struct read_item *out, struct err *err)
{
        *out = (struct read_item){.kind = READ_END};
        if (!r->is_pipe)
                return file_finish(r, err);
        if (r->pipe.proven)
                return pipe_finish(r, err);
        out->kind = READ_PROVEN;
        return pipe_prove(r, err);
}

static bool next(struct reader *r, struct read_item *out, struct err *err)
{
        for (;;) {
                void *job = NULL;
                bool ok;

                /* An error ahead must not hide what came before it. */
                ok = read_ahead(r, err);
                if (!ok && pool_pending(r->pool) == 0)
                        return false;
                if (!ok) {
                        struct err first = ERR_INIT;

                        while (pool_pending(r->pool) > 0) {
                                if (!pool_next(r->pool, &job, &first)) {
                                        *err = first;
                                        pool_done(r->pool, job);
                                        return false;
                                }
                                pool_done(r->pool, job);
                        }
                        return false;
                }
                if (pool_pending(r->pool) == 0)
                        return finish(r, out, err);
                ok = pool_next(r->pool, &job, err) && arrived(r, job, err);
                if (!ok || !is_told(job)) {
                        pool_done(r->pool, job);
                        TRY(ok);
                        continue;
                }
                hand_out(r, job, out);
                return true;
        }
}

bool reader_next(struct reader *r, struct read_item *out, struct err *err)
{
        if (r->out)
                pool_done(r->pool, r->out);
        r->out = NULL;
        return next(r, out, err) || err_in_file(err, r->name);
}
