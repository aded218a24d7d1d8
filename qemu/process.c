/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread of its own carries stderr, so that QEMU can never block on a full
 * pipe while we wait for it.  Fields that it shares are under the lock.
 */
#include "qemu/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/progress.h"
#include "base/text.h"

#define SAID_BYTES (8 * KiB)
#define ADDED_ARGS 8

extern char **environ;

struct process {
        pid_t pid;
        bool ended, disowned, quiet;
        int status;
        int qmp;
        int stderr_fd; /* the pipe's read end; the thread reads it           */
        int wake;      /* eventfd: the thread is to end                      */
        pthread_t pump;
        bool pumping;
        pthread_mutex_t lock;
        size_t said_len;
        char said[SAID_BYTES];
};

/* QEMU takes options with one dash or two. */
static bool is_option(const char *arg, const char *name)
{
        if (arg[0] != '-')
                return false;
        arg += arg[1] == '-' ? 2 : 1;
        return strcmp(arg, name) == 0;
}

bool process_check_argv(char *const *argv, bool *stopped_out, struct err *err)
{
        *stopped_out = false;
        for (char *const *a = argv; *a; a++) {
                if (is_option(*a, "incoming"))
                        return err_set(err, ERR_USAGE,
                                       "the command must not have -incoming: "
                                       "it is added");
                if (is_option(*a, "daemonize"))
                        return err_set(err, ERR_USAGE,
                                       "the command must not have -daemonize: "
                                       "use --detach");
                if (is_option(*a, "S"))
                        *stopped_out = true;
        }
        return true;
}

static void keep(struct process *p, const char *bytes, size_t len)
{
        size_t room = sizeof p->said;

        pthread_mutex_lock(&p->lock);
        if (len > room) {
                bytes += len - room;
                len = room;
        }
        if (p->said_len + len > room) {
                size_t drop = p->said_len + len - room;

                memmove(p->said, p->said + drop, p->said_len - drop);
                p->said_len -= drop;
        }
        memcpy(p->said + p->said_len, bytes, len);
        p->said_len += len;
        pthread_mutex_unlock(&p->lock);
}

/* Best effort: nobody can be told that stderr cannot be written. */
static void pass_on(const char *bytes, size_t len)
{
        while (len > 0) {
                ssize_t n = write(STDERR_FILENO, bytes, len);

                if (n < 0)
                        return;
                bytes += n;
                len -= (size_t)n;
        }
}

static void *pump(void *arg)
{
        struct process *p = arg;
        struct pollfd fds[2] = {
                {.fd = p->stderr_fd, .events = POLLIN},
                {.fd = p->wake, .events = POLLIN},
        };
        char bytes[4096];

        for (;;) {
                ssize_t n;

                if (poll(fds, 2, -1) < 0)
                        continue;
                if (!(fds[0].revents & (POLLIN | POLLHUP)))
                        break;
                n = read(p->stderr_fd, bytes, sizeof bytes);
                if (n <= 0)
                        break;
                if (!p->quiet)
                        pass_on(bytes, (size_t)n);
                keep(p, bytes, (size_t)n);
        }
        return NULL;
}

/* Signals are for the main thread. */
static bool start_pump(struct process *p, struct err *err)
{
        sigset_t all, before;
        int rc;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&p->pump, NULL, pump, p);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (rc != 0)
                return err_os(err, rc, "cannot start a thread");
        p->pumping = true;
        return true;
}

/* What it said last may still be in the pipe: first the pipe's end is waited
 * for, but not for ever, because a child of QEMU's may hold it open. */
static void stop_pump(struct process *p)
{
        struct timespec until;
        uint64_t one = 1;

        if (!p->pumping)
                return;
        p->pumping = false;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 200 * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_nsec -= 1000000000;
                until.tv_sec++;
        }
        if (p->ended && pthread_timedjoin_np(p->pump, NULL, &until) == 0)
                return;
        if (write(p->wake, &one, sizeof one) == sizeof one)
                pthread_join(p->pump, NULL);
}

