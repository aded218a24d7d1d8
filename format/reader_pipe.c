/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A snapshot from a pipe: one pass.  Each member's index line is made again
 * from what was seen, and compared with the segments on the way and with the
 * index at the end; so nothing has to be kept.
 *
 * All bytes pass through feed(); those that are not a member's data are frame
 * (headers, padding) and go into their digest.  A member's data begins where
 * libarchive stands after its header; bytes that libarchive has read ahead of
 * that are pending until they are classified.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/reader_private.h"
#include "format/tar_check.h"

#include <assert.h>
#include <string.h>

#define LINES_MEMORY (1024 * 1024)

static bool too_much_frame(struct err *err)
{
        return err_set(err, ERR_CORRUPT,
                       "more than padding and a header between two members");
}

static bool keep_pending(struct pipe_source *p, const uint8_t *bytes,
                         size_t len, struct err *err)
{
        /* libarchive asks for more only when it has used what it has: headers
         * without end must not fill memory. */
        if (p->pending_len > GAP_MAX)
                return too_much_frame(err);
        if (len > p->pending_room - p->pending_len) {
                size_t room = p->pending_len + len + BLOCK_SIZE;
                uint8_t *grown = realloc(p->pending, room);

                if (!grown)
                        return err_nomem(err);
                p->pending = grown;
                p->pending_room = room;
        }
        memcpy(p->pending + p->pending_len, bytes, len);
        p->pending_len += len;
        return true;
}

static bool feed(void *arg, const void **bytes_out, size_t *len_out,
                 struct err *err)
{
        struct reader *r = arg;
        struct pipe_source *p = &r->pipe;
        uint64_t begin = p->delivered, skip = 0;
        size_t len;

        TRY(io_read_some(r->fd, p->block, BLOCK_SIZE, &len, r->name, err));
        p->eof = len == 0;
        p->delivered += len;
        if (p->classified > begin)
                skip = p->classified - begin;
        if (skip < len)
                TRY(keep_pending(p, p->block + skip, len - (size_t)skip, err));
        *bytes_out = p->block;
        *len_out = len;
        return true;
}

/* Everything up to `offset` is frame; then `size` bytes of data. */
static bool classify(struct reader *r, const char *name, uint64_t offset,
                     uint64_t size, struct err *err)
{
        struct pipe_source *p = &r->pipe;
        uint64_t gap = offset - p->classified, drop;

        if (offset < p->classified || gap > p->pending_len || gap > GAP_MAX)
                return too_much_frame(err);
        TRY(tar_check(p->pending, (size_t)gap, p->classified, name, size, err));
        digest_update(r->frame, p->pending, (size_t)gap);
        drop = gap + size;
        if (drop > p->pending_len)
                drop = p->pending_len;
        memmove(p->pending, p->pending + drop, p->pending_len - (size_t)drop);
        p->pending_len -= (size_t)drop;
        p->classified = offset + size;
        return true;
}

/* The next member's header; *name_out = NULL at the end of the archive. */
static bool next_header(struct reader *r, const char **name_out,
                        uint64_t *size_out, uint64_t *offset_out,
                        struct err *err)
{
        char shown[320];

        if (!archive_in_next(r->pipe.archive, name_out, size_out, offset_out,
                             err))
                return err_at(err, r->pipe.classified);
        if (!*name_out)
                return true;
        return classify(r, *name_out, *offset_out, *size_out, err) ||
               err_in_section(err, text_escape(*name_out, shown, sizeof shown));
}

static bool missing_trailer(struct err *err)
{
        return err_set(err, ERR_TRUNCATED,
                       "no trailer: an interrupted save is not a snapshot");
}

