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

static bool bad(const char *path, struct err *err, enum status status,
                const char *why)
{
        char shown[256];

        err_set(err, status, "%s", why);
        return err_in_file(err, text_escape(path, shown, sizeof shown));
}

/* Opening a FIFO that an image names would wait for a writer. */
static bool open_image(const char *path, int *fd_out, struct err *err)
{
        struct stat st;

        if (stat(path, &st) != 0) {
                err_os(err, errno, "open");
                return bad(path, err, ERR_IO, "");
        }
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return bad(path, err, ERR_UNSUPPORTED,
                           "neither a file nor a block device");
        if (!io_open_read(path, fd_out, err)) {
                text_escape(path, err->file, sizeof err->file);
                return false;
        }
        return true;
}

/* One device may have several names. */
static bool same_file(const struct stat *x, const struct stat *y)
{
        if (S_ISBLK(x->st_mode) && S_ISBLK(y->st_mode))
                return x->st_rdev == y->st_rdev;
        return x->st_dev == y->st_dev && x->st_ino == y->st_ino;
}

static bool check_loop(const struct chain *c, const struct chain_file *added,
                       struct err *err)
{
        struct stat x, y;

        if (fstat(added->fd, &x) != 0)
                return err_os(err, errno, "stat");
        for (const struct chain_file *f = c->files; f < added; f++)
                if (fstat(f->fd, &y) == 0 && same_file(&x, &y))
                        return bad(added->path, err, ERR_CORRUPT,
                                   "it is its own overlay: the backing chain "
                                   "is a loop");
        return true;
}

static bool add(struct chain *c, const char *path, enum image_format format,
                struct err *err)
{
        struct chain_file *f;

        if (c->count >= CHAIN_MAX)
                return bad(path, err, ERR_LIMIT,
                           "the backing chain has too many files");
        f = realloc(c->files, (c->count + 1) * sizeof *f);
        if (!f)
                return err_nomem(err);
        c->files = f;
        f += c->count;
        *f = (struct chain_file){.format = format, .fd = -1};
        f->path = strdup(path);
        c->count++;
        if (!f->path)
                return err_nomem(err);
        return open_image(path, &f->fd, err) && check_loop(c, f, err);
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

/* ---- what the images say ------------------------------------------------ */

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

static bool load(struct chain_file *f, struct err *err)
{
        return f->image ||
               image_open(f->fd, f->path, f->format, &f->image, err);
}

bool chain_load(struct chain *c, struct err *err)
{
        for (size_t i = 0; i < c->count; i++)
                TRY(load(&c->files[i], err));
        return true;
}

static bool refuse(const struct chain_file *f, const char *name,
                   const char *why, struct err *err)
{
        char shown[200];

        err_set(err, ERR_UNSUPPORTED, "its backing file %s %s",
                text_escape(name, shown, sizeof shown), why);
        return bad(f->path, err, ERR_UNSUPPORTED, "");
}

/* Adds the backing file of the last one; *more = false: it has none. */
static bool descend(struct chain *c, bool *more, struct err *err)
{
        const struct chain_file *last = &c->files[c->count - 1];
        const char *name = image_backing_name(last->image);
        const char *format = image_backing_format(last->image);
        CLEANUP_FREE char *path = NULL;
        enum image_format known;

        *more = name != NULL;
        if (!name)
                return true;
        if (has_protocol(name))
                return refuse(last, name,
                              "is not a file: json: and protocols are not "
                              "followed",
                              err);
        /* To guess it would let a guest turn its raw disk into an image. */
        if (!format)
                return refuse(last, name,
                              "is of a format that is not stated, and is not "
                              "guessed (qemu-img rebase -u -F states it)",
                              err);
        if (!image_format_named(format, &known))
                return refuse(last, name,
                              "is of a format that stasis does not read", err);
        path = resolve(last->path, name);
        if (!path)
                return err_nomem(err);
        return add(c, path, known, err) && load(&c->files[c->count - 1], err);
}

bool chain_resolve(const char *path, enum image_format format,
                   struct chain **out, struct err *err)
{
        struct chain *c = NULL;
        bool ok, more = true;

        ok = chain_open(&path, &format, 1, &c, err) && load(&c->files[0], err);
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

bool chain_part_read(void *part, uint64_t offset, uint8_t *bytes, size_t len,
                     struct err *err)
{
        const struct chain_part *p = part;

        return chain_read(p->chain, p->first, p->chain->count - p->first,
                          offset, bytes, len, err);
}
