/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * return_path: what the destination of a migration answers its source.
 * (spec/migration-stream.md; QEMU 5.2 to 11.1)
 */
#ifndef STASIS_QEMU_RETURN_PATH_H
#define STASIS_QEMU_RETURN_PATH_H

#include "base/err.h"

/* QEMU's longest is a request with a name, 272 bytes. */
#define RETURN_MESSAGE_MAX 4096

enum return_type {
        RETURN_NONE = 0, /* nothing came in time                             */
        RETURN_SHUT = 1,
        RETURN_PONG = 2,
        RETURN_REQUEST_BLOCK = 3, /* told as RETURN_REQUEST                  */
        RETURN_REQUEST = 4,
        RETURN_BITMAP = 5, /* to be followed by return_path_bits             */
        RETURN_RESUMED = 6,
        RETURN_SWITCHOVER = 7,
        RETURN_ENDED = 256, /* the connection was closed                     */
};

struct return_message {
        enum return_type type;
        uint32_t value;  /* SHUT, PONG, RESUMED                              */
        char block[256]; /* REQUEST, BITMAP: a RAMBlock's name, not escaped  */
        uint64_t start;  /* REQUEST: bytes                                   */
        uint32_t len;
};

struct return_path {
        int fd; /* a socket; borrowed */
        /* A message that has not come whole yet. */
        size_t len;
        uint8_t bytes[RETURN_MESSAGE_MAX];
        char block[256]; /* of the last request that named one */
};

void return_path_init(struct return_path *r, int fd);
/* The next message: none if it has not begun to come after timeout_ms
 * (negative: for ever), or when a signal was caught.  Takes nothing of what is
 * behind it. Fails on what is not a message (ERR_QEMU). */
bool return_path_next(struct return_path *r, int timeout_ms,
                      struct return_message *out, struct err *err);
/* The bits behind RETURN_BITMAP: bit i % 8 of byte i / 8 is page i; bits has
 * room for return_path_bits_size(pages). */
size_t return_path_bits_size(uint64_t pages);
bool return_path_bits(struct return_path *r, int timeout_ms, uint8_t *bits,
                      uint64_t pages, struct err *err);

#endif
