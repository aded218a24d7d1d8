/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The claim is a name among abstract sockets: it needs no directory, no
 * rights, and goes with the process that holds it. */
#include "save/exclusive.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

bool exclusive_claim(pid_t pid, unsigned long long start_time, int *fd_out,
                     struct err *err)
{
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        CLEANUP_FD int fd = -1;
        int len;

        len = snprintf(a.sun_path + 1, sizeof a.sun_path - 1,
                       "stasis-save-%ld-%llu", (long)pid, start_time);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return err_os(err, errno, "socket");
        if (bind(fd, (struct sockaddr *)&a,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
                             (size_t)len)) != 0) {
                if (errno != EADDRINUSE)
                        return err_os(err, errno, "bind");
                return err_set(err, ERR_QEMU,
                               "another save of this VM (process %ld) is "
                               "under way",
                               (long)pid);
        }
        *fd_out = steal_fd(&fd);
        return true;
}