/* posix_spawn has no way to ask for a signal at the parent's death. */
#define LEASH "/usr/bin/setpriv"
static char *const leash[] = {(char *)LEASH, (char *)"--pdeathsig",
                              (char *)"KILL", (char *)"--"};
static const size_t leash_length = sizeof leash / sizeof *leash;

static char **extend_argv(const struct process_options *o, int fd,
                          char chardev[64], struct err *err)
{
        size_t count = 0, add = 0;
        char **out;

        while (o->argv[count])
                count++;
        out = calloc(count + leash_length + ADDED_ARGS, sizeof *out);
        if (!out) {
                err_nomem(err);
                return NULL;
        }
        if (o->quiet && access(LEASH, X_OK) == 0)
                add = leash_length;
        memcpy(out, leash, add * sizeof *out);
        memcpy(out + add, o->argv, count * sizeof *out);
        count += add;
        snprintf(chardev, 64, "socket,id=" PROCESS_QMP_ID ",fd=%d", fd);
        out[count++] = (char *)"-chardev";
        out[count++] = chardev;
        out[count++] = (char *)"-mon";
        out[count++] = (char *)"chardev=" PROCESS_QMP_ID ",mode=control";
        out[count++] = (char *)"-S";
        if (!o->outgoing) {
                out[count++] = (char *)"-incoming";
                out[count++] = (char *)"defer";
        }
        return out;
}

static void set_files(posix_spawn_file_actions_t *files,
                      const struct process_options *o, int qmp, int said)
{
        if (o->detached || o->null_stdin || o->quiet)
                posix_spawn_file_actions_addopen(files, STDIN_FILENO,
                                                 "/dev/null", O_RDONLY, 0);
        if (o->detached || o->quiet)
                posix_spawn_file_actions_addopen(files, STDOUT_FILENO,
                                                 "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_adddup2(files, said, STDERR_FILENO);
        /* The same number: clears close-on-exec. */
        posix_spawn_file_actions_adddup2(files, qmp, qmp);
}

static bool spawn(struct process *p, const struct process_options *o, int qmp,
                  int said, struct err *err)
{
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attr;
        sigset_t defaults;
        char chardev[64];
        CLEANUP_FREE char **argv = extend_argv(o, qmp, chardev, err);
        short flags = POSIX_SPAWN_SETSIGDEF;
        int rc;

        if (!argv)
                return false;
        if (o->detached)
                flags |= POSIX_SPAWN_SETSID;
        sigemptyset(&defaults);
        sigaddset(&defaults, SIGPIPE);
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attr);
        posix_spawnattr_setflags(&attr, flags);
        posix_spawnattr_setsigdefault(&attr, &defaults);
        set_files(&files, o, qmp, said);
        rc = posix_spawnp(&p->pid, argv[0], &files, &attr, argv, environ);
        posix_spawnattr_destroy(&attr);
        posix_spawn_file_actions_destroy(&files);
        if (rc == 0)
                return true;
        p->pid = 0;
        err_os(err, rc, "cannot be started");
        return err_in_file(err, argv[0]);
}

