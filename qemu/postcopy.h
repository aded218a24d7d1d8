/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * postcopy: what the source of a postcopy migration says beside RAM's pages,
 * and what the destination answers on the return path.
 * (spec/lazy-restore.md; QEMU 5.2 to 11.1)
 */
#ifndef STASIS_QEMU_POSTCOPY_H
#define STASIS_QEMU_POSTCOPY_H

#include "base/emit.h"
#include "base/err.h"
#include "qemu/devices.h"

/* The longest package that QEMU takes, bytes. */
#define POSTCOPY_PACKAGE_MAX UINT32_MAX

/* Header, configuration, ADVISE, early sections, RAM's START, and a discard of
 * every RAMBlock: QEMU takes all RAM for missing then, ROMs included.
 * page_sizes: the destination's host page size, of each RAMBlock of d.
 * out NULL: only tells how long it is.  Returns the length. */
size_t postcopy_opening(const struct devices *d, const uint64_t *page_sizes,
                        uint32_t target_page_size, struct emit *out);
/* Device state, packaged, with which the guest begins to run (or, with -S, to
 * be paused).  The length as above: what is behind the first
 * POSTCOPY_PACKAGE_HEAD bytes must not pass POSTCOPY_PACKAGE_MAX. */
#define POSTCOPY_PACKAGE_HEAD 9
size_t postcopy_package(const struct devices *d, struct emit *out);
/* RAM's END and the end of the stream. */
#define POSTCOPY_END_MAX 32
size_t postcopy_end(const struct devices *d, struct emit *out);

/* For a destination that has lost its source: asks which pages of a RAMBlock it
 * has (at most POSTCOPY_ASK_MAX bytes), and then to go on. */
#define POSTCOPY_ASK_MAX 264
void postcopy_ask_bitmap(const char *block, struct emit *out);
#define POSTCOPY_RESUME_SIZE 5
void postcopy_resume(struct emit *out);

/* ---- what comes back ----------------------------------------------------- */

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

struct return_path;

/* fd: borrowed, a socket. */
struct return_path *return_path_new(int fd); /* NULL: no memory */
void return_path_free(struct return_path *r);
/* The next message, waiting at most timeout_ms for its first byte.  Fails on
 * what is not a message (ERR_QEMU). */
bool return_path_next(struct return_path *r, int timeout_ms,
                      struct return_message *out, struct err *err);
/* The bits behind RETURN_BITMAP: bit i % 8 of byte i / 8 is page i; bits has
 * room for postcopy_bits_size(pages). */
size_t postcopy_bits_size(uint64_t pages);
bool return_path_bits(struct return_path *r, int timeout_ms, uint8_t *bits,
                      uint64_t pages, struct err *err);

#endif
