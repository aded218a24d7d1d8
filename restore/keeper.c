/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between fork and _exit the child calls nothing that may take a lock: another
 * thread of ours may have held it.
 */
#include "restore/keeper.h"

#include "base/cleanup.h"
#include "base/local.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct keeper {
        int leash; /* its end: we are gone; a byte before: it may go, too */
        char socket[108], note[256];
};

/* The child's descriptors. */
enum { LEASH = 3, LISTENER, MONITOR, KEPT };

/* ---- in the child -------------------------------------------------------- */

static void hand_over(int to)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char byte = 0;
        struct iovec iov = {.iov_base = &byte, .iov_len = 1};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};
        int fd = MONITOR;

        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
        sendmsg(to, &m, MSG_NOSIGNAL);
}

/* Ours is the note only as long as nobody has taken the monitor. */
static void keep(const struct keeper *k)
{
        struct pollfd p[] = {{.fd = LEASH, .events = POLLIN},
                             {.fd = LISTENER},
                             {.fd = MONITOR}};
        char byte;

        for (;;) {
                if (poll(p, 3, -1) < 0)
                        continue;
                if (p[0].revents) {
                        if (read(LEASH, &byte, 1) != 0)
                                return;
                        p[0].fd = -1;
                        p[1].events = POLLIN;
                }
                if (p[1].revents & POLLIN) {
                        int to = accept(LISTENER, NULL, NULL);

                        if (to < 0)
                                continue;
                        hand_over(to);
                        return;
                }
                if (p[2].revents & (POLLHUP | POLLERR)) {
                        unlink(k->note);
                        unlink(k->socket);
                        return;
                }
        }
}

/* Nothing of ours stays open in it but what it is there for. */
static void arrange(int leash, int listener, int monitor)
{
        const int from[] = {leash, listener, monitor};
        int safe[3], null = open("/dev/null", O_RDWR);

        for (int i = 0; i < 3; i++)
                safe[i] = fcntl(from[i], F_DUPFD, 16);
        for (int i = 0; i < 3; i++) {
                dup2(null, i);
                dup2(safe[i], LEASH + i);
        }
        close_range(KEPT, ~0U, 0);
}

/* Twice, so that it is nobody's child who waits for children. */
static void become_keeper(const struct keeper *k, int leash, int listener,
                          int monitor)
{
        sigset_t none;

        if (fork() != 0)
                _exit(0);
        setsid();
        for (int s = 1; s < NSIG; s++)
                signal(s, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_NAME, "stasis-keeper");
        arrange(leash, listener, monitor);
        keep(k);
        _exit(0);
}

/* ---- in the parent ------------------------------------------------------- */

bool keeper_start(int monitor, const char *socket, const char *note,
                  struct keeper **out, struct err *err)
{
        CLEANUP_FREE struct keeper *k = calloc(1, sizeof *k);
        CLEANUP_FD int listener = -1;
        CLEANUP_FD int leash = -1;
        int ends[2], status;
        pid_t child;

        if (!k)
                return err_nomem(err);
        unlink(socket);
        if (!local_listen(socket, 1, &listener, err))
                return err_in_file(err, socket);
        snprintf(k->socket, sizeof k->socket, "%s", socket);
        snprintf(k->note, sizeof k->note, "%s", note);
        if (pipe2(ends, O_CLOEXEC) != 0)
                return err_os(err, errno, "pipe");
        leash = ends[0];
        k->leash = ends[1];
        child = fork();
        if (child == 0)
                become_keeper(k, leash, listener, monitor);
        if (child < 0) {
                close(k->leash);
                return err_os(err, errno, "fork");
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
                ;
        *out = steal(k);
        return true;
}

void keeper_dismiss(struct keeper *k)
{
        ssize_t n = write(k->leash, "", 1);

        (void)n; /* it may have seen QEMU end */
        unlink(k->socket);
}

void keeper_free(struct keeper *k)
{
        if (!k)
                return;
        close(k->leash);
        free(k);
}

bool keeper_ask(const char *path, int *monitor_out, struct err *err)
{
        CLEANUP_FD int fd = -1;
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char byte;
        struct iovec iov = {.iov_base = &byte, .iov_len = 1};
        struct msghdr m = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof control.bytes};

        if (!local_connect(path, &fd, err))
                return err_in_file(err, path);
        if (recvmsg(fd, &m, MSG_CMSG_CLOEXEC) != 1 ||
            control.align.cmsg_type != SCM_RIGHTS ||
            control.align.cmsg_len != CMSG_LEN(sizeof(int))) {
                err_in_file(err, path);
                return err_set(err, ERR_QEMU,
                               "QEMU's monitor is not to be had there");
        }
        memcpy(monitor_out, CMSG_DATA(&control.align), sizeof(int));
        return true;
}
