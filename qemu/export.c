/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/export.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "qemu/identity.h"

#define EXPORT_ID "stasis-export"
#define FD_NAME   "stasis-export"
/* In the listening socket's path, which the kernel keeps: a server without an
 * export is known by it. */
#define DIR_PREFIX "stasis-nbd-"

struct nbd_export {
        struct qmp *q;
        char dir[108], path[120]; /* of the socket; "": is not there */
        int fd;                   /* our connection */
        bool started;
};

/* ---- the socket ---------------------------------------------------------- */

static bool address(const char *path, struct sockaddr_un *out, struct err *err)
{
        size_t len = strlen(path);

        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        if (len >= sizeof out->sun_path)
                return err_set(err, ERR_IO, "%s: too long for a socket", path);
        memcpy(out->sun_path, path, len + 1);
        return true;
}

/* In a directory of our own: nobody else comes in. */
static bool listen_here(struct nbd_export *e, int *out, struct err *err)
{
        const char *tmp = getenv("TMPDIR");
        CLEANUP_FD int fd = -1;
        struct sockaddr_un a;
        int len;

        len = snprintf(e->dir, sizeof e->dir, "%s/" DIR_PREFIX "XXXXXX",
                       tmp && tmp[0] ? tmp : "/tmp");
        if (len < 0 || (size_t)len >= sizeof e->dir) {
                e->dir[0] = '\0';
                return err_set(err, ERR_IO, "TMPDIR is too long a name");
        }
        if (!mkdtemp(e->dir)) {
                err_os(err, errno, "%s", e->dir);
                e->dir[0] = '\0';
                return false;
        }
        snprintf(e->path, sizeof e->path, "%s/socket", e->dir);
        TRY(address(e->path, &a, err));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
            listen(fd, 1) != 0)
                return err_os(err, errno, "%s", e->path);
        *out = steal_fd(&fd);
        return true;
}

static bool connect_here(struct nbd_export *e, struct err *err)
{
        struct sockaddr_un a;

        TRY(address(e->path, &a, err));
        e->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (e->fd < 0 || connect(e->fd, (struct sockaddr *)&a, sizeof a) != 0)
                return err_os(err, errno, "%s", e->path);
        return true;
}

static void remove_name(struct nbd_export *e)
{
        if (e->path[0])
                unlink(e->path);
        if (e->dir[0])
                rmdir(e->dir);
        e->path[0] = e->dir[0] = '\0';
}

/* ---- in QEMU ------------------------------------------------------------- */

static bool start_server(struct nbd_export *e, struct err *err)
{
        struct qmp_error why = {.class = ""};
        struct err ignored = ERR_INIT;
        CLEANUP_FD int listener = -1;

        TRY(listen_here(e, &listener, err));
        TRY(qmp_command_fd(e->q, "getfd", json_pack("{s:s}", "fdname", FD_NAME),
                           listener, NULL, NULL, err));
        e->started = qmp_command(e->q, "nbd-server-start",
                                 json_pack("{s:{s:s, s:{s:s}}, s:i}", "addr",
                                           "type", "fd", "data", "str", FD_NAME,
                                           "max-connections", 1),
                                 NULL, &why, err);
        if (e->started)
                return true;
        qmp_command(e->q, "closefd", json_pack("{s:s}", "fdname", FD_NAME),
                    NULL, NULL, &ignored);
        if (!why.desc[0])
                return false;
        err_clear(err);
        return err_set(err, ERR_QEMU,
                       "QEMU must serve the disk over NBD for it to be read, "
                       "and does not: %s (it can run one NBD server at a "
                       "time; nbd-server-stop ends the one that is there)",
                       why.desc);
}

static bool add_export(struct qmp *q, const char *node, struct err *err)
{
        return qmp_command(q, "block-export-add",
                           json_pack("{s:s, s:s, s:s, s:s, s:b, s:b}", "type",
                                     "nbd", "id", EXPORT_ID, "node-name", node,
                                     "name", EXPORT_NAME, "writable", 0,
                                     "allocation-depth", 1),
                           NULL, NULL, err);
}

bool export_open(struct qmp *q, const char *node, struct nbd_export **out,
                 struct err *err)
{
        struct nbd_export *e = calloc(1, sizeof *e);
        bool steadfast, ok;

        if (!e)
                return err_nomem(err);
        e->q = q;
        e->fd = -1;
        /* Begun and not awaited, it would be there and we would not know. */
        steadfast = qmp_steadfast(q, true);
        ok = start_server(e, err) && add_export(q, node, err) &&
             connect_here(e, err);
        qmp_steadfast(q, steadfast);
        remove_name(e);
        if (!ok) {
                export_close(e);
                return false;
        }
        *out = e;
        return true;
}

