/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* globalstate: the device section that carries the run state of before the
 * migration.  (spec/migration-stream.md, section 8) */
#ifndef STASIS_QEMU_GLOBALSTATE_H
#define STASIS_QEMU_GLOBALSTATE_H

#include <stddef.h>
#include <stdint.h>

/* section: the section's beginning, header included; len 0: there is none, as
 * with machine types up to 2.3.  "running" then, and where it makes no sense:
 * that is what QEMU takes it for. */
void globalstate_run_state(const uint8_t *section, size_t len, char out[32]);

#endif
