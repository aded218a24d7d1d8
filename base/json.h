/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* json: what jansson lacks for our way of failing. */
#ifndef STASIS_BASE_JSON_H
#define STASIS_BASE_JSON_H

#include "base/err.h"

#include <jansson.h>

/* Sets key; takes value, always.  A NULL value is one that there was no memory
 * for. */
bool json_put(json_t *object, const char *key, json_t *value, struct err *err);

/* The string at key, borrowed; "": there is none. */
const char *json_word(const json_t *object, const char *key);

#endif
