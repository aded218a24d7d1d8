/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/endpoint.h"

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define RETURN_PATH_SHUT 1

static bool open_unix(const char *path, int *fd_out, struct err *err)
{
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        CLEANUP_FD int fd = -1;

        if (strlen(path) >= sizeof a.sun_path)
                return err_set(err, ERR_USAGE, "the socket's path is too long");
        strcpy(a.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
                return err_os(err, errno, "cannot connect");
        *fd_out = steal_fd(&fd);
        return true;
}

/* HOST:PORT, where HOST may be [v6 address]. */
static bool split_host(const char *s, char host[256], char port[32],
                       struct err *err)
{
        const char *colon = strrchr(s, ':');
        size_t len = colon ? (size_t)(colon - s) : 0;

        if (!colon || len >= 256 || strlen(colon + 1) >= 32 || !colon[1])
                return err_set(err, ERR_USAGE, "not tcp:HOST:PORT");
        if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
                s++;
                len -= 2;
        }
        memcpy(host, s, len);
        host[len] = '\0';
        strcpy(port, colon + 1);
        return true;
}

static bool open_tcp(const char *address, int *fd_out, struct err *err)
{
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
        char host[256], port[32];
        int fd = -1, saved = 0, rc;

        TRY(split_host(address, host, port, err));
        rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &list);
        if (rc != 0)
                return err_set(err, ERR_IO, "cannot resolve it: %s",
                               gai_strerror(rc));
        for (a = list; a && fd < 0; a = a->ai_next) {
                fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC,
                            a->ai_protocol);
                if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
                        saved = errno;
                        close(fd);
                        fd = -1;
                }
        }
        freeaddrinfo(list);
        if (fd < 0)
                return err_os(err, saved, "cannot connect");
        *fd_out = fd;
        return true;
}

static bool open_fd(const char *number, int *fd_out, struct err *err)
{
        char *end;
        long n = strtol(number, &end, 10);

        if (end == number || *end || n < 0 || n > INT32_MAX)
                return err_set(err, ERR_USAGE, "not fd:N");
        *fd_out = fcntl((int)n, F_DUPFD_CLOEXEC, 3);
        return *fd_out >= 0 ||
               err_os(err, errno, "descriptor %ld cannot be used", n);
}

bool endpoint_open(const char *uri, int *fd_out, bool *answers_out,
                   struct err *err)
{
        struct stat st;
        bool ok;

        if (strcmp(uri, "-") == 0)
                ok = open_fd("1", fd_out, err);
        else if (strncmp(uri, "unix:", 5) == 0)
                ok = open_unix(uri + 5, fd_out, err);
        else if (strncmp(uri, "tcp:", 4) == 0)
                ok = open_tcp(uri + 4, fd_out, err);
        else if (strncmp(uri, "fd:", 3) == 0)
                ok = open_fd(uri + 3, fd_out, err);
        else
                ok = err_set(err, ERR_USAGE,
                             "not unix:PATH, tcp:HOST:PORT, fd:N or -");
        if (!ok)
                return err_in_file(err, uri);
        *answers_out = fstat(*fd_out, &st) == 0 && S_ISSOCK(st.st_mode);
        return true;
}

/* Waits for a byte or the end; *came_out: there is one. */
static bool await(int fd, int timeout_ms, bool *came_out, struct err *err)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n;

        do {
                if (progress_cancelled(err))
                        return false;
                n = poll(&p, 1, timeout_ms);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return err_os(err, errno, "poll");
        *came_out = n > 0;
        return true;
}

/* len bytes, or fewer at the end. */
static bool read_some(int fd, int timeout_ms, uint8_t *bytes, size_t len,
                      size_t *got_out, struct err *err)
{
        size_t got = 0;

        while (got < len) {
                struct err reset = ERR_INIT;
                bool came = false;
                size_t n;

                TRY(await(fd, timeout_ms, &came, err));
                if (!came)
                        return err_set(err, ERR_QEMU,
                                       "the destination does not answer");
                /* A destination that dies resets the connection. */
                if (!io_read_some(fd, bytes + got, len - got, &n,
                                  "the destination", &reset)) {
                        if (reset.os != ECONNRESET) {
                                *err = reset;
                                return false;
                        }
                        n = 0;
                }
                if (n == 0)
                        break;
                got += n;
        }
        *got_out = got;
        return true;
}

bool endpoint_verdict(int fd, int timeout_ms, enum verdict *out,
                      struct err *err)
{
        *out = VERDICT_NONE;
        for (;;) {
                uint8_t bytes[4 + UINT16_MAX];
                uint16_t type, len;
                struct cursor c;
                uint32_t value;
                size_t got;

                TRY(read_some(fd, timeout_ms, bytes, 4, &got, err));
                if (got < 4)
                        return true;
                cursor_init(&c, bytes, 4, 0, "return path", err);
                TRY(cursor_u16be(&c, "type", &type));
                TRY(cursor_u16be(&c, "length", &len));
                TRY(read_some(fd, timeout_ms, bytes, len, &got, err));
                if (got < len)
                        return true;
                if (type != RETURN_PATH_SHUT)
                        continue;
                cursor_init(&c, bytes, len, 4, "return path", err);
                TRY(cursor_u32be(&c, "SHUT", &value));
                *out = value == 0 ? VERDICT_LOADED : VERDICT_FAILED;
                return true;
        }
}
