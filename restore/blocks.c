/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/blocks.h"

#include "base/limits.h"
#include "format/manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t chunk_count(uint64_t size)
{
        return size / CHUNK_SIZE + (size % CHUNK_SIZE != 0);
}

bool blocks_init(struct blocks *b, const json_t *manifest, struct err *err)
{
        size_t count = manifest_ram_blocks(manifest);

        *b = (struct blocks){0};
        b->list = calloc(count + 1, sizeof *b->list);
        if (!b->list)
                return err_nomem(err);
        b->count = count;
        for (size_t i = 0; i < count; i++) {
                struct ram_block_info info = manifest_ram_block(manifest, i);

                b->list[i].name = info.name;
                b->list[i].dir = info.dir;
                b->list[i].size = info.size;
        }
        return true;
}

void blocks_fini(struct blocks *b)
{
        for (size_t i = 0; b->list && i < b->count; i++)
                free(b->list[i].stored);
        free(b->list);
        *b = (struct blocks){0};
}

static struct block *find(struct blocks *b, const char *dir)
{
        if (b->last < b->count && strcmp(b->list[b->last].dir, dir) == 0)
                return &b->list[b->last];
        for (size_t i = 0; i < b->count; i++) {
                if (strcmp(b->list[i].dir, dir) == 0) {
                        b->last = i;
                        return &b->list[i];
                }
        }
        return NULL;
}

static bool check_place(const struct block *block, uint64_t address,
                        uint64_t raw_len, struct err *err)
{
        uint64_t want = CHUNK_SIZE;

        if (address % CHUNK_SIZE != 0)
                return err_set(err, ERR_CORRUPT,
                               "a RAM chunk that does not begin at a multiple "
                               "of 1 MiB");
        if (address >= block->size)
                return err_set(err, ERR_CORRUPT,
                               "a RAM chunk behind the end of its RAMBlock, "
                               "which has 0x%" PRIx64 " bytes",
                               block->size);
        if (block->size - address < want)
                want = block->size - address;
        if (raw_len != want)
                return err_set(err, ERR_CORRUPT,
                               "a RAM chunk of %" PRIu64 " bytes, not %" PRIu64,
                               raw_len, want);
        return true;
}

bool blocks_add(struct blocks *b, const char *dir, uint64_t address,
                uint64_t raw_len, uint64_t stored_len, struct err *err)
{
        struct block *block = find(b, dir);
        uint32_t *stored;

        if (!block)
                return err_set(err, ERR_CORRUPT,
                               "RAM of a RAMBlock that the manifest does not "
                               "name");
        TRY(check_place(block, address, raw_len, err));
        if (!block->stored)
                block->stored = calloc((size_t)chunk_count(block->size),
                                       sizeof *block->stored);
        if (!block->stored)
                return err_nomem(err);
        stored = &block->stored[address / CHUNK_SIZE];
        if (*stored) {
                block->replaced++;
                block->replaced_bytes += *stored;
                block->stored_bytes -= *stored;
        } else {
                block->chunks++;
                block->raw_bytes += raw_len;
        }
        *stored = (uint32_t)stored_len;
        block->stored_bytes += stored_len;
        return true;
}
