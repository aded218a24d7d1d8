/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * channels: the connections of a multifd migration that comes to us.
 *
 * QEMU connects to a socket of ours, once for the stream proper, the main
 * channel, and once for each channel that carries pages.  A page may come again
 * over another channel: what orders them are barriers, each a mark in the
 * main channel and a SYNC packet in every other one.  So pages are told as they
 * come, but none from behind a barrier before all before it have been.
 */
#ifndef STASIS_QEMU_CHANNELS_H
#define STASIS_QEMU_CHANNELS_H

#include "qemu/ram.h"
#include "qemu/source.h"

#include <sys/types.h>

struct channels;

struct channels_options {
        unsigned count; /* at most MULTIFD_CHANNELS_MAX */
        bool zstd;
        /* The directory of a new private directory for the socket; and who,
         * besides root, can reach it. */
        const char *dir;
        uid_t uid;
};

bool channels_listen(const struct channels_options *options,
                     struct channels **out, struct err *err);
/* For `migrate`. */
const char *channels_uri(const struct channels *c);
/* Waits for all of them; *main_out is the caller's.  Nobody else can connect
 * afterwards. */
bool channels_accept(struct channels *c, int *main_out, struct err *err);

/* bytes: NULL: zeros. */
typedef bool channels_page(void *arg, unsigned block, uint64_t offset,
                           const uint8_t *bytes, size_t len, struct err *err);
/* RAM's START has come.  Borrowed: blocks, arg. */
bool channels_begin(struct channels *c, const struct ram_blocks *blocks,
                    uint32_t page_size, channels_page *page, void *arg,
                    struct err *err);
/* source_waiter: waits for the main channel, and takes what the others have. */
source_waiter channels_wait;
/* The main channel is at a barrier: tells all that came before it. */
bool channels_barrier(struct channels *c, struct err *err);

/* So that QEMU need not wait for us. */
void channels_hang_up(struct channels *c);
/* NULL is fine. */
void channels_free(struct channels *c);

#endif
