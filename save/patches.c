/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/patches.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"

#define PLACES_IN_MEMORY 8

static const char file_name[] = "temporary file";

struct patches {
        char *dir;
        uint8_t *memory[PLACES_IN_MEMORY];
        uint32_t count;
        int fd; /* -1: not made yet */
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
        if (p->fd < 0)
                TRY(io_open_unlinked(p->dir, &p->fd, err));
        return io_pwrite_all(p->fd, bytes, len, in_file(place, at), file_name,
                             err);
}

bool patches_read(struct patches *p, uint32_t place, size_t at, void *bytes,
                  size_t len, struct err *err)
{
        assert(place < p->count && at <= CHUNK_SIZE && len <= CHUNK_SIZE - at);
        if (place < PLACES_IN_MEMORY) {
                memcpy(bytes, p->memory[place] + at, len);
                return true;
        }
        return io_pread_all(p->fd, bytes, len, in_file(place, at), file_name,
                            err);
}
