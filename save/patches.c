/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/patches.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"

#define PLACES_IN_MEMORY 4

static const char file_name[] = "temporary file";

struct patches {
        char *dir;
        uint8_t *memory[PLACES_IN_MEMORY];
        uint32_t count;
        int fd; /* -1: not made yet */
        /* On its way into the file: pages come one behind the other, mostly,
         * and one large write is many times quicker than as many small ones,
         * while a guest may stand still for it. */
        uint8_t *run; /* CHUNK_SIZE */
        uint64_t run_at;
        size_t run_len;
};

bool patches_new(const char *dir, struct patches **out, struct err *err)
{
        struct patches *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        p->fd = -1;
        if (dir && !(p->dir = strdup(dir))) {
                free(p);
                return err_nomem(err);
        }
        *out = p;
        return true;
}

void patches_free(struct patches *p)
{
        if (!p)
                return;
        for (size_t i = 0; i < PLACES_IN_MEMORY; i++)
                free(p->memory[i]);
        free(p->run);
        cleanup_fd_(&p->fd);
        free(p->dir);
        free(p);
}

uint32_t patches_place(struct patches *p)
{
        return p->count++;
}

static uint64_t in_file(uint32_t place, size_t at)
{
        return (uint64_t)(place - PLACES_IN_MEMORY) * CHUNK_SIZE + at;
}

static bool flush_run(struct patches *p, struct err *err)
{
        size_t len = p->run_len;

        p->run_len = 0;
        if (p->fd < 0)
                TRY(io_open_unlinked(p->dir, &p->fd, err));
        return io_pwrite_all(p->fd, p->run, len, p->run_at, file_name, err);
}

static bool write_file(struct patches *p, uint64_t at, const void *bytes,
                       size_t len, struct err *err)
{
        bool behind = at == p->run_at + p->run_len;

        if (!p->run && !(p->run = malloc(CHUNK_SIZE)))
                return err_nomem(err);
        if (p->run_len && (!behind || len > CHUNK_SIZE - p->run_len))
                TRY(flush_run(p, err));
        if (!p->run_len)
                p->run_at = at;
        memcpy(p->run + p->run_len, bytes, len);
        p->run_len += len;
        return true;
}

bool patches_prepare(struct patches *p, uint32_t places, struct err *err)
{
        static const uint8_t zeros[CHUNK_SIZE];

        for (uint32_t i = 0; i < places; i++) {
                uint32_t was = p->count;
                bool ok;

                p->count = i + 1;
                ok = patches_write(p, i, 0, zeros, CHUNK_SIZE, err);
                p->count = was;
                TRY(ok);
        }
        return !p->run_len || flush_run(p, err);
}

bool patches_write(struct patches *p, uint32_t place, size_t at,
                   const void *bytes, size_t len, struct err *err)
{
        assert(place < p->count && at <= CHUNK_SIZE && len <= CHUNK_SIZE - at);
        if (place < PLACES_IN_MEMORY) {
                if (!p->memory[place])
                        p->memory[place] = malloc(CHUNK_SIZE);
                if (!p->memory[place])
                        return err_nomem(err);
                memcpy(p->memory[place] + at, bytes, len);
                return true;
        }
        return write_file(p, in_file(place, at), bytes, len, err);
}

bool patches_read(struct patches *p, uint32_t place, size_t at, void *bytes,
                  size_t len, struct err *err)
{
        assert(place < p->count && at <= CHUNK_SIZE && len <= CHUNK_SIZE - at);
        if (place < PLACES_IN_MEMORY) {
                memcpy(bytes, p->memory[place] + at, len);
                return true;
        }
        if (p->run_len)
                TRY(flush_run(p, err));
        return io_pread_all(p->fd, bytes, len, in_file(place, at), file_name,
                            err);
}
