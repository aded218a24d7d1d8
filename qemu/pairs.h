/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pairs: the argument of one of QEMU's options, as keys and values. */
#ifndef STASIS_QEMU_PAIRS_H
#define STASIS_QEMU_PAIRS_H

#include "base/err.h"

struct pair {
        char *key;
        char *value; /* NULL: the key stood alone ("readonly", "nowait")     */
};

struct pairs {
        struct pair *list; /* owned */
        size_t count;
};

/* KEY=VALUE,..., where a comma in a value is written twice, or a JSON object,
 * which is made flat: {"file":{"driver":"raw"}} has the key "file.driver",
 * lists have numbers as keys, true is "on".  implied: the key of a first value
 * that has none; may be NULL.  out: pairs_fini, also after failure. */
bool pairs_parse(const char *arg, const char *implied, struct pairs *out,
                 struct err *err);
void pairs_fini(struct pairs *p);

/* The last one counts, as in QEMU.  NULL: not there; "on": stands alone. */
const char *pairs_get(const struct pairs *p, const char *key);
/* "PREFIXKEY" */
const char *pairs_get_under(const struct pairs *p, const char *prefix,
                            const char *key);
/* Whether a key, or one below it ("KEY.x"), is there. */
bool pairs_have(const struct pairs *p, const char *key);

/* Only keys of the list (NULL-terminated), or all but those, and what is below
 * them. */
void pairs_keep(struct pairs *p, const char *const *keys);
void pairs_drop(struct pairs *p, const char *const *keys);

/* value may be NULL: then nothing is added. */
bool pairs_add(struct pairs *p, const char *key, const char *value,
               struct err *err);
/* As an argument again; malloc'd, NULL: no memory. */
char *pairs_text(const struct pairs *p);

#endif
