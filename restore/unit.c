/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/unit.h"

uint64_t unit_size(const struct layout *l, unsigned block)
{
        return l->host_pages[block] > CHUNK_SIZE ? l->host_pages[block]
                                                 : CHUNK_SIZE;
}

size_t unit_largest(const struct layout *l)
{
        uint64_t most = CHUNK_SIZE;

        for (unsigned i = 0; i < l->ram->count; i++)
                if (unit_size(l, i) > most)
                        most = unit_size(l, i);
        return (size_t)most;
}

uint64_t unit_count(const struct layout *l, unsigned block)
{
        uint64_t size = unit_size(l, block);

        return l->ram->blocks[block].size / size +
               (l->ram->blocks[block].size % size != 0);
}

size_t unit_len(const struct layout *l, unsigned block, uint64_t unit)
{
        uint64_t size = unit_size(l, block);
        uint64_t left = l->ram->blocks[block].size - unit * size;

        return (size_t)(left < size ? left : size);
}

bool unit_is_stored(const struct layout *l, unsigned block, uint64_t unit)
{
        uint64_t chunks = unit_size(l, block) / CHUNK_SIZE;

        for (uint64_t i = 0; i < chunks; i++)
                if (places_has(l->places, block, unit * chunks + i))
                        return true;
        return false;
}

bool unit_read(const struct layout *l, struct place_buffer *b, unsigned block,
               uint64_t unit, uint8_t *bytes, struct err *err)
{
        uint64_t first = unit * (unit_size(l, block) / CHUNK_SIZE);
        size_t len = unit_len(l, block, unit), done;

        for (size_t at = 0; at < len; at += done)
                TRY(places_read(l->places, b, block, first + at / CHUNK_SIZE,
                                bytes + at, &done, err));
        return true;
}
