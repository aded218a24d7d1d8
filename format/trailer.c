/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/trailer.h"

#include "base/cursor.h"
#include "base/emit.h"

#include <string.h>

#define DIGEST_AT (TRAILER_SIZE - DIGEST_SIZE)
#define RESERVED  (DIGEST_AT - 80)

void trailer_encode(const struct trailer *t, uint8_t out[TRAILER_SIZE])
{
        uint8_t digest[DIGEST_SIZE];
        struct emit e;

        emit_init(&e, out, TRAILER_SIZE);
        emit_bytes(&e, TRAILER_MAGIC, TRAILER_MAGIC_LEN);
        emit_u64le(&e, t->file_size);
        emit_u64le(&e, t->index_offset);
        emit_u64le(&e, t->index_size);
        emit_u64le(&e, t->members);
        emit_bytes(&e, t->index_digest, DIGEST_SIZE);
        emit_bytes(&e, t->frame_digest, DIGEST_SIZE);
        emit_zero(&e, RESERVED);
        digest_of(out, DIGEST_AT, digest);
        emit_bytes(&e, digest, DIGEST_SIZE);
}

static bool take_digest(struct cursor *c, const char *field,
                        uint8_t out[DIGEST_SIZE])
{
        const uint8_t *p;

        TRY(cursor_view(c, field, DIGEST_SIZE, &p));
        memcpy(out, p, DIGEST_SIZE);
        return true;
}

static bool decode(struct cursor *c, struct trailer *t)
{
        uint8_t digest[DIGEST_SIZE], stored[DIGEST_SIZE];
        const uint8_t *magic;

        TRY(cursor_view(c, "magic", TRAILER_MAGIC_LEN, &magic));
        if (memcmp(magic, TRAILER_MAGIC, TRAILER_MAGIC_LEN) != 0)
                return cursor_bad(c, ERR_TRUNCATED,
                                  "no trailer where the file ends: the file is "
                                  "cut short, damaged, or not a snapshot");
        TRY(cursor_u64le(c, "file_size", &t->file_size));
        TRY(cursor_u64le(c, "index_offset", &t->index_offset));
        TRY(cursor_u64le(c, "index_size", &t->index_size));
        TRY(cursor_u64le(c, "members", &t->members));
        TRY(take_digest(c, "index_digest", t->index_digest));
        TRY(take_digest(c, "frame_digest", t->frame_digest));
        TRY(cursor_zero(c, "reserved", RESERVED));
        TRY(take_digest(c, "trailer_digest", stored));
        digest_of(c->bytes, DIGEST_AT, digest);
        if (memcmp(digest, stored, DIGEST_SIZE) != 0)
                return cursor_bad(c, ERR_CORRUPT, "digest mismatch");
        return true;
}

bool trailer_decode(const uint8_t bytes[TRAILER_SIZE], uint64_t origin,
                    struct trailer *out, struct err *err)
{
        struct trailer t = {0};
        struct cursor c;

        cursor_init(&c, bytes, TRAILER_SIZE, origin, MEMBER_TRAILER, err);
        TRY(decode(&c, &t));
        *out = t;
        return true;
}
