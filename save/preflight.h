/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* preflight: whether a VM can be saved now, asked before it is touched. */
#ifndef STASIS_SAVE_PREFLIGHT_H
#define STASIS_SAVE_PREFLIGHT_H

#include "qemu/qmp.h"

/* ERR_QEMU, with the reason and what to do.  state gets the run state. */
bool preflight(struct qmp *q, char *state, size_t size, struct err *err);

#endif
