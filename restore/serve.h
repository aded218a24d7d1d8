/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * serve: the pages of a postcopy migration, out of a snapshot: first those that
 * the target asks for, then their neighbourhood, then all others in order.
 *
 * A thread answers the target, others read ahead (restore/fill.h).  Each page
 * is sent once.  A page of zeros is sent when it is asked for; QEMU takes what
 * never came for zeros when the migration ends (5.2 to 11.1).  A chunk that is
 * damaged ends the service: from then on the target gets nothing more.
 */
#ifndef STASIS_RESTORE_SERVE_H
#define STASIS_RESTORE_SERVE_H

#include "qemu/postcopy.h"
#include "qemu/return_path.h"
#include "restore/unit.h"
#include "restore/working_set.h"

struct serve_options {
        const struct layout *layout; /* borrowed, as all of these          */
        const struct devices *devices;
        struct return_path *back;
        unsigned threads;
        const struct working_set *first; /* sent before others; may be NULL  */
        struct working_set *record;      /* gets what is asked for; or NULL  */
};

struct server;

/* fd: a connected socket; borrowed.  Everything up to the package has been
 * sent, or the migration has been resumed. */
bool server_new(int fd, const char *name, const struct serve_options *options,
                struct server **out, struct err *err);
void server_free(struct server *s); /* NULL is fine */

/* Before server_start: the pages that the target has, a bit each, in the order
 * of qemu/return_path.h; return_path_bits_size of the block's pages. */
uint8_t *server_sent(struct server *s, unsigned block, uint64_t *pages_out);

bool server_start(struct server *s, struct err *err);
/* Device state has been loaded: once all has been sent, the stream may end.
 * Before, QEMU would wait for its main loop at the stream's end, and that might
 * wait for a page of zeros that nobody answers any more (QEMU 7.2). */
void server_may_end(struct server *s);
/* Waits at most timeout_ms for its end; true: it has ended. */
bool server_ended(struct server *s, int timeout_ms);
/* Ends it: nothing more is sent, and the connection is closed. */
void server_stop(struct server *s);
/* How it ended, once it has: all sent, with the end of the stream; or why not.
 * ERR_QEMU: the target closed the connection. */
bool server_result(struct server *s, struct err *err);

struct serve_counts {
        uint64_t content_bytes; /* in chunks that are stored, raw            */
        uint64_t done_bytes;    /* of these: the target has them             */
        uint64_t requests;      /* of pages that it did not have yet         */
        /* From a request's coming to its page's having been written, us; of
         * all requests so far. */
        unsigned p50_us, p99_us, max_us;
};

/* Any time, from any thread. */
void server_counts(struct server *s, struct serve_counts *out);

#endif
