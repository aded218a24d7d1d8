/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow/chain.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool add(struct chain *c, const char *path, enum image_format format,
                struct err *err)
{
        struct chain_file *grown;

        if (c->count >= CHAIN_MAX) {
                err_in_file(err, path);
                return err_set(err, ERR_LIMIT,
                               "more than %d images in a backing chain",
                               CHAIN_MAX);
        }
        grown = realloc(c->files, (c->count + 1) * sizeof *grown);
        if (!grown)
                return err_nomem(err);
        c->files = grown;
        grown += c->count;
        *grown = (struct chain_file){.format = format, .fd = -1};
        grown->path = strdup(path);
        c->count++;
        return grown->path ? io_open_read(path, &grown->fd, err)
                           : err_nomem(err);
}

bool chain_open(const char *const *paths, const enum image_format *formats,
                size_t count, struct chain **out, struct err *err)
{
        struct chain *c = calloc(1, sizeof *c);

        if (!c)
                return err_nomem(err);
        for (size_t i = 0; i < count; i++) {
                if (!add(c, paths[i], formats[i], err)) {
                        chain_close(c);
                        return false;
                }
        }
        *out = c;
        return true;
}

bool chain_load(struct chain *c, struct err *err)
{
        for (size_t i = 0; i < c->count; i++) {
                struct chain_file *f = &c->files[i];

                if (!f->image)
                        TRY(image_open(f->fd, f->path, f->format, &f->image,
                                       err));
        }
        return true;
}

void chain_close(struct chain *c)
{
        if (!c)
                return;
        for (size_t i = 0; i < c->count; i++) {
                image_close(c->files[i].image);
                cleanup_fd_(&c->files[i].fd);
                free((char *)(uintptr_t)c->files[i].path);
        }
        free(c->files);
        free(c);
}

/* ---- by what the images say ---------------------------------------------- */

static bool bad(const struct chain_file *f, enum status status, struct err *err,
                const char *why, const char *name)
{
        char shown[300];

        err_in_file(err, f->path);
        return err_set(err, status, "its backing file %s %s",
                       text_escape(name, shown, sizeof shown), why);
}

/* "nbd:...", "json:...": what QEMU would take for a protocol. */
static bool has_protocol(const char *name)
{
        return name[strcspn(name, ":/")] == ':';
}

/* The name as its overlay means it: absolute, or relative to where that was
 * opened.  malloc'd. */
static char *resolve(const char *overlay, const char *name)
{
        const char *slash = strrchr(overlay, '/');
        char *out;

        if (name[0] == '/' || !slash)
                return strdup(name);
        if (asprintf(&out, "%.*s/%s", (int)(slash - overlay), overlay, name) <
            0)
                return NULL;
        return out;
}

static bool same_file(int a, int b)
{
        struct stat x, y;

        return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
               x.st_ino == y.st_ino;
}

/* Adds the backing file of the last one; *more = false: it has none. */
static bool descend(struct chain *c, bool *more, struct err *err)
{
        const struct chain_file *last = &c->files[c->count - 1];
        const char *name = image_backing_name(last->image);
        const char *format = image_backing_format(last->image);
        CLEANUP_FREE char *path = NULL;
        enum image_format known;
        struct chain_file *added;

        *more = name != NULL;
        if (!name)
                return true;
        if (has_protocol(name))
                return bad(last, ERR_UNSUPPORTED, err,
                           "is not a file: json: and protocols are not "
                           "followed",
                           name);
        if (!format)
                return bad(last, ERR_UNSUPPORTED, err,
                           "is of a format that is not stated, and is not "
                           "guessed (qemu-img rebase -u -F states it)",
                           name);
        if (!image_format_named(format, &known))
                return bad(last, ERR_UNSUPPORTED, err,
                           "is of a format that stasis does not read", name);
        path = resolve(last->path, name);
        if (!path)
                return err_nomem(err);
        TRY(add(c, path, known, err));
        added = &c->files[c->count - 1];
        for (size_t i = 0; i < c->count - 1; i++)
                if (same_file(c->files[i].fd, added->fd))
                        return bad(&c->files[c->count - 2], ERR_CORRUPT, err,
                                   "is one of its own overlays: the chain is a "
                                   "loop",
                                   name);
        return chain_load(c, err);
}

bool chain_resolve(const char *path, enum image_format format,
                   struct chain **out, struct err *err)
{
        struct chain *c = NULL;
        bool ok, more = true;

        ok = chain_open(&path, &format, 1, &c, err) && chain_load(c, err);
        while (ok && more)
                ok = descend(c, &more, err);
        if (!ok) {
                chain_close(c);
                return false;
        }
        *out = c;
        return true;
}

/* ---- as one disk --------------------------------------------------------- */

uint64_t chain_size(const struct chain *c)
{
        return image_size(c->files[0].image);
}

/* Which of the files has it, or says that it is zeros: *which; none: first +
 * count. */
static bool find(struct chain *c, size_t first, size_t count, uint64_t offset,
                 uint64_t *len_out, enum extent_kind *kind_out, size_t *which,
                 struct err *err)
{
        uint64_t size = image_size(c->files[first].image);

        *len_out = size - offset;
        *kind_out = EXTENT_ABSENT;
        for (*which = first; *which < first + count; ++*which) {
                struct image *i = c->files[*which].image;
                enum extent_kind kind;
                uint64_t len;

                /* Behind the end of what is below there is nothing more. */
                if (offset >= image_size(i)) {
                        *kind_out = EXTENT_ZERO;
                        return true;
                }
                TRY(image_extent(i, offset, &len, &kind, err));
                if (len < *len_out)
                        *len_out = len;
                if (kind == EXTENT_ABSENT)
                        continue;
                *kind_out = kind;
                return true;
        }
        return true;
}

bool chain_extent(struct chain *c, size_t first, size_t count, uint64_t offset,
                  uint64_t *len_out, enum extent_kind *kind_out,
                  struct err *err)
{
        size_t which;

        return find(c, first, count, offset, len_out, kind_out, &which, err);
}

bool chain_read(struct chain *c, size_t first, size_t count, uint64_t offset,
                uint8_t *bytes, size_t len, struct err *err)
{
        while (len > 0) {
                enum extent_kind kind;
                uint64_t reach;
                size_t which, now;

                TRY(find(c, first, count, offset, &reach, &kind, &which, err));
                now = reach < len ? (size_t)reach : len;
                if (kind == EXTENT_DATA)
                        TRY(image_read(c->files[which].image, offset, bytes,
                                       now, err));
                else
                        memset(bytes, 0, now);
                offset += now;
                bytes += now;
                len -= now;
        }
        return true;
}
