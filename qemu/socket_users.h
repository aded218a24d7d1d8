/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* socket_users: which processes are connected to a Unix socket of that path,
 * for an error message.  Best effort: needs /proc and sock_diag. */
#ifndef STASIS_QEMU_SOCKET_USERS_H
#define STASIS_QEMU_SOCKET_USERS_H

#include <stdbool.h>
#include <stddef.h>

/* "process 4711 (libvirtd)", the clients besides this process; false: none is
 * known. */
bool socket_users(const char *path, char *out, size_t size);

#endif