bool pipe_open(struct reader *r, struct err *err)
{
        struct pipe_source *p = &r->pipe;
        CLEANUP_FREE uint8_t *text = NULL;
        uint64_t size, offset;
        struct read_job j = {0};
        const char *name;

        p->block = malloc(BLOCK_SIZE);
        p->index = digest_new();
        if (!p->block || !p->index)
                return err_nomem(err);
        digest_update(p->index, INDEX_HEADER, strlen(INDEX_HEADER));
        p->index_bytes = strlen(INDEX_HEADER);
        TRY(spool_new(NULL, LINES_MEMORY, &p->lines, err));
        TRY(archive_in_new(feed, r, &p->archive, err));
        TRY(next_header(r, &name, &size, &offset, err));
        if (!name)
                return missing_trailer(err);
        TRY(order_take(&p->order, name, err));
        if (size > LIMIT_JSON_BYTES)
                return err_set(err, ERR_LIMIT, "%s: larger than %llu bytes",
                               name, LIMIT_JSON_BYTES);
        text = malloc((size_t)size + 1);
        if (!text)
                return err_nomem(err);
        TRY(archive_in_data(p->archive, text, (size_t)size, err));
        TRY(load_json(text, (size_t)size, MEMBER_MANIFEST, &r->manifest, err));
        TRY(manifest_check(r->manifest, err));
        r->packed = manifest_requires(r->manifest, FEATURE_ZSTD);
        strcpy(j.entry.name, MEMBER_MANIFEST);
        j.entry.data_offset = offset;
        j.entry.stored_len = j.entry.raw_len = size;
        digest_of(text, (size_t)size, j.entry.stored_digest);
        memcpy(j.entry.raw_digest, j.entry.stored_digest, DIGEST_SIZE);
        return pipe_account(r, &j, err);
}

void pipe_close(struct reader *r)
{
        struct pipe_source *p = &r->pipe;

        archive_in_free(p->archive);
        spool_free(p->lines);
        digest_free(p->index);
        free(p->block);
        free(p->pending);
}

/* A packed chunk's raw size is what its frame says; codec_unpack holds it to
 * that. */
static bool raw_size(struct read_job *j, struct err *err)
{
        struct index_entry *e = &j->entry;

        e->raw_len = e->stored_len;
        if (!j->name.zst)
                return true;
        if (codec_raw_size(j->buf, (size_t)e->stored_len, &e->raw_len, err))
                return true;
        return in_member(err, e);
}

bool pipe_fetch(struct reader *r, struct read_job *j, bool *more_out,
                struct err *err)
{
        struct pipe_source *p = &r->pipe;
        struct index_entry *e = &j->entry;
        const char *name;

        *more_out = false;
        if (p->at_index)
                return true;
        TRY(next_header(r, &name, &e->stored_len, &e->data_offset, err));
        if (!name)
                return missing_trailer(err);
        if (strcmp(name, MEMBER_INDEX) == 0) {
                p->at_index = true;
                p->index_size = e->stored_len;
                p->index_offset = e->data_offset;
                return order_end(&p->order, err);
        }
        *more_out = true;
        if (strlen(name) >= sizeof e->name)
                return err_set(err, ERR_LIMIT, "a member name too long");
        strcpy(e->name, name);
        e->raw_len = e->stored_len;
        if (e->stored_len > MEMBER_BYTES_MAX) {
                err_set(err, ERR_LIMIT, "a member of %llu bytes",
                        (unsigned long long)e->stored_len);
                return in_member(err, e);
        }
        j->known = false;
        j->gap_len = 0;
        TRY(job_room(j, (size_t)e->stored_len, err));
        if (!order_take(&p->order, e->name, err) ||
            !archive_in_data(p->archive, j->buf, (size_t)e->stored_len, err) ||
            !name_parse(e->name, &j->name, err))
                return in_member(err, e);
        TRY(raw_size(j, err));
        TRY(job_classify(r, j, err));
        /* Digests of raw bytes are found, not given: nothing may be left
         * undecoded. */
        j->decode = true;
        return true;
}

/* The segment's text against the lines since the one before. */
static bool check_segment(struct reader *r, const struct read_job *j,
                          struct err *err)
{
        struct pipe_source *p = &r->pipe;
        const uint8_t *lines;
        size_t len = (size_t)spool_size(p->lines), at = 0, begin;
        struct index_entry e;
        char shown[320];

        TRY(spool_view(p->lines, &lines, err));
        while (at < len && at < j->len && lines[at] == j->bytes[at])
                at++;
        if (at == len && at == j->len)
                return spool_reset(p->lines, err);
        for (begin = at; begin > 0 && lines[begin - 1] != '\n'; begin--)
                ;
        if (begin < len) {
                const uint8_t *end = memchr(lines + begin, '\n', len - begin);
                struct err ignored = ERR_INIT;

                if (end &&
                    index_parse((const char *)lines + begin,
                                (size_t)(end - lines) - begin, &e, &ignored)) {
                        err_in_section(
                                err, text_escape(e.name, shown, sizeof shown));
                        err_at(err, e.data_offset);
                }
        }
        return err_set(err, ERR_CORRUPT,
                       "not as the index segment %s says: digest mismatch",
                       j->entry.name);
}

