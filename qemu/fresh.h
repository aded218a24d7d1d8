/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fresh: which RAM of a QEMU nobody has written to yet.
 *
 * A page of private, anonymous memory that is neither present nor swapped out
 * reads as zeros: the kernel's page map says so for each page, whatever QEMU
 * did when it started (ROMs, kernels, tables are in RAM by then, and such pages
 * are present).  Memory of any other kind (a file, shared, huge pages) is not
 * judged.  Where RAM is in QEMU's process is told by its monitor: the flat view
 * of `info mtree -f`, and gpa2hva (QEMU 5.2 to 11.1).
 */
#ifndef STASIS_QEMU_FRESH_H
#define STASIS_QEMU_FRESH_H

#include "qemu/qmp.h"

struct fresh;

/* Of the process pid, which q speaks to.  What cannot be learnt is taken as
 * written to: *out = NULL when that is everything.  Fails only where q does. */
bool fresh_open(struct qmp *q, pid_t pid, struct fresh **out, struct err *err);
void fresh_close(struct fresh *f);
/* Whether all bytes of that range of a RAMBlock are certainly zero now.  f may
 * be NULL. */
bool fresh_is_zero(const struct fresh *f, const char *block, uint64_t offset,
                   uint64_t len);

#endif
