/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * behind: disks that are copied while the guest runs again.
 *
 *      behind_begin   the guest runs: each disk gets a temporary overlay, all
 * in one transaction; what it had before stands still from now on behind_cut
 * QEMU waits for the verdict: what the guest has written since then is in the
 * temporary overlays, and is kept behind_source  the guest runs again: the
 * image that stands still, with what was kept over it, is the disk at the cut
 *      behind_end     the temporary overlays are committed and are gone; the
 *                     chain is as before
 *
 * Killed in between, we leave a VM that runs on its temporary overlays; the
 * next save of it ends them (behind_recover).
 */
#ifndef STASIS_SAVE_BEHIND_H
#define STASIS_SAVE_BEHIND_H

#include "base/progress.h"
#include "qemu/qmp.h"
#include "save/disk_source.h"

struct behind;

/* For the disk that disks_query told as `disk`; before behind_begin. */
bool behind_new(const char *spool_dir, struct behind **out, struct err *err);
bool behind_add(struct behind *b, const json_t *disk, struct err *err);
/* After failure nothing has changed, or behind_end puts it back. */
bool behind_begin(struct behind *b, struct qmp *q, struct err *err);
bool behind_cut(struct behind *b, struct err *err);
/* n: the how-manieth behind_add. below: the image that stands still; outlives
 * the source. */
void behind_source(struct behind *b, size_t n, const struct disk_source *below,
                   struct disk_source *out);
/* Also after failure.  False: a VM still runs on a temporary overlay; err names
 * it, and how to end it by hand. */
bool behind_end(struct behind *b, struct qmp *q, struct progress *progress,
                struct err *err);
void behind_free(struct behind *b); /* NULL is fine */

/* Ends temporary overlays that an earlier save left. */
bool behind_recover(struct qmp *q, struct err *err);

#endif
