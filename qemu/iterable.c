/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/iterable.h"

#include "base/limits.h"

#include <string.h>

enum bitmap_flag {
        BITMAP_EOS = 0x01,
        BITMAP_ZEROES = 0x02,
        BITMAP_NAME = 0x04,
        BITMAP_DEVICE = 0x08,
        BITMAP_START = 0x10,
        BITMAP_COMPLETE = 0x20,
        BITMAP_BITS = 0x40,
        BITMAP_MORE = 0x80,
};

enum stattrib_flag {
        STATTRIB_EOS = 0x01,
        STATTRIB_MORE = 0x02,
        STATTRIB_ERROR = 0x04,
        STATTRIB_DONE = 0x08,
        STATTRIB_FLAGS = 0xff,
};

enum iterable iterable_of(const char *idstr)
{
        if (strcmp(idstr, "dirty-bitmap") == 0)
                return ITERABLE_DIRTY_BITMAP;
        if (strcmp(idstr, "spapr/htab") == 0)
                return ITERABLE_HTAB;
        if (strcmp(idstr, "s390-storage_attributes") == 0)
                return ITERABLE_STATTRIB;
        return ITERABLE_NONE;
}

static bool bitmap_bits(struct cursor *c, uint8_t flags, uint64_t *body)
{
        uint64_t first, size;
        uint32_t count;

        TRY(cursor_u64be(c, "first sector", &first));
        TRY(cursor_u32be(c, "sectors", &count));
        if (flags & BITMAP_ZEROES)
                return true;
        TRY(cursor_u64be(c, "bitmap bytes", &size));
        if (size > 10 * KiB)
                return cursor_bad(c, ERR_CORRUPT,
                                  "%llu bytes of bitmap in one record",
                                  (unsigned long long)size);
        *body = size;
        return true;
}

static bool bitmap_record(struct cursor *c, uint64_t *body, bool *done)
{
        uint8_t flags, bitmap_flags;
        uint32_t granularity;
        char name[256];

        TRY(cursor_u8(c, "dirty-bitmap flags", &flags));
        if (flags & BITMAP_MORE)
                return cursor_bad(c, ERR_UNSUPPORTED,
                                  "unknown dirty-bitmap flags 0x%02x", flags);
        if (flags & BITMAP_DEVICE)
                TRY(cursor_str8(c, "node name", name));
        if (flags & BITMAP_NAME)
                TRY(cursor_str8(c, "bitmap name", name));
        if (flags & BITMAP_START) {
                TRY(cursor_u32be(c, "granularity", &granularity));
                TRY(cursor_u8(c, "bitmap flags", &bitmap_flags));
        } else if (flags & BITMAP_BITS) {
                TRY(bitmap_bits(c, flags, body));
        } else if (flags & BITMAP_EOS) {
                *done = true;
        } else if (!(flags & BITMAP_COMPLETE)) {
                return cursor_bad(c, ERR_CORRUPT, "dirty-bitmap flags 0x%02x",
                                  flags);
        }
        return true;
}

#define HTAB_NONE  0xffffffffU
#define HPTE_BYTES 16

static bool htab_record(enum item_type type, struct cursor *c,
                        struct iterable_state *state, uint64_t *body,
                        bool *done)
{
        uint16_t valid, invalid;
        uint32_t index;

        if (state->records == 0) {
                TRY(cursor_u32be(c, "htab header", &index));
                *done = type == ITEM_START || index == HTAB_NONE;
                if (!*done && index != 0)
                        return cursor_bad(c, ERR_CORRUPT,
                                          "htab header 0x%x, not 0", index);
                return true;
        }
        TRY(cursor_u32be(c, "index", &index));
        TRY(cursor_u16be(c, "valid", &valid));
        TRY(cursor_u16be(c, "invalid", &invalid));
        *body = (uint64_t)valid * HPTE_BYTES;
        *done = index == 0 && valid == 0 && invalid == 0;
        return true;
}

static bool stattrib_record(struct cursor *c, uint64_t *body, bool *done)
{
        uint64_t record, count;

        TRY(cursor_u64be(c, "storage attributes record", &record));
        switch (record & STATTRIB_FLAGS) {
        case STATTRIB_EOS:
                *done = true;
                return true;
        case STATTRIB_DONE: /* of all values; the payload's EOS follows */
                return true;
        case STATTRIB_MORE:
                TRY(cursor_u64be(c, "count", &count));
                if (count > LIMIT_RAM_BYTES / 4096)
                        return cursor_bad(c, ERR_CORRUPT, "count %llu",
                                          (unsigned long long)count);
                *body = count;
                return true;
        case STATTRIB_ERROR:
                return cursor_bad(c, ERR_CORRUPT,
                                  "the source could not read its storage "
                                  "attributes");
        default:
                return cursor_bad(c, ERR_UNSUPPORTED, "unknown flags 0x%llx",
                                  (unsigned long long)record & STATTRIB_FLAGS);
        }
}

bool iterable_record(enum iterable which, enum item_type type, struct cursor *c,
                     struct iterable_state *state, uint64_t *body_out,
                     bool *done_out)
{
        bool ok = false;

        *body_out = 0;
        *done_out = false;
        switch (which) {
        case ITERABLE_DIRTY_BITMAP:
                ok = bitmap_record(c, body_out, done_out);
                break;
        case ITERABLE_HTAB:
                ok = htab_record(type, c, state, body_out, done_out);
                break;
        case ITERABLE_STATTRIB:
                ok = stattrib_record(c, body_out, done_out);
                break;
        case ITERABLE_NONE:
                return cursor_bad(c, ERR_UNSUPPORTED, "unknown live section");
        }
        state->records++;
        return ok;
}
