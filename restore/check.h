/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check: would the snapshot fit this target?  All reasons against it are
 * gathered, each with a name; some may be overridden by that name.
 */
#ifndef STASIS_RESTORE_CHECK_H
#define STASIS_RESTORE_CHECK_H

#include "format/reader.h"
#include "qemu/qmp.h"
#include "restore/disks.h"

struct check {
        const char *const *forced; /* names given with --force; borrowed */
        unsigned forced_count;
        const struct restored_disks *restored; /* borrowed; NULL: none */
        unsigned count;                        /* reasons that stand */
        char first[400];                       /* the first of them  */
        char overrides[64]; /* names that would override all; "" if some
                               cannot be */
};

/* ERR_USAGE when a name is not one that can be forced. */
bool check_init(struct check *c, const char *const *forced, unsigned count,
                const struct restored_disks *restored, struct err *err);

/* What the manifest says against the target behind q: machine type,
 * architecture, RAMBlocks. */
bool check_machine(struct check *c, const json_t *manifest, struct qmp *q,
                   struct err *err);
/* What state.json says of disks left outside, against the target's disks and
 * the files that they are now.  pid: the target's; 0: unknown. */
bool check_disks(struct check *c, const json_t *state, struct qmp *q, pid_t pid,
                 struct err *err);

/* False with ERR_MISMATCH when a reason stands; all have been logged. */
bool check_verdict(const struct check *c, struct err *err);

#endif
