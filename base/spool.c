/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant: fd < 0 and all bytes are in mem, or fd >= 0 and all are in the
 * file; map, if any, covers the first map_len bytes of the file.
 */
#include "base/spool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"

static const char spool_name[] = "temporary file";

struct spool {
        char *dir; /* NULL: default */
        uint8_t *mem;
        size_t mem_size, mem_max;
        int fd;
        uint64_t size;
        void *map;
        size_t map_len;
};

bool spool_new(const char *dir, size_t mem_max, struct spool **out,
               struct err *err)
{
        struct spool *s = calloc(1, sizeof *s);

        if (!s)
                return err_nomem(err);
        s->fd = -1;
        s->mem_max = mem_max;
        if (dir) {
                s->dir = strdup(dir);
                if (!s->dir) {
                        free(s);
                        return err_nomem(err);
                }
        }
        *out = s;
        return true;
}

static void unmap(struct spool *s)
{
        if (s->map)
                munmap(s->map, s->map_len);
        s->map = NULL;
        s->map_len = 0;
}

void spool_free(struct spool *s)
{
        if (!s)
                return;
        unmap(s);
        if (s->fd >= 0)
                close(s->fd);
        free(s->mem);
        free(s->dir);
        free(s);
}

static bool mem_reserve(struct spool *s, size_t need, struct err *err)
{
        size_t bigger = s->mem_size ? s->mem_size : 4096;
        uint8_t *p;

        if (need <= s->mem_size)
                return true;
        while (bigger < need)
                bigger *= 2;
        if (bigger > s->mem_max)
                bigger = s->mem_max;
        p = realloc(s->mem, bigger);
        if (!p)
                return err_nomem(err);
        s->mem = p;
        s->mem_size = bigger;
        return true;
}

static bool to_file(struct spool *s, struct err *err)
{
        TRY(io_open_unlinked(s->dir, &s->fd, err));
        if (!io_pwrite_all(s->fd, s->mem, (size_t)s->size, 0, spool_name,
                           err)) {
                close(s->fd);
                s->fd = -1;
                return false;
        }
        free(s->mem);
        s->mem = NULL;
        s->mem_size = 0;
        return true;
}

bool spool_append(struct spool *s, const void *bytes, size_t len,
                  struct err *err)
{
        unmap(s);
        if (len == 0)
                return true;
        if (s->fd < 0 && len > s->mem_max - (size_t)s->size)
                TRY(to_file(s, err));
        if (s->fd >= 0) {
                TRY(io_pwrite_all(s->fd, bytes, len, s->size, spool_name, err));
        } else {
                TRY(mem_reserve(s, (size_t)s->size + len, err));
                memcpy(s->mem + s->size, bytes, len);
        }
        s->size += len;
        return true;
}

uint64_t spool_size(const struct spool *s)
{
        return s->size;
}

bool spool_read(struct spool *s, uint64_t offset, void *bytes, size_t len,
                struct err *err)
{
        assert(offset <= s->size && len <= s->size - offset);
        if (len == 0)
                return true;
        if (s->fd >= 0)
                return io_pread_all(s->fd, bytes, len, offset, spool_name, err);
        memcpy(bytes, s->mem + offset, len);
        return true;
}

bool spool_view(struct spool *s, const uint8_t **bytes_out, struct err *err)
{
        static const uint8_t nothing[1];

        if (s->size == 0) {
                *bytes_out = nothing;
                return true;
        }
        if (s->fd < 0) {
                *bytes_out = s->mem;
                return true;
        }
        if (!s->map) {
                void *map = mmap(NULL, (size_t)s->size, PROT_READ, MAP_SHARED,
                                 s->fd, 0);

                if (map == MAP_FAILED) {
                        err_os(err, errno, "mapping %llu bytes",
                               (unsigned long long)s->size);
                        return err_in_file(err, spool_name);
                }
                s->map = map;
                s->map_len = (size_t)s->size;
        }
        *bytes_out = s->map;
        return true;
}

bool spool_reset(struct spool *s, struct err *err)
{
        unmap(s);
        s->size = 0;
        if (s->fd >= 0 && ftruncate(s->fd, 0) < 0) {
                err_os(err, errno, "truncate");
                return err_in_file(err, spool_name);
        }
        return true;
}
