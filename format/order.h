/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * order: which members may follow which, before the index.  (spec, section 2)
 * Both readers ask it, so that a file and a pipe are judged alike.
 */
#ifndef STASIS_FORMAT_ORDER_H
#define STASIS_FORMAT_ORDER_H

#include "base/err.h"

struct order {
        uint64_t members;
        unsigned segments;
        bool state;
};

/* The next member's name. ERR_CORRUPT, ERR_LIMIT. */
bool order_take(struct order *o, const char *name, struct err *err);
/* The index comes: is all there? */
bool order_end(const struct order *o, struct err *err);

bool order_is_segment(const char *name);

#endif
