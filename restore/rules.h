/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rules: values that a device's fields may have.  QEMU checks few of them when
 * it loads (VMSTATE_VALIDATE); a value that no device could have reached means
 * damage before the save, or a device that will misbehave.
 *
 * A file of rules is {"rules": [RULE...]}.  A RULE names "device" (an idstr, or
 * what is behind its last slash) and "field" (a path as `show` prints it; [*]
 * stands for every index), and one or more of
 *      "min", "max", "equals"  a whole number
 *      "one_of"                a list of them
 *      "less_than"             another field's path; each [*] in it stands for
 *                              the index that the field's has at that place
 * A field that is not there breaks no rule: which are depends on the guest.
 */
#ifndef STASIS_RESTORE_RULES_H
#define STASIS_RESTORE_RULES_H

#include "restore/check.h"

/* ERR_USAGE, naming file, rule and key, when it is no file of rules. */
bool rules_read(const char *path, json_t **out, struct err *err);

/* The built-in rules, and `more` (checked by rules_read; NULL: none), against
 * all device sections; each violation becomes a reason "value". */
bool rules_check(struct check *c, const struct devices *d, const json_t *more,
                 enum severity severity, struct err *err);

#endif
