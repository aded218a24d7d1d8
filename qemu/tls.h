/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tls: a connection to a QEMU in TLS, as its tls-creds-x509 has it: from the
 * first byte on, QEMU the server, certificates on both sides.
 *
 * The session has a thread, which passes bytes between it and a socket pair
 * through fixed buffers: who writes a migration stream and reads what comes
 * back has an ordinary descriptor.
 */
#ifndef STASIS_QEMU_TLS_H
#define STASIS_QEMU_TLS_H

#include "base/err.h"

struct tls;

struct tls_options {
        /* As tls-creds-x509's dir: ca-cert.pem, perhaps ca-crl.pem, perhaps
         * client-cert.pem with client-key.pem. */
        const char *dir;
        const char *hostname; /* what the server's certificate must be for    */
};

/* Shakes hands over fd, which t takes over, also after failure.  Nothing is
 * sent to a server whose certificate is not what it must be. */
bool tls_start(int fd, const struct tls_options *options, struct tls **out,
               struct err *err);
/* t's: blocking, for writing and reading. */
int tls_fd(const struct tls *t);
/* Sends what has been written, ends the session as TLS demands, and closes.
 * False: what broke the session, also if that was earlier, which on tls_fd is
 * no more than EPIPE or an end.  Once. */
bool tls_end(struct tls *t, struct err *err);
/* Breaks it off if it has not been ended.  NULL is fine. */
void tls_free(struct tls *t);

#endif
