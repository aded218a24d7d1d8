/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unsent: why a page of a RAMBlock may legitimately never come.
 * (spec/migration-stream.md, "Pages that never come")
 *
 * virtio-mem does not send what is unplugged: its section carries the size of
 * its RAMBlock.  virtio-balloon with free page hints lets the source skip
 * pages that the guest said are free: its section then has the subsection
 * virtio-balloon-device/free-page-report.
 */
#ifndef STASIS_QEMU_UNSENT_H
#define STASIS_QEMU_UNSENT_H

#include "qemu/ram.h"

struct unsent;

struct unsent *unsent_new(void); /* NULL: no memory */
void unsent_free(struct unsent *u);
/* The stream's RAMBlocks; borrowed. */
void unsent_blocks(struct unsent *u, const struct ram_blocks *blocks);
/* A section begins; its bytes follow. */
void unsent_section(struct unsent *u, const char *idstr);
void unsent_bytes(struct unsent *u, const uint8_t *bytes, size_t len);
/* "virtio-mem", "free-page-hint", or NULL: no reason is known. */
const char *unsent_reason(struct unsent *u, unsigned block);

#endif