int export_take_fd(struct nbd_export *e)
{
        return steal_fd(&e->fd);
}

/*
 * A server that is stopped while a client of it has not said what it wants
 * hangs QEMU for good (Debian's 7.2.22) or ends it (5.2.0).  Our connection is
 * closed; QEMU's main loop has seen that when it has come round, which three
 * answers prove.
 */
static bool stop_server(struct qmp *q, struct err *err)
{
        static const struct timespec moment = {.tv_nsec = 5000000};
        bool steadfast = qmp_steadfast(q, true), ok = true;
        struct err ignored = ERR_INIT;

        qmp_command(q, "block-export-del",
                    json_pack("{s:s, s:s}", "id", EXPORT_ID, "mode", "hard"),
                    NULL, NULL, &ignored);
        for (int i = 0; ok && i < 3; i++) {
                nanosleep(&moment, NULL);
                ok = qmp_command(q, "query-block-exports", NULL, NULL, NULL,
                                 err);
        }
        ok = ok && qmp_command(q, "nbd-server-stop", NULL, NULL, NULL, err);
        qmp_steadfast(q, steadfast);
        return ok;
}

void export_close(struct nbd_export *e)
{
        struct err failed = ERR_INIT;
        char line[1024];

        if (!e)
                return;
        remove_name(e);
        cleanup_fd_(&e->fd);
        if (e->started && !stop_server(e->q, &failed))
                log_warn("%s", err_line(&failed, line, sizeof line));
        free(e);
}

bool export_possible(struct qmp *q, struct err *err)
{
        struct nbd_export e = {.q = q, .fd = -1};
        bool steadfast = qmp_steadfast(q, true);
        bool ok = start_server(&e, err);

        qmp_steadfast(q, steadfast);
        remove_name(&e);
        return ok && stop_server(q, err);
}

/* ---- what was left ------------------------------------------------------- */

static bool find_export(struct qmp *q, bool *found, struct err *err)
{
        json_auto_t *exports = NULL;
        const json_t *entry;
        size_t i;

        *found = false;
        TRY(qmp_ask(q, "query-block-exports", NULL, &exports, err));
        json_array_foreach(exports, i, entry)
        {
                const char *id =
                        json_string_value(json_object_get(entry, "id"));

                *found |= id && strcmp(id, EXPORT_ID) == 0;
        }
        return true;
}

static bool has_socket(pid_t pid, unsigned long inode)
{
        char dir[64], link[64], want[64];
        struct dirent *entry;
        bool found = false;
        DIR *d;

        snprintf(want, sizeof want, "socket:[%lu]", inode);
        snprintf(dir, sizeof dir, "/proc/%ld/fd", (long)pid);
        d = opendir(dir);
        while (d && !found && (entry = readdir(d))) {
                ssize_t n = readlinkat(dirfd(d), entry->d_name, link,
                                       sizeof link - 1);

                link[n > 0 ? n : 0] = '\0';
                found = strcmp(link, want) == 0;
        }
        if (d)
                closedir(d);
        return found;
}

/* Num: RefCount Protocol Flags Type St Inode Path */
static bool has_listener(pid_t pid)
{
        const unsigned listening = 0x10000; /* __SO_ACCEPTCON */
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *text = NULL;
        char *line, *rest;
        size_t len;

        if (!pid ||
            !io_read_file("/proc/net/unix", 64 * MiB, &text, &len, &ignored))
                return false;
        rest = text;
        while ((line = strsep(&rest, "\n"))) {
                unsigned long inode;
                unsigned flags;

                if (strstr(line, "/" DIR_PREFIX) &&
                    sscanf(line, "%*s %*x %*x %x %*x %*x %lu", &flags,
                           &inode) == 2 &&
                    (flags & listening) && has_socket(pid, inode))
                        return true;
        }
        return false;
}

bool export_recover(struct qmp *q, pid_t pid, struct err *err)
{
        struct err failed = ERR_INIT;
        bool found;

        TRY(find_export(q, &found, err));
        if (!found && !has_listener(pid))
                return true;
        log_note("an earlier save left an NBD server in this QEMU: it is "
                 "ended");
        /* Without an export it may be the socket alone that was left. */
        qmp_command(q, "closefd", json_pack("{s:s}", "fdname", FD_NAME), NULL,
                    NULL, &failed);
        if (found)
                return stop_server(q, err);
        stop_server(q, &failed);
        return true;
}
