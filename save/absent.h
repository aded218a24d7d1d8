/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* absent: RAM that never came, which a snapshot names (state.json). */
#ifndef STASIS_SAVE_ABSENT_H
#define STASIS_SAVE_ABSENT_H

#include "qemu/ram.h"

#include <jansson.h>

/* Adds a range of b to the list.  reason NULL: there is none, ERR_CORRUPT;
 * multifd: the source used it, which would explain that. */
bool absent_add(json_t *list, const struct ram_block *b, uint64_t offset,
                uint64_t len, const char *reason, bool multifd,
                struct err *err);

#endif
