/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * zeros: an overlay's explicit zero extents, the member disk/COMPONENT/zeros.
 * (spec/stasis-format.md, section 4.4)
 *
 *   0  16  offset  lower-case hex
 *  16   1  space
 *  17  16  length  lower-case hex, not 0
 *  33   1  newline
 *
 * Extents ascend and neither overlap nor touch.
 */
#ifndef STASIS_FORMAT_ZEROS_H
#define STASIS_FORMAT_ZEROS_H

#include "base/err.h"

#include <stddef.h>

#define ZEROS_LINE 34u

/* A list in the making: extents are given in ascending order; one that touches
 * the last is joined to it. */
struct zeros {
        char *text; /* all extents but the last */
        size_t len, room;
        uint64_t offset, length; /* the last; length 0: none yet */
};

/* False without err: the list is full (LIMIT_ZEROS), nothing was taken; true
 * or ERR_NOMEM otherwise. */
bool zeros_add(struct zeros *z, uint64_t offset, uint64_t length, bool *taken,
               struct err *err);
/* The member's bytes, borrowed; *len_out = 0: there are no zeros. */
bool zeros_text(struct zeros *z, const char **text_out, size_t *len_out,
                struct err *err);
void zeros_fini(struct zeros *z);

/* Reading: the extent at *pos of the list, which is moved on; at the end of the
 * list *length_out = 0.  ERR_CORRUPT when it is not spelled as it must be, or
 * does not lie behind `*end`, the end of the one before (which is updated). */
bool zeros_next(const uint8_t *text, size_t len, size_t *pos, uint64_t *end,
                uint64_t *offset_out, uint64_t *length_out, struct err *err);

#endif
