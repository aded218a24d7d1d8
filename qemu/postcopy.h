/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * postcopy: what the source of a postcopy migration says beside RAM's pages;
 * what is answered: qemu/return_path.h.  (spec/lazy-restore.md; QEMU 5.2 to
 * 11.1)
 */
#ifndef STASIS_QEMU_POSTCOPY_H
#define STASIS_QEMU_POSTCOPY_H

#include "base/emit.h"
#include "qemu/devices.h"

/* The longest package that QEMU takes, bytes. */
#define POSTCOPY_PACKAGE_MAX UINT32_MAX

/* Header, configuration, ADVISE, early sections, RAM's START, and a discard of
 * every RAMBlock: QEMU takes all RAM for missing then, ROMs included.
 * page_sizes: the destination's host page size, of each RAMBlock of d.
 * out NULL: only tells how long it is.  Returns the length. */
size_t postcopy_opening(const struct devices *d, const uint64_t *page_sizes,
                        uint32_t target_page_size, struct emit *out);
/* Device state, packaged, with which the guest begins to run (or, with -S, to
 * be paused).  The length as above: what is behind the first
 * POSTCOPY_PACKAGE_HEAD bytes must not pass POSTCOPY_PACKAGE_MAX. */
#define POSTCOPY_PACKAGE_HEAD 9
size_t postcopy_package(const struct devices *d, struct emit *out);
/* RAM's END and the end of the stream. */
#define POSTCOPY_END_MAX 32
size_t postcopy_end(const struct devices *d, struct emit *out);

/* For a destination that has lost its source: asks which pages of a RAMBlock it
 * has (at most POSTCOPY_ASK_MAX bytes), and then to go on. */
#define POSTCOPY_ASK_MAX 264
void postcopy_ask_bitmap(const char *block, struct emit *out);
#define POSTCOPY_RESUME_SIZE 5
void postcopy_resume(struct emit *out);

#endif
