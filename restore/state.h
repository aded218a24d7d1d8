/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* state: what a snapshot holds beside RAM and disks, in memory: its manifest,
 * state.json and device sections. */
#ifndef STASIS_RESTORE_STATE_H
#define STASIS_RESTORE_STATE_H

#include "base/err.h"
#include "qemu/devices.h"

struct state {
        json_t *manifest, *state; /* owned; state may be NULL               */
        struct devices devices;
};

/* fd: a file, of which only these members are read, or a pipe, which is read
 * to its end; borrowed.  out: state_fini, also after failure. */
bool state_read(int fd, const char *name, struct state *out, struct err *err);
void state_fini(struct state *s);

#endif
