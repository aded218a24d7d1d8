/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verify: a whole snapshot, every byte of it, without anything being restored.
 *
 * Container (digests, framing, index, trailer), names, where RAM chunks stand
 * and that they are whole, the order of the stream's items, and, unless quick,
 * the items' own grammar and vmdesc against them; strict, each device's bytes
 * as well (restore/strict.h).
 */
#ifndef STASIS_RESTORE_VERIFY_H
#define STASIS_RESTORE_VERIFY_H

#include "base/err.h"
#include "base/progress.h"
#include "restore/strict.h"

struct verify_options {
        bool quick;  /* digests of stored bytes only: nothing is decoded     */
        bool strict; /* device sections are decoded, too                     */
        unsigned threads;
        struct progress *progress;
};

struct verify_report {
        uint64_t ram_chunks, stream_chunks, disk_chunks;
        uint64_t ram_replaced; /* RAM chunks that a later one replaces      */
        uint64_t stream_items;
        uint64_t raw_bytes, stored_bytes; /* of all chunks                 */
        struct strict_report strict;
};

/* fd: a file or a pipe; borrowed. */
bool verify_run(int fd, const char *name, const struct verify_options *options,
                struct verify_report *report, struct err *err);

#endif
