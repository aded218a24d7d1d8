/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* digest: XXH3-128, the one door to xxhash.  16 bytes in canonical order, as
 * `xxh128sum` prints them. */
#ifndef STASIS_FORMAT_DIGEST_H
#define STASIS_FORMAT_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 16
#define DIGEST_HEX  33 /* with NUL */

void digest_of(const void *bytes, size_t len, uint8_t out[DIGEST_SIZE]);

struct digest;
struct digest *digest_new(void); /* NULL: no memory */
void digest_free(struct digest *d);
void digest_reset(struct digest *d);
void digest_update(struct digest *d, const void *bytes, size_t len);
void digest_result(const struct digest *d, uint8_t out[DIGEST_SIZE]);

const char *digest_hex(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_HEX]);
bool digest_parse(const char hex[32], uint8_t out[DIGEST_SIZE]);
uint64_t digest_short(const void *bytes, size_t len); /* XXH3-64, for names */

#endif
