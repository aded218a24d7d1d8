/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* birth: what a snapshot says of its own making: time, id. */
#ifndef STASIS_SAVE_BIRTH_H
#define STASIS_SAVE_BIRTH_H

#include "base/err.h"

#include <jansson.h>

/* Sets "created", "id" and "source" and returns the time of creation in
 * *time_out.  SOURCE_DATE_EPOCH and STASIS_ID in the environment pin them, so
 * that two snapshots of one stream can be compared byte for byte. */
bool birth_describe(json_t *manifest, const char *source, int64_t *time_out,
                    struct err *err);

#endif
