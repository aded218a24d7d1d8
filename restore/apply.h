/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * apply: a snapshot becomes a migration stream again, written to a
 * descriptor.
 *
 * Device state is withheld until everything is verified: index, trailer, each
 * member's digests, headers and padding, the grammar of the stream.  Whatever
 * fails before that, the target never got what it would need to run.  Its RAM
 * and, by block migration, its images may have got chunks that are sound each.
 */
#ifndef STASIS_RESTORE_APPLY_H
#define STASIS_RESTORE_APPLY_H

#include "base/err.h"
#include "base/progress.h"
#include "format/reader.h"

/* The token of the PING that follows OPEN_RETURN_PATH. */
#define APPLY_PING 1

struct apply_options {
        const char *spool_dir; /* device state from a pipe; NULL: default    */
        /* Commands that open the return path (OPEN_RETURN_PATH) are put into
         * the stream; the caller reads the verdict from the same socket. */
        bool return_path;
        /* Called when these have been sent, before anything of RAM: may wait
         * for the answer to APPLY_PING.  May be NULL. */
        bool (*linked)(void *arg, struct err *err);
        /* RAM that the reader does not tell is not sent: for a trial of device
         * state alone, with a reader of a file's "stream/" only. */
        bool state_only;
        /* The section of block migration is left out: the disks come back
         * otherwise, and what is stored of them is only verified. */
        bool no_block;
        /* Called before the first byte of that section is sent: false (with
         * err) refuses, the target cannot take it.  May be NULL. */
        bool (*block)(void *arg, struct err *err);
        /* Called when all is verified and before device state is sent: the
         * last moment to refuse.  From a pipe, reader_state() is known then. */
        bool (*proven)(void *arg, struct err *err);
        /* Whether the target's RAM there is zero as it is, so that zeros need
         * not be sent: asked behind all other RAM.  May be NULL. */
        bool (*is_zero)(void *arg, const char *block, uint64_t offset,
                        uint64_t len);
        void *arg;
        struct progress *progress;
};

/* What was being sent; kept up to date, also when writing fails: "ram",
 * "0000:00:03.0/virtio-net". */
struct apply_report {
        char section[320];
        uint64_t stream_bytes;
        uint64_t device_offset; /* where in the stream device state began     */
};

/* Consumes r up to READ_END.  out_fd: borrowed, blocking. */
bool apply_run(struct reader *r, int out_fd, const char *out_name,
               const struct apply_options *options, struct apply_report *report,
               struct err *err);

#endif
