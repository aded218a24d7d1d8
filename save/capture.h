/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * capture: a migration stream becomes a snapshot.  The one save path: a live
 * save, a paused save and an import differ in where the bytes come from.
 *
 * Reads from fd until the stream is grammatically complete; then everything
 * is written (index and trailer too), but not published.
 */
#ifndef STASIS_SAVE_CAPTURE_H
#define STASIS_SAVE_CAPTURE_H

#include "base/err.h"
#include "base/progress.h"

#include <jansson.h>

struct passes;
struct writer;
struct tee;
struct channels;

/* The writer's tag of chunks that are not RAM. */
#define CAPTURE_TAG UINT64_MAX

struct capture_options {
        bool compress;
        int level;
        unsigned threads;
        int64_t time;          /* creation time, seconds since the epoch     */
        const char *spool_dir; /* NULL: default                              */
        /* What is known of the VM before the stream begins; borrowed.  Capture
         * adds machine type, RAMBlocks, page size as the stream tells them. */
        const json_t *manifest;
        /* Asked whenever no byte has come for a while (50 ms) on a stream
         * that may or may not be complete: *at_end = true when the sender has
         * sent all (QEMU waits for the verdict).  NULL: the stream ends where
         * the file ends. Fails when the sender failed. */
        bool (*quiet)(void *arg, bool *at_end, struct err *err);
        bool haste;     /* assembler_expect_haste                            */
        bool any_order; /* assembler_expect_any_order                        */
        /* Called after each part of RAM, 50 ms of sending.  May be NULL. */
        bool (*part)(void *arg, struct err *err);
        /* Called once when all has come, and before the rest of it is written:
         * a sender need wait no longer.  May be NULL. */
        bool (*received)(void *arg, struct err *err);
        /* Where pages come again and again: gives another empty file or a pipe,
         * which out_fd is then abandoned for, should much of it be chunks that
         * later ones replace.  Called once at most.  NULL: not wanted. */
        bool (*anew)(void *arg, int *fd_out, struct err *err);
        bool draft; /* out_fd is abandoned in any case                       */
        /* Called once before state.json is written: stores disks (chunks with
         * CAPTURE_TAG), and adds what is known only now ("run_state", "disks",
         * ...) to state. May be NULL. */
        bool (*complete)(void *arg, struct writer *w, json_t *state,
                         struct err *err);
        void *arg;
        struct passes *passes; /* borrowed; NULL: not counted                */
        /* Gets the same stream; what it keeps is its end.  May be NULL. */
        struct tee *tee;
        /* Of a multifd source, which pages come over; NULL: none do. */
        struct channels *channels;
        struct progress *progress;
        uint64_t expected_bytes; /* RAM, for progress; 0: unknown */
};

struct capture_report {
        uint64_t stream_bytes;   /* read                                     */
        uint64_t snapshot_bytes; /* written                                  */
        uint64_t ram_bytes;      /* all RAMBlocks                            */
        uint64_t zero_bytes;     /* of these, in chunks that are all zero    */
        uint64_t pages_again;    /* pages that came more than once           */
        uint64_t waste_bytes;    /* written, and replaced by later chunks    */
        uint64_t trailing_bytes; /* behind the end of the stream, dropped    */
};

/* in_fd: a socket, pipe or file; borrowed.  out_fd: a file (read back and
 * written) or a pipe. */
bool capture_run(int in_fd, const char *in_name, int out_fd,
                 const char *out_name, const struct capture_options *options,
                 struct capture_report *report, struct err *err);

#endif
