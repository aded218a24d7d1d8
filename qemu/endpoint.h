/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* endpoint: where a migration stream goes, and the verdict that comes back. */
#ifndef STASIS_QEMU_ENDPOINT_H
#define STASIS_QEMU_ENDPOINT_H

#include "base/err.h"

/* unix:PATH, tcp:HOST:PORT, fd:N or -.  *answers_out: it is a socket, on which
 * the destination can answer. The caller closes *fd_out. */
bool endpoint_open(const char *uri, int *fd_out, bool *answers_out,
                   struct err *err);

enum verdict {
        VERDICT_NONE, /* the connection was closed without one */
        VERDICT_LOADED,
        VERDICT_FAILED,
};

/* Reads the return path until SHUT or the end, at most timeout_ms without a
 * byte (negative: for ever). */
bool endpoint_verdict(int fd, int timeout_ms, enum verdict *out,
                      struct err *err);

#endif
