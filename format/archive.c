/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEMBER_MODE 0600

struct archive_out {
        struct archive *handle;
        struct archive_entry *entry;
        archive_sink *sink;
        void *arg;
        bool in_data, dead;
        struct err *err; /* of the call that is running */
};

static int on_open(struct archive *handle, void *arg)
{
        (void)handle;
        (void)arg;
        return ARCHIVE_OK;
}

static la_ssize_t on_write(struct archive *handle, void *arg, const void *bytes,
                           size_t len)
{
        struct archive_out *a = arg;

        if (a->dead)
                return (la_ssize_t)len; /* being freed: nothing is written */
        if (a->sink(a->arg, bytes, len, !a->in_data, a->err))
                return (la_ssize_t)len;
        a->dead = true;
        archive_set_error(handle, EIO, "%s", a->err->why);
        return -1;
}

static bool out_failed(struct archive_out *a, struct err *err)
{
        const char *why = archive_error_string(a->handle);

        /* The sink's own error has come first, if it was that. */
        return err_set(err, ERR_IO, "libarchive: %s", why ? why : "failed");
}

static bool set_up(struct archive_out *a)
{
        struct archive *h = a->handle;

        return archive_write_set_format_pax_restricted(h) == ARCHIVE_OK &&
               archive_write_add_filter_none(h) == ARCHIVE_OK &&
               archive_write_set_bytes_per_block(h, 0) == ARCHIVE_OK &&
               archive_write_open(h, a, on_open, on_write, NULL) == ARCHIVE_OK;
}

bool archive_out_new(archive_sink *sink, void *arg, int64_t mtime,
                     struct archive_out **out, struct err *err)
{
        struct archive_out *a = calloc(1, sizeof *a);

        if (!a)
                return err_nomem(err);
        a->sink = sink;
        a->arg = arg;
        a->err = err;
        a->handle = archive_write_new();
        a->entry = archive_entry_new();
        if (!a->handle || !a->entry || !set_up(a)) {
                archive_out_free(a);
                return err_nomem(err);
        }
        archive_entry_set_filetype(a->entry, AE_IFREG);
        archive_entry_set_perm(a->entry, MEMBER_MODE);
        archive_entry_set_mtime(a->entry, mtime, 0);
        *out = a;
        return true;
}

void archive_out_free(struct archive_out *a)
{
        if (!a)
                return;
        a->dead = true;
        archive_write_free(a->handle);
        archive_entry_free(a->entry);
        free(a);
}

bool archive_out_begin(struct archive_out *a, const char *name, uint64_t size,
                       struct err *err)
{
        a->err = err;
        a->in_data = false;
        archive_entry_set_pathname(a->entry, name);
        archive_entry_set_size(a->entry, (la_int64_t)size);
        if (archive_write_header(a->handle, a->entry) != ARCHIVE_OK)
                return out_failed(a, err);
        return true;
}

bool archive_out_data(struct archive_out *a, const void *bytes, size_t len,
                      struct err *err)
{
        la_ssize_t n;

        if (len == 0)
                return true;
        a->err = err;
        a->in_data = true;
        n = archive_write_data(a->handle, bytes, len);
        a->in_data = false;
        /* More than was announced is clipped without an error. */
        if (n < 0 || (size_t)n != len)
                return out_failed(a, err);
        return true;
}

bool archive_out_end(struct archive_out *a, struct err *err)
{
        a->err = err;
        if (archive_write_finish_entry(a->handle) != ARCHIVE_OK)
                return out_failed(a, err);
        return true;
}

bool archive_out_close(struct archive_out *a, struct err *err)
{
        a->err = err;
        if (archive_write_close(a->handle) != ARCHIVE_OK)
                return out_failed(a, err);
        return true;
}

struct archive_in {
        struct archive *handle;
        archive_feed *feed;
        void *arg;
        bool ended;      /* feed has no more */
        struct err *err; /* of the call that is running */
};

static la_ssize_t on_read(struct archive *handle, void *arg, const void **out)
{
        struct archive_in *a = arg;
        size_t len;

        if (a->feed(a->arg, out, &len, a->err)) {
                a->ended = len == 0;
                return (la_ssize_t)len;
        }
        archive_set_error(handle, EIO, "%s", a->err->why);
        return ARCHIVE_FATAL;
}

static bool in_failed(struct archive_in *a, struct err *err)
{
        const char *why = archive_error_string(a->handle);

        if (!why)
                why = "failed";
        /* libarchive tells a cut from damage only in its words. */
        return err_set(err, a->ended ? ERR_TRUNCATED : ERR_CORRUPT,
                       "not a whole tar archive: %s", why);
}

bool archive_in_new(archive_feed *feed, void *arg, struct archive_in **out,
                    struct err *err)
{
        struct archive_in *a = calloc(1, sizeof *a);

        if (!a)
                return err_nomem(err);
        a->feed = feed;
        a->arg = arg;
        a->err = err;
        a->handle = archive_read_new();
        if (!a->handle) {
                free(a);
                return err_nomem(err);
        }
        if (archive_read_support_format_tar(a->handle) != ARCHIVE_OK ||
            archive_read_open(a->handle, a, NULL, on_read, NULL) !=
                    ARCHIVE_OK) {
                in_failed(a, err);
                archive_in_free(a);
                return false;
        }
        *out = a;
        return true;
}

void archive_in_free(struct archive_in *a)
{
        if (!a)
                return;
        archive_read_free(a->handle);
        free(a);
}

bool archive_in_next(struct archive_in *a, const char **name_out,
                     uint64_t *size_out, uint64_t *data_offset_out,
                     struct err *err)
{
        struct archive_entry *entry;
        const char *name;
        int rc;

        a->err = err;
        *name_out = NULL;
        rc = archive_read_next_header(a->handle, &entry);
        if (rc == ARCHIVE_EOF)
                return true;
        if (rc != ARCHIVE_OK)
                return in_failed(a, err);
        name = archive_entry_pathname(entry);
        if (archive_entry_filetype(entry) != AE_IFREG ||
            archive_entry_hardlink(entry) || archive_entry_size(entry) < 0 ||
            archive_entry_sparse_count(entry) > 0 || !name || !name[0])
                return err_set(err, ERR_CORRUPT,
                               "a member that is not a regular file");
        *name_out = name;
        *size_out = (uint64_t)archive_entry_size(entry);
        *data_offset_out = (uint64_t)archive_filter_bytes(a->handle, -1);
        return true;
}

bool archive_in_data(struct archive_in *a, void *bytes, size_t len,
                     struct err *err)
{
        uint8_t *p = bytes;

        a->err = err;
        while (len > 0) {
                la_ssize_t n = archive_read_data(a->handle, p, len);

                if (n < 0)
                        return in_failed(a, err);
                if (n == 0)
                        return err_set(err, ERR_TRUNCATED,
                                       "the member ends early");
                p += n;
                len -= (size_t)n;
        }
        return true;
}
