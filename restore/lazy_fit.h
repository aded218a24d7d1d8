/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lazy_fit: whether a snapshot and a target can do with a lazy restore. */
#ifndef STASIS_RESTORE_LAZY_FIT_H
#define STASIS_RESTORE_LAZY_FIT_H

#include "qemu/qmp.h"
#include "restore/state.h"

/* Each: why[0] is set to a reason when not. */
void lazy_fit_snapshot(const struct state *saved, char why[600]);
/* Memory of the target that QEMU cannot watch for faults. */
bool lazy_fit_memory(struct qmp *q, pid_t pid, char why[600], struct err *err);
/* Host page size at the target of each RAMBlock of the snapshot, bytes. */
bool lazy_fit_pages(struct qmp *q, const struct ram_blocks *ram,
                    uint64_t *host_pages, char why[600], struct err *err);

#endif