static bool start(struct process *p, const struct process_options *o,
                  struct err *err)
{
        CLEANUP_FD int qmp = -1;
        CLEANUP_FD int said = -1;
        int pair[2], ends[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
                return err_os(err, errno, "socketpair");
        p->qmp = pair[0];
        qmp = pair[1];
        if (pipe2(ends, O_CLOEXEC) != 0)
                return err_os(err, errno, "pipe");
        p->stderr_fd = ends[0];
        said = ends[1];
        p->wake = eventfd(0, EFD_CLOEXEC);
        if (p->wake < 0)
                return err_os(err, errno, "eventfd");
        TRY(start_pump(p, err));
        return spawn(p, o, qmp, said, err);
}

bool process_start(const struct process_options *options, struct process **out,
                   struct err *err)
{
        struct process *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        pthread_mutex_init(&p->lock, NULL);
        p->qmp = p->stderr_fd = p->wake = -1;
        p->quiet = options->quiet;
        /* Were SIGCHLD ignored, its status would be lost. */
        signal(SIGCHLD, SIG_DFL);
        if (!start(p, options, err)) {
                process_free(p);
                return false;
        }
        *out = p;
        return true;
}

static bool reap(struct process *p, int flags)
{
        pid_t pid;

        do
                pid = waitpid(p->pid, &p->status, flags);
        while (pid < 0 && errno == EINTR);
        p->ended = pid == p->pid;
        return p->ended;
}

void process_free(struct process *p)
{
        if (!p)
                return;
        if (p->pid && !p->ended && !p->disowned) {
                kill(p->pid, SIGKILL);
                reap(p, 0);
        }
        /* Without a child the write end is closed: the thread sees it. */
        p->ended |= !p->pid;
        stop_pump(p);
        for (int *fd = (int[]){p->qmp, p->stderr_fd, p->wake, -2}; *fd != -2;
             fd++)
                if (*fd >= 0)
                        close(*fd);
        pthread_mutex_destroy(&p->lock);
        free(p);
}

int process_take_qmp(struct process *p)
{
        assert(p->qmp >= 0);
        return steal_fd(&p->qmp);
}

pid_t process_pid(const struct process *p)
{
        return p->pid;
}

bool process_ended(struct process *p, int timeout_ms)
{
        struct timespec pause = {.tv_nsec = 5 * 1000000};

        for (int waited = 0; !p->ended && !reap(p, WNOHANG); waited += 5) {
                if (waited >= timeout_ms)
                        return false;
                nanosleep(&pause, NULL);
        }
        stop_pump(p);
        return true;
}

const char *process_ending(const struct process *p, char out[32])
{
        assert(p->ended);
        if (WIFSIGNALED(p->status))
                snprintf(out, 32, "signal %d", WTERMSIG(p->status));
        else
                snprintf(out, 32, "exit status %d", WEXITSTATUS(p->status));
        return out;
}

const char *process_said(struct process *p, char *out, size_t size)
{
        char text[SAID_BYTES + 1], one_line[SAID_BYTES + 1];
        size_t len, at = 0, from;

        pthread_mutex_lock(&p->lock);
        len = p->said_len;
        memcpy(text, p->said, len);
        pthread_mutex_unlock(&p->lock);
        for (size_t i = 0; i < len; i++)
                if (text[i] != '\r' && text[i] != '\0')
                        one_line[at++] = text[i] == '\n' ? ' ' : text[i];
        while (at > 0 && one_line[at - 1] == ' ')
                at--;
        one_line[at] = '\0';
        from = at >= size ? at - size + 1 : 0;
        return text_escape(one_line + from, out, size);
}

const char *process_words(struct process *p, char *out, size_t size)
{
        size_t len;

        pthread_mutex_lock(&p->lock);
        len = p->said_len < size ? p->said_len : size - 1;
        memcpy(out, p->said + p->said_len - len, len);
        pthread_mutex_unlock(&p->lock);
        out[len] = '\0';
        return out;
}

void process_disown(struct process *p)
{
        p->disowned = true;
}

int process_wait(struct process *p)
{
        const int passed[] = {SIGINT, SIGTERM, SIGHUP};
        struct timespec second = {.tv_sec = 1};
        sigset_t set;
        int came;

        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
                sigaddset(&set, passed[i]);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        came = progress_signal();
        while (!reap(p, WNOHANG)) {
                if (came > 0 && came != SIGCHLD)
                        kill(p->pid, came);
                came = sigtimedwait(&set, NULL, &second);
        }
        stop_pump(p);
        return WIFSIGNALED(p->status) ? 128 + WTERMSIG(p->status)
                                      : WEXITSTATUS(p->status);
}
