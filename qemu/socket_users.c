/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel lists, by sock_diag, each server-side connection with the file
 * that it was accepted on and the inode of the client's end; /proc/PID/fd tells
 * who has that inode open.  (The name would not do: it is as the server bound
 * it, often relative.)
 */
#include "qemu/socket_users.h"

#include <dirent.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#define PEERS_MAX       16
#define TCP_ESTABLISHED 1 /* include/net/tcp_states.h; sock_diag's uapi too */

struct peers {
        uint32_t inodes[PEERS_MAX];
        unsigned count;
};

static void take_socket(const struct stat *file, const struct nlmsghdr *h,
                        struct peers *peers)
{
        const struct unix_diag_msg *m = NLMSG_DATA(h);
        const struct rtattr *a = (const struct rtattr *)(m + 1);
        size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof *m);
        struct unix_diag_vfs vfs = {.udiag_vfs_ino = 0};
        uint32_t peer = 0;

        for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
                size_t len = RTA_PAYLOAD(a);

                if (a->rta_type == UNIX_DIAG_VFS && len == sizeof vfs)
                        memcpy(&vfs, RTA_DATA(a), sizeof vfs);
                else if (a->rta_type == UNIX_DIAG_PEER && len == sizeof peer)
                        memcpy(&peer, RTA_DATA(a), sizeof peer);
        }
        /* The kernel's own dev_t: 12 bits major, 20 bits minor. */
        if (vfs.udiag_vfs_ino == (uint32_t)file->st_ino &&
            vfs.udiag_vfs_dev ==
                    (major(file->st_dev) << 20 | minor(file->st_dev)) &&
            peer && m->udiag_state == TCP_ESTABLISHED &&
            peers->count < PEERS_MAX)
                peers->inodes[peers->count++] = peer;
}

static bool dump(int fd, const struct stat *file, struct peers *peers)
{
        _Alignas(struct nlmsghdr) char buf[16384];

        for (;;) {
                ssize_t n = recv(fd, buf, sizeof buf, 0);
                struct nlmsghdr *h = (struct nlmsghdr *)buf;
                size_t len = n > 0 ? (size_t)n : 0;

                if (n <= 0)
                        return false;
                for (; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
                        if (h->nlmsg_type == NLMSG_DONE)
                                return true;
                        if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
                                return false;
                        take_socket(file, h, peers);
                }
        }
}

static bool find_peers(const char *path, struct peers *peers)
{
        struct {
                struct nlmsghdr h;
                struct unix_diag_req r;
        } request = {
                .h = {.nlmsg_len = sizeof request,
                      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                .r = {.sdiag_family = AF_UNIX,
                      .udiag_states = UINT32_MAX,
                      .udiag_show = UDIAG_SHOW_VFS | UDIAG_SHOW_PEER},
        };
        CLEANUP_FD int fd =
                socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

        struct stat file;

        if (fd < 0 || stat(path, &file) != 0 ||
            send(fd, &request, sizeof request, 0) < 0)
                return false;
        return dump(fd, &file, peers);
}

static bool has_open(const char *pid, const struct peers *peers)
{
        char dir[64], link[64];
        struct dirent *e;
        bool found = false;
        DIR *d;

        snprintf(dir, sizeof dir, "/proc/%.10s/fd", pid);
        d = opendir(dir);
        if (!d)
                return false;
        while (!found && (e = readdir(d))) {
                ssize_t n =
                        readlinkat(dirfd(d), e->d_name, link, sizeof link - 1);
                unsigned long inode;

                if (n < 0)
                        continue;
                link[n] = 0;
                if (sscanf(link, "socket:[%lu]", &inode) != 1)
                        continue;
                for (unsigned i = 0; i < peers->count; i++)
                        found |= peers->inodes[i] == inode;
        }
        closedir(d);
        return found;
}

static void describe(const char *pid, char *out, size_t size)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *comm = NULL;
        char path[64], safe[64] = "?";
        size_t len, used = strlen(out);

        snprintf(path, sizeof path, "/proc/%.10s/comm", pid);
        if (io_read_file(path, 64, &comm, &len, &ignored)) {
                comm[strcspn(comm, "\n")] = 0;
                text_escape(comm, safe, sizeof safe);
        }
        snprintf(out + used, size - used, "%sprocess %.10s (%s)",
                 used ? " and " : "", pid, safe);
}

bool socket_users(const char *path, char *out, size_t size)
{
        struct peers peers = {.count = 0};
        struct dirent *e;
        DIR *proc;

        out[0] = 0;
        if (!find_peers(path, &peers) || !peers.count)
                return false;
        proc = opendir("/proc");
        if (!proc)
                return false;
        while ((e = readdir(proc))) {
                if (e->d_name[0] < '1' || e->d_name[0] > '9' ||
                    atol(e->d_name) == (long)getpid())
                        continue;
                if (has_open(e->d_name, &peers))
                        describe(e->d_name, out, size);
        }
        closedir(proc);
        return out[0] != 0;
}
