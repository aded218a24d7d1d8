/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* endpoint: where a migration stream goes, and the verdict that comes back. */
#ifndef STASIS_QEMU_ENDPOINT_H
#define STASIS_QEMU_ENDPOINT_H

#include "base/err.h"

struct endpoint;

struct endpoint_options {
        /* Certificates (qemu/tls.h); NULL: no TLS. */
        const char *tls_dir;
        /* What the destination's must be for; NULL: the URI's HOST. */
        const char *tls_hostname;
};

/* unix:PATH, tcp:HOST:PORT, fd:N or -. */
bool endpoint_open(const char *uri, const struct endpoint_options *options,
                   struct endpoint **out, struct err *err);
/* As it was given, cut at 255 bytes. */
const char *endpoint_uri(const struct endpoint *e);
/* e's: blocking. */
int endpoint_fd(const struct endpoint *e);
/* It is a socket, on which the destination can answer. */
bool endpoint_answers(const struct endpoint *e);
/* Ends the connection when all has been written; false: what broke it. Once. */
bool endpoint_end(struct endpoint *e, struct err *err);
/* The connection broke with err: what broke it is the better reason, if it is
 * known.  Ends it. */
void endpoint_explain(struct endpoint *e, struct err *err);
/* It hung up before its first answer: why that may be.  Returns false. */
bool endpoint_unanswered(struct endpoint *e, struct err *err);
/* NULL is fine. */
void endpoint_free(struct endpoint *e);

enum verdict {
        VERDICT_NONE, /* the connection was closed without one */
        VERDICT_LOADED,
        VERDICT_FAILED,
};

/* Reads the return path until SHUT or the end, at most timeout_ms without a
 * byte (negative: for ever). */
bool endpoint_verdict(int fd, int timeout_ms, enum verdict *out,
                      struct err *err);
/* The same when there is no way back any more: no signal ends it. */
bool endpoint_last_verdict(int fd, int timeout_ms, enum verdict *out,
                           struct err *err);
/* A PING command, to be put between items of the stream. */
#define ENDPOINT_PING_SIZE 9
void endpoint_ping(uint32_t token, uint8_t out[ENDPOINT_PING_SIZE]);
/* The same until the answer to PING token, which is VERDICT_LOADED: all up to
 * there has been loaded. */
bool endpoint_pong(int fd, uint32_t token, int timeout_ms, enum verdict *out,
                   struct err *err);

#endif
