/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pin: what a base image was when overlays on it were saved, and whether it
 * still is.  (spec/manifest-vm.md, "A base")
 *
 * Of what a guest would read from it (its own backing files included), not of
 * the file: a copy, on another host, in another format, is the same base.
 * Cheap on purpose; `whole` reads everything.
 *
 *   {"virtual_size":1048576, "contents":[...], "superblocks":"<digest>",
 *    "samples":"<digest>", "whole":"<digest>"}
 *
 * superblocks: CONTENTS_EDGE bytes at either end of the disk and of each
 * partition; samples: 256 blocks of 4 KiB spread evenly over the disk.
 * Digests are XXH3-128.
 */
#ifndef STASIS_FORMAT_PIN_H
#define STASIS_FORMAT_PIN_H

#include "base/contents.h"

/* *out: a new reference. */
bool pin_take(contents_read *read, void *arg, uint64_t size, bool whole,
              json_t **out, struct err *err);
/* *why gets what differs, in a few words ("grown from ... to ...", "the ext4
 * at 1048576 has another UUID", "its superblocks differ"), or "".  A recorded
 * "whole" digest is compared too.  ERR_CORRUPT when recorded is no pin. */
bool pin_compare(const json_t *recorded, contents_read *read, void *arg,
                 uint64_t size, char why[200], struct err *err);

#endif