bool pipe_account(struct reader *r, const struct read_job *j, struct err *err)
{
        struct pipe_source *p = &r->pipe;
        char line[LIMIT_INDEX_LINE];
        size_t len;

        if (order_is_segment(j->entry.name))
                TRY(check_segment(r, j, err));
        if (strlen(j->entry.name) > LIMIT_INDEX_LINE - INDEX_FIXED - 2)
                return err_set(err, ERR_LIMIT, "a member name too long");
        len = index_line(&j->entry, line);
        digest_update(p->index, line, len);
        p->index_bytes += len;
        return spool_append(p->lines, line, len, err);
}

/* The index as it is in the file; all that counts is its digest. */
static bool digest_index(struct reader *r, uint8_t out[DIGEST_SIZE],
                         struct err *err)
{
        struct pipe_source *p = &r->pipe;
        struct digest *d = digest_new();
        uint64_t left = p->index_size;
        char text[16 * 1024];
        bool ok = d != NULL || err_nomem(err);

        while (ok && left > 0) {
                size_t now = left < sizeof text ? (size_t)left : sizeof text;

                ok = archive_in_data(p->archive, text, now, err);
                if (ok)
                        digest_update(d, text, now);
                left -= now;
        }
        if (ok)
                digest_result(d, out);
        digest_free(d);
        return ok || err_in_section(err, MEMBER_INDEX);
}

static bool wrong(struct err *err, const char *section, const char *why)
{
        err_in_section(err, section);
        return err_set(err, ERR_CORRUPT, "%s", why);
}

static bool read_trailer(struct reader *r, struct err *err)
{
        struct pipe_source *p = &r->pipe;
        uint8_t bytes[TRAILER_SIZE], frame[DIGEST_SIZE];
        uint64_t size, offset;
        const char *name;

        TRY(next_header(r, &name, &size, &offset, err));
        if (!name)
                return missing_trailer(err);
        if (strcmp(name, MEMBER_TRAILER) != 0 || size != TRAILER_SIZE)
                return wrong(err, MEMBER_TRAILER, "missing behind the index");
        digest_result(r->frame, frame);
        TRY(archive_in_data(p->archive, bytes, sizeof bytes, err));
        TRY(trailer_decode(bytes, offset, &p->trailer, err));
        if (memcmp(frame, p->trailer.frame_digest, DIGEST_SIZE) != 0)
                return wrong(err, "tar headers",
                             "digest mismatch of headers and padding");
        if (p->trailer.file_size != offset + TRAILER_SIZE + TAR_END_SIZE ||
            p->trailer.index_offset != p->index_offset ||
            p->trailer.index_size != p->index_size ||
            p->trailer.members != p->order.members)
                return wrong(err, MEMBER_TRAILER,
                             "does not fit what came before it");
        return true;
}

bool pipe_prove(struct reader *r, struct err *err)
{
        struct pipe_source *p = &r->pipe;
        uint8_t seen[DIGEST_SIZE], stored[DIGEST_SIZE];

        digest_result(p->index, seen);
        TRY(digest_index(r, stored, err));
        if (p->index_bytes != p->index_size ||
            memcmp(seen, stored, DIGEST_SIZE) != 0)
                return wrong(err, MEMBER_INDEX,
                             "says otherwise than the members before it");
        TRY(read_trailer(r, err));
        if (memcmp(stored, p->trailer.index_digest, DIGEST_SIZE) != 0)
                return wrong(err, MEMBER_INDEX, "digest mismatch");
        p->proven = true;
        return true;
}

/* The end of the archive, and of the pipe: exactly 1024 zeros. */
bool pipe_finish(struct reader *r, struct err *err)
{
        struct pipe_source *p = &r->pipe;
        const void *bytes;
        size_t len;

        while (!p->eof) {
                TRY(feed(r, &bytes, &len, err));
                if (p->delivered > p->trailer.file_size)
                        return wrong(err, "end of archive",
                                     "bytes were appended");
        }
        if (p->delivered != p->trailer.file_size)
                return err_set(err, ERR_TRUNCATED,
                               "ends within the end of the archive");
        assert(p->pending_len == TAR_END_SIZE);
        for (size_t i = 0; i < p->pending_len; i++)
                if (p->pending[i])
                        return wrong(err, "end of archive", "not zero");
        return true;
}
