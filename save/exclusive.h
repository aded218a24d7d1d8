/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exclusive: one save of a VM at a time, also if it has several monitors. */
#ifndef STASIS_SAVE_EXCLUSIVE_H
#define STASIS_SAVE_EXCLUSIVE_H

#include "base/err.h"

#include <sys/types.h>

/* Claims QEMU process pid, which began at start_time; *fd_out is held (and
 * closed by the caller, or by its death).  ERR_QEMU: another save has it. */
bool exclusive_claim(pid_t pid, unsigned long long start_time, int *fd_out,
                     struct err *err);

#endif
