/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A snapshot in a file: trailer, then index, then members by the index, in
 * their order, so that reading is sequential and nothing grows with the file.
 * The index is read twice, to prove it and to follow it; both times its digest
 * must come out right, so that a file that changes meanwhile is noticed.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/reader_private.h"
#include "format/tar_check.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#define READ_AHEAD (16 * MiB)

static bool bad_index(struct err *err, const char *why)
{
        err_in_section(err, MEMBER_INDEX);
        return err_set(err, ERR_CORRUPT, "%s", why);
}

static uint64_t padded(uint64_t size)
{
        return (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

static bool read_trailer(struct reader *r, struct err *err)
{
        uint8_t bytes[TRAILER_FROM_END];
        struct file_source *f = &r->file;
        struct trailer *t = &f->trailer;
        uint64_t at;

        if (f->size < TRAILER_FROM_END)
                return err_set(err, ERR_TRUNCATED,
                               "%llu bytes: too short for a snapshot",
                               (unsigned long long)f->size);
        at = f->size - TRAILER_FROM_END;
        TRY(io_pread_all(r->fd, bytes, sizeof bytes, at, r->name, err));
        TRY(trailer_decode(bytes, at, t, err));
        if (t->file_size != f->size) {
                err_in_section(err, MEMBER_TRAILER);
                return err_set(err, ERR_CORRUPT,
                               "the file has %llu bytes, the trailer says %llu",
                               (unsigned long long)f->size,
                               (unsigned long long)t->file_size);
        }
        for (size_t i = TRAILER_SIZE; i < sizeof bytes; i++) {
                if (bytes[i]) {
                        err_at(err, at + i);
                        err_in_section(err, "end of archive");
                        return err_set(err, ERR_CORRUPT, "not zero");
                }
        }
        /* Index and trailer header fill what is before the trailer. */
        if (t->index_offset > at || t->index_size > at ||
            t->index_offset % TAR_BLOCK != 0 || t->members > LIMIT_MEMBERS ||
            t->index_offset + padded(t->index_size) + TAR_BLOCK != at)
                return bad_index(err, "not where the trailer says");
        return true;
}

static void rewind_index(struct file_source *f)
{
        f->index_pos = 0;
        f->text_begin = f->text_end = 0;
        f->text_left = f->trailer.index_size;
        f->data_end = 0;
        f->walked = false;
        digest_reset(f->index);
}

/* The next line without its newline; *line_out = NULL at the end. */
static bool next_line(struct reader *r, const char **line_out, size_t *len_out,
                      struct err *err)
{
        struct file_source *f = &r->file;
        size_t have = f->text_end - f->text_begin;
        char *line = f->text + f->text_begin;
        char *end = memchr(line, '\n', have);

        *line_out = NULL;
        if (!end && f->text_left > 0) {
                size_t now = sizeof f->text - have;

                memmove(f->text, line, have);
                if (now > f->text_left)
                        now = (size_t)f->text_left;
                TRY(io_pread_all(r->fd, f->text + have, now,
                                 f->trailer.index_offset +
                                         f->trailer.index_size - f->text_left,
                                 r->name, err));
                digest_update(f->index, f->text + have, now);
                f->text_left -= now;
                f->text_begin = 0;
                f->text_end = have + now;
                line = f->text;
                end = memchr(line, '\n', f->text_end);
        }
        if (!end)
                return f->text_end == f->text_begin ||
                       bad_index(err, "a line without end");
        *line_out = line;
        *len_out = (size_t)(end - line);
        f->text_begin += (size_t)(end - line) + 1;
        return true;
}

static bool first_line(struct reader *r, struct err *err)
{
        const char *line;
        size_t len;

        rewind_index(&r->file);
        TRY(next_line(r, &line, &len, err));
        if (!line || len + 1 != strlen(INDEX_HEADER) ||
            memcmp(line, INDEX_HEADER, len) != 0)
                return bad_index(err, "its first line is not known");
        return true;
}

/* The index has been read to its end: was it the one that was proven? */
static bool prove_index(struct reader *r, struct err *err)
{
        uint8_t digest[DIGEST_SIZE];

        digest_result(r->file.index, digest);
        if (memcmp(digest, r->file.trailer.index_digest, DIGEST_SIZE) != 0) {
                err_at(err, r->file.trailer.index_offset);
                return bad_index(err, "digest mismatch");
        }
        return true;
}

/* The next entry, in its place behind the one before; false in *more_out at
 * the end. */
static bool next_entry(struct reader *r, struct index_entry *e, bool *more_out,
                       struct err *err)
{
        struct file_source *f = &r->file;
        const char *line;
        uint64_t begin;
        size_t len;

        TRY(next_line(r, &line, &len, err));
        f->line = line;
        f->line_len = len;
        *more_out = line != NULL;
        if (!line) {
                f->walked = true;
                return prove_index(r, err);
        }
        TRY(index_parse(line, len, e, err));
        begin = padded(f->data_end);
        if (e->data_offset % TAR_BLOCK != 0 ||
            e->data_offset < begin + TAR_BLOCK ||
            e->data_offset > f->trailer.index_offset ||
            e->data_offset - f->data_end > GAP_MAX ||
            e->stored_len > f->trailer.index_offset - e->data_offset) {
                in_member(err, e);
                return err_set(err, ERR_CORRUPT,
                               "the index puts it at a place where it cannot "
                               "be");
        }
        f->data_end = e->data_offset + e->stored_len;
        return true;
}

static bool is_known_kind(const char *name)
{
        return strncmp(name, "stasis/", 7) == 0 && !order_is_segment(name);
}

/* found->name "": there is none. */
static bool find_entry(struct reader *r, const char *name,
                       struct index_entry *found, struct err *err)
{
        struct file_source *f = &r->file;
        struct index_entry e;
        bool more;

        found->name[0] = '\0';
        for (unsigned i = 0; i < f->known_count; i++)
                if (strcmp(f->known[i].name, name) == 0)
                        *found = f->known[i];
        if (found->name[0])
                return true;
        /* All that are so named are known. */
        if (f->known_count < KNOWN_MEMBERS && is_known_kind(name))
                return true;
        TRY(first_line(r, err));
        for (;;) {
                TRY(next_entry(r, &e, &more, err));
                if (!more)
                        break;
                if (strcmp(e.name, name) == 0)
                        *found = e;
        }
        return first_line(r, err);
}

bool reader_get(struct reader *r, const char *name, size_t max,
                uint8_t **bytes_out, size_t *len_out, struct err *err)
{
        struct index_entry found;
        uint8_t digest[DIGEST_SIZE], *bytes;

        *bytes_out = NULL;
        *len_out = 0;
        if (r->is_pipe)
                return err_set(err, ERR_UNSUPPORTED,
                               "from a pipe this cannot be had; give a file");
        assert(!r->file.reading);
        TRY(find_entry(r, name, &found, err));
        if (!found.name[0])
                return true;
        if (found.stored_len > max || found.raw_len != found.stored_len) {
                err_set(err, ERR_LIMIT, "larger than %zu bytes", max);
                return in_member(err, &found);
        }
        bytes = malloc((size_t)found.stored_len + 1);
        if (!bytes)
                return err_nomem(err);
        if (!io_pread_all(r->fd, bytes, (size_t)found.stored_len,
                          found.data_offset, r->name, err)) {
                free(bytes);
                return false;
        }
        digest_of(bytes, (size_t)found.stored_len, digest);
        if (memcmp(digest, found.stored_digest, DIGEST_SIZE) != 0) {
                free(bytes);
                err_set(err, ERR_CORRUPT, "digest mismatch");
                return in_member(err, &found);
        }
        *bytes_out = bytes;
        *len_out = (size_t)found.stored_len;
        return true;
}

static bool get_json(struct reader *r, const char *name, json_t **out,
                     struct err *err)
{
        CLEANUP_FREE uint8_t *bytes = NULL;
        size_t len;

        TRY(reader_get(r, name, LIMIT_JSON_BYTES, &bytes, &len, err));
        if (!bytes) {
                err_in_section(err, name);
                return err_set(err, ERR_CORRUPT, "missing");
        }
        return load_json(bytes, len, name, out, err);
}

/* A segment holds the lines since the one before, to the byte: what a reader of
 * a pipe would find. */
static bool check_segment(struct file_source *f, const struct index_entry *e,
                          struct err *err)
{
        uint8_t digest[DIGEST_SIZE];

        if (order_is_segment(e->name)) {
                digest_result(f->segment, digest);
                if (memcmp(digest, e->stored_digest, DIGEST_SIZE) != 0)
                        return err_set(err, ERR_CORRUPT,
                                       "says otherwise than the index");
                digest_reset(f->segment);
        }
        digest_update(f->segment, f->line, f->line_len + 1);
        return true;
}

/* Whether the member is asked for. */
static bool wanted(const struct reader *r, const struct index_entry *e)
{
        const char *only = r->options.only;

        return !only || strncmp(e->name, only, strlen(only)) == 0;
}

static void note_known(struct file_source *f, const struct index_entry *e)
{
        if (f->known_count < KNOWN_MEMBERS && is_known_kind(e->name))
                f->known[f->known_count++] = *e;
}

/* The whole index once: proven, and every entry in its place. */
static bool survey(struct reader *r, struct err *err)
{
        struct order order = {0};
        struct index_entry e;
        bool more;

        TRY(first_line(r, err));
        for (;;) {
                TRY(next_entry(r, &e, &more, err));
                if (!more)
                        break;
                if (!order_take(&order, e.name, err) ||
                    !check_segment(&r->file, &e, err))
                        return in_member(err, &e);
                note_known(&r->file, &e);
                if (wanted(r, &e))
                        r->total_bytes += e.stored_len;
        }
        if (order.members != r->file.trailer.members)
                return bad_index(err, "not as many lines as the trailer says");
        return order_end(&order, err);
}

bool file_open(struct reader *r, struct err *err)
{
        struct stat st;

        r->file.index = digest_new();
        r->file.segment = digest_new();
        if (!r->file.index || !r->file.segment)
                return err_nomem(err);
        if (fstat(r->fd, &st) != 0)
                return err_set(err, ERR_IO, "fstat failed");
        r->file.size = (uint64_t)st.st_size;
        TRY(read_trailer(r, err));
        TRY(survey(r, err));
        TRY(get_json(r, MEMBER_MANIFEST, &r->manifest, err));
        TRY(manifest_check(r->manifest, err));
        r->packed = manifest_requires(r->manifest, FEATURE_ZSTD);
        TRY(get_json(r, MEMBER_STATE, &r->state, err));
        TRY(state_check(r->state, err));
        return first_line(r, err);
}

void file_close(struct reader *r)
{
        digest_free(r->file.index);
        digest_free(r->file.segment);
}

/* The disk works while others unpack and load: members lie one behind the
 * other. */
static void fetch_ahead(struct reader *r, uint64_t end)
{
        struct file_source *f = &r->file;

        if (r->options.only || end + READ_AHEAD / 2 < f->fetched)
                return;
        if (f->fetched < end)
                f->fetched = end;
        io_start_readahead(r->fd, f->fetched, READ_AHEAD);
        f->fetched += READ_AHEAD;
}

bool file_fetch(struct reader *r, struct read_job *j, bool *more_out,
                struct err *err)
{
        struct file_source *f = &r->file;
        struct index_entry *e = &j->entry;
        uint64_t begin;
        size_t need;

        f->reading = true;
        if (f->walked) {
                *more_out = false;
                return true;
        }
        do {
                begin = f->data_end;
                TRY(next_entry(r, e, more_out, err));
                if (!*more_out)
                        return true;
        } while (!wanted(r, e));
        TRY(job_classify(r, j, err));
        j->known = true;
        j->gap_len = (size_t)(e->data_offset - begin);
        need = j->gap_len + (size_t)e->stored_len;
        fetch_ahead(r, begin + need);
        j->gap_begin = begin;
        return job_room(j, need, err);
}

bool file_read(struct read_job *j, struct err *err)
{
        const struct reader *r = j->reader;

        return io_pread_all(r->fd, j->buf,
                            j->gap_len + (size_t)j->entry.stored_len,
                            j->gap_begin, r->name, err) ||
               in_member(err, &j->entry);
}

bool file_account(struct reader *r, const struct read_job *j, struct err *err)
{
        const struct index_entry *e = &j->entry;

        digest_update(r->frame, j->buf, j->gap_len);
        return tar_check(j->buf, j->gap_len, j->gap_begin, e->name,
                         e->stored_len, err) ||
               in_member(err, e);
}

/* From `begin` to `end` there are only headers and padding. */
static bool frame_gap(struct reader *r, uint64_t begin, uint64_t end,
                      const char *name, uint64_t size, struct err *err)
{
        uint8_t gap[GAP_MAX];
        size_t len = (size_t)(end - begin);

        if (end < padded(begin) + TAR_BLOCK || len > sizeof gap)
                return bad_index(err, "not where its header ends");
        TRY(io_pread_all(r->fd, gap, len, begin, r->name, err));
        digest_update(r->frame, gap, len);
        if (!tar_check(gap, len, begin, name, size, err))
                return err_in_section(err, name);
        return true;
}

bool file_finish(struct reader *r, struct err *err)
{
        const struct trailer *t = &r->file.trailer;
        uint8_t digest[DIGEST_SIZE];

        if (r->file.ended || r->options.only)
                return true;
        r->file.ended = true;
        TRY(frame_gap(r, r->file.data_end, t->index_offset, MEMBER_INDEX,
                      t->index_size, err));
        TRY(frame_gap(r, t->index_offset + t->index_size,
                      r->file.size - TRAILER_FROM_END, MEMBER_TRAILER,
                      TRAILER_SIZE, err));
        digest_result(r->frame, digest);
        if (memcmp(digest, t->frame_digest, DIGEST_SIZE) == 0)
                return true;
        err_in_section(err, "tar headers");
        return err_set(err, ERR_CORRUPT,
                       "digest mismatch of headers and padding");
}

bool reader_index(struct reader *r,
                  bool (*fn)(void *arg, const struct index_entry *e,
                             struct err *err),
                  void *arg, struct err *err)
{
        struct index_entry e;
        bool more;

        if (r->is_pipe)
                return err_set(err, ERR_UNSUPPORTED,
                               "a pipe has no index to look up; give a file");
        assert(!r->file.reading);
        TRY(first_line(r, err));
        for (;;) {
                TRY(next_entry(r, &e, &more, err));
                if (!more)
                        break;
                if (!fn(arg, &e, err)) {
                        struct err ignored = ERR_INIT;

                        first_line(r, &ignored);
                        return false;
                }
        }
        return first_line(r, err);
}
