/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/local.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static bool make(const char *path, struct sockaddr_un *a, int *fd_out,
                 struct err *err)
{
        *a = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (strlen(path) >= sizeof a->sun_path)
                return err_set(err, ERR_USAGE, "the socket's path is too long");
        strcpy(a->sun_path, path);
        *fd_out = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        return *fd_out >= 0 || err_os(err, errno, "socket");
}

bool local_connect(const char *path, int *fd_out, struct err *err)
{
        CLEANUP_FD int fd = -1;
        struct sockaddr_un a;

        TRY(make(path, &a, &fd, err));
        if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
                return err_os(err, errno, "cannot connect");
        *fd_out = steal_fd(&fd);
        return true;
}

bool local_listen(const char *path, int backlog, int *fd_out, struct err *err)
{
        CLEANUP_FD int fd = -1;
        struct sockaddr_un a;

        TRY(make(path, &a, &fd, err));
        if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
            listen(fd, backlog) != 0)
                return err_os(err, errno, "cannot listen");
        *fd_out = steal_fd(&fd);
        return true;
}
