/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bytes: are they all zero?  libc's memcmp runs at the speed of memory, and
 * ends at the first byte that is not. */
#ifndef STASIS_BASE_BYTES_H
#define STASIS_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* len > 0 */
static inline bool bytes_are_zero(const uint8_t *p, size_t len)
{
        return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

#endif
