/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* local: stream sockets of this machine, by their path (AF_UNIX). */
#ifndef STASIS_BASE_LOCAL_H
#define STASIS_BASE_LOCAL_H

#include "base/err.h"

/* Close-on-exec, blocking.  A path that is too long is ERR_USAGE; the caller
 * says in err what the path is of. */
bool local_connect(const char *path, int *fd_out, struct err *err);
/* What is at the path must be gone. */
bool local_listen(const char *path, int backlog, int *fd_out, struct err *err);

#endif
