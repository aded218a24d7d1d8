/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/digest.h"

#include "base/hex.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif
#include <xxhash.h>

struct digest {
        XXH3_state_t *state;
};

void digest_of(const void *bytes, size_t len, uint8_t out[DIGEST_SIZE])
{
        XXH128_canonical_t c;

        XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, len));
        memcpy(out, c.digest, DIGEST_SIZE);
}

struct digest *digest_new(void)
{
        struct digest *d = malloc(sizeof *d);

        if (!d)
                return NULL;
        d->state = XXH3_createState();
        if (!d->state) {
                free(d);
                return NULL;
        }
        digest_reset(d);
        return d;
}

void digest_free(struct digest *d)
{
        if (!d)
                return;
        XXH3_freeState(d->state);
        free(d);
}

void digest_reset(struct digest *d)
{
        XXH3_128bits_reset(d->state);
}

void digest_update(struct digest *d, const void *bytes, size_t len)
{
        if (len > 0)
                XXH3_128bits_update(d->state, bytes, len);
}

void digest_result(const struct digest *d, uint8_t out[DIGEST_SIZE])
{
        XXH128_canonical_t c;

        XXH128_canonicalFromHash(&c, XXH3_128bits_digest(d->state));
        memcpy(out, c.digest, DIGEST_SIZE);
}

const char *digest_hex(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_HEX])
{
        static const char hex[] = "0123456789abcdef";

        for (size_t i = 0; i < DIGEST_SIZE; i++) {
                out[2 * i] = hex[digest[i] >> 4];
                out[2 * i + 1] = hex[digest[i] & 15];
        }
        out[2 * DIGEST_SIZE] = '\0';
        return out;
}

bool digest_parse(const char hex[32], uint8_t out[DIGEST_SIZE])
{
        unsigned all = 0;

        for (size_t i = 0; i < DIGEST_SIZE; i++) {
                unsigned high = hex_digit(hex[2 * i]);
                unsigned low = hex_digit(hex[2 * i + 1]);

                all |= high | low;
                out[i] = (uint8_t)(high << 4 | low);
        }
        return all < 16;
}

uint64_t digest_short(const void *bytes, size_t len)
{
        return XXH3_64bits(bytes, len);
}
