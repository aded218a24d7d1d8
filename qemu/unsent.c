/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/unsent.h"

#include "base/limits.h"

#include <stdlib.h>
#include <string.h>

/* Both devices' sections are smaller; virtio-mem's bitmap has a bit for each
 * 2 MiB or more. */
#define SECTION_MAX (4 * MiB)

#define HINT_SUBSECTION "virtio-balloon-device/free-page-report"

enum watched { WATCHED_NONE, WATCHED_MEM, WATCHED_BALLOON };

struct unsent {
        const struct ram_blocks *blocks;
        enum watched watched; /* the section that is being told */
        size_t len;
        bool hints;
        bool is_mem[LIMIT_RAM_BLOCKS];
        uint8_t bytes[SECTION_MAX];
};

struct unsent *unsent_new(void)
{
        return calloc(1, sizeof(struct unsent));
}

void unsent_free(struct unsent *u)
{
        free(u);
}

void unsent_blocks(struct unsent *u, const struct ram_blocks *blocks)
{
        u->blocks = blocks;
}

static bool holds(const struct unsent *u, const void *what, size_t len)
{
        return memmem(u->bytes, u->len, what, len) != NULL;
}

/* The section told before is whole now. */
static void look(struct unsent *u)
{
        if (u->watched == WATCHED_BALLOON)
                u->hints |= holds(u, HINT_SUBSECTION, strlen(HINT_SUBSECTION));
        for (unsigned i = 0;
             u->watched == WATCHED_MEM && u->blocks && i < u->blocks->count;
             i++) {
                uint64_t size = __builtin_bswap64(u->blocks->blocks[i].size);

                u->is_mem[i] |= holds(u, &size, sizeof size);
        }
}

void unsent_section(struct unsent *u, const char *idstr)
{
        look(u);
        u->watched = WATCHED_NONE;
        u->len = 0;
        if (strstr(idstr, "virtio-mem"))
                u->watched = WATCHED_MEM;
        else if (strstr(idstr, "virtio-balloon"))
                u->watched = WATCHED_BALLOON;
}

void unsent_bytes(struct unsent *u, const uint8_t *bytes, size_t len)
{
        if (u->watched == WATCHED_NONE)
                return;
        if (len > sizeof u->bytes - u->len)
                len = sizeof u->bytes - u->len;
        memcpy(u->bytes + u->len, bytes, len);
        u->len += len;
}

const char *unsent_reason(struct unsent *u, unsigned block)
{
        look(u);
        if (u->is_mem[block])
                return "virtio-mem";
        return u->hints ? "free-page-hint" : NULL;
}
