/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QMP over a stream socket.  The descriptor is non-blocking; every wait is a
 * poll with a deadline, cut into slices so that a caught signal is seen even
 * when it came just before the poll.
 *
 * Replies are matched by id: a reply to a command that was given up is
 * recognised as such and dropped.  Objects are taken from the byte stream as
 * JSON, not as lines, because a monitor may have been told to print prettily.
 */
#include "qemu/qmp.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "qemu/socket_users.h"

#define COMMAND_MS    60000
#define SLICE_MS      100
#define EVENTS_MAX    1024
#define STREAM_BUFFER (1024 * 1024)

struct qmp {
        int fd;
        char name[256];
        bool steadfast;
        bool urgent; /* qmp_urgent was asked for, and QEMU has it */
        bool broken; /* half a command was sent: the rest would be garbled */
        unsigned long id;
        char version[32];
        unsigned version_number;
        pid_t peer;
        char *in; /* received, not parsed */
        size_t in_len, in_size;
        json_t *events;
};

/* *ready_out is false at the deadline. */
static bool wait_for(struct qmp *q, short events, int64_t deadline,
                     bool *ready_out, struct err *err)
{
        struct pollfd p = {.fd = q->fd, .events = events};

        for (;;) {
                int64_t left = deadline - clock_ms();
                int n;

                if (!q->steadfast && progress_cancelled(err))
                        return false;
                if (left < 0)
                        left = 0;
                n = poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS);
                if (n < 0 && errno != EINTR)
                        return err_os(err, errno, "poll");
                *ready_out = n > 0;
                if (n > 0 || left == 0)
                        return true;
        }
}

static bool gone(struct err *err)
{
        return err_set(err, ERR_QEMU,
                       "QEMU closed its monitor (has it ended?)");
}

static bool grow(struct qmp *q, struct err *err)
{
        size_t size = q->in_size ? q->in_size * 2 : 64 * KiB;
        char *in;

        if (q->in_len < q->in_size)
                return true;
        if (size > LIMIT_QMP_MESSAGE)
                return err_set(err, ERR_LIMIT, "a QMP message passes %llu MiB",
                               LIMIT_QMP_MESSAGE / MiB);
        in = realloc(q->in, size);
        if (!in)
                return err_nomem(err);
        q->in = in;
        q->in_size = size;
        return true;
}

static void consume(struct qmp *q, size_t n)
{
        if (!n)
                return;
        q->in_len -= n;
        memmove(q->in, q->in + n, q->in_len);
}

/* QEMU has unsigned 64-bit values (a property that is "all bits set"), which
 * jansson cannot hold: they become its largest integer, in place. */
static void cap_integers(char *s, size_t len)
{
        bool in_string = false;

        for (size_t i = 0; i < len; i++) {
                char most[21] = "9223372036854775807 ";
                size_t n = 0;

                if (s[i] == '\\' && in_string)
                        i++;
                else if (s[i] == '"')
                        in_string = !in_string;
                while (!in_string && i + n < len && s[i + n] >= '0' &&
                       s[i + n] <= '9')
                        n++;
                if (n == 20 || (n == 19 && memcmp(s + i, most, 19) > 0))
                        memcpy(s + i, most, n);
                if (n > 0)
                        i += n - 1;
        }
}

/* One object out of what was received; NULL: not all of it is there yet. */
static bool parse(struct qmp *q, json_t **out, struct err *err)
{
        json_error_t bad;
        size_t used = 0;

        *out = NULL;
        while (used < q->in_len && strchr(" \t\r\n", q->in[used]))
                used++;
        consume(q, used);
        /* QEMU ends every message so: half an object is not tried again and
         * again while a large one comes in. */
        if (!q->in_len || q->in[q->in_len - 1] != '\n')
                return true;
        *out = json_loadb(q->in, q->in_len, JSON_DISABLE_EOF_CHECK, &bad);
        if (!*out && json_error_code(&bad) == json_error_numeric_overflow) {
                cap_integers(q->in, q->in_len);
                *out = json_loadb(q->in, q->in_len, JSON_DISABLE_EOF_CHECK,
                                  &bad);
        }
        if (*out) {
                consume(q, (size_t)bad.position);
                return true;
        }
        if (json_error_code(&bad) == json_error_premature_end_of_input)
                return true;
        return err_set(err, ERR_QEMU, "what it sends is not QMP: %s", bad.text);
}

/* The next object; *out = NULL at the deadline. */
static bool receive(struct qmp *q, int64_t deadline, json_t **out,
                    struct err *err)
{
        for (;;) {
                bool ready;
                ssize_t n;

                TRY(parse(q, out, err));
                if (*out)
                        return true;
                TRY(wait_for(q, POLLIN, deadline, &ready, err));
                if (!ready)
                        return true;
                TRY(grow(q, err));
                n = recv(q->fd, q->in + q->in_len, q->in_size - q->in_len, 0);
                if (n > 0)
                        q->in_len += (size_t)n;
                else if (n == 0 || errno == ECONNRESET)
                        return gone(err);
                else if (errno != EAGAIN && errno != EINTR)
                        return err_os(err, errno, "QMP: recv");
        }
}

static void queue_event(struct qmp *q, json_t *event)
{
        if (log_debugs("qmp")) {
                CLEANUP_FREE char *s = json_dumps(event, JSON_COMPACT);

                log_debug("qmp", "<- %s", s ? s : "?");
        }
        if (json_array_size(q->events) >= EVENTS_MAX)
                json_array_remove(q->events, 0);
        json_array_append(q->events, event);
}

static bool send_all(struct qmp *q, const char *text, size_t len, int fd,
                     struct err *err)
{
        int64_t deadline = clock_ms() + COMMAND_MS;
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        size_t sent = 0;

        while (sent < len) {
                struct iovec iov = {.iov_base =
                                            (void *)(uintptr_t)(text + sent),
                                    .iov_len = len - sent};
                struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
                bool ready;
                ssize_t n;

                if (fd >= 0 && sent == 0) {
                        m.msg_control = control.bytes;
                        m.msg_controllen = sizeof control.bytes;
                        control.align.cmsg_level = SOL_SOCKET;
                        control.align.cmsg_type = SCM_RIGHTS;
                        control.align.cmsg_len = CMSG_LEN(sizeof fd);
                        memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
                }
                n = sendmsg(q->fd, &m, MSG_NOSIGNAL);
                if (n >= 0) {
                        sent += (size_t)n;
                        q->broken = sent < len;
                        continue;
                }
                if (errno == EPIPE || errno == ECONNRESET)
                        return gone(err);
                if (errno != EAGAIN && errno != EINTR)
                        return err_os(err, errno, "QMP: send");
                TRY(wait_for(q, POLLOUT, deadline, &ready, err));
                if (!ready)
                        return err_set(err, ERR_QEMU,
                                       "QEMU takes no commands for %d s",
                                       COMMAND_MS / 1000);
        }
        return true;
}

static bool error_reply(const char *command, const json_t *error,
                        struct qmp_error *qerr, struct err *err)
{
        const char *class = json_string_value(json_object_get(error, "class"));
        const char *desc = json_string_value(json_object_get(error, "desc"));
        char safe[sizeof qerr->desc];

        text_escape(desc ? desc : "(no description)", safe, sizeof safe);
        if (qerr) {
                snprintf(qerr->class, sizeof qerr->class, "%s",
                         class ? class : "");
                memcpy(qerr->desc, safe, sizeof safe);
        }
        return err_set(err, ERR_QEMU, "%s: %s", command, safe);
}

/* The reply with that id; *result_out = NULL at the deadline.  Events on the
 * way are queued. */
static bool await_reply(struct qmp *q, const char *command, unsigned long id,
                        int64_t deadline, json_t **result_out,
                        struct qmp_error *qerr, struct err *err)
{
        *result_out = NULL;
        for (;;) {
                json_auto_t *m = NULL;
                json_t *result;

                TRY(receive(q, deadline, &m, err));
                if (!m)
                        return true;
                if (json_object_get(m, "event")) {
                        queue_event(q, m);
                        continue;
                }
                /* A syntax error, and only that, is answered without id. */
                if (json_object_get(m, "id") &&
                    json_integer_value(json_object_get(m, "id")) !=
                            (json_int_t)id)
                        continue;
                result = json_object_get(m, "return");
                if (!result)
                        return error_reply(command, json_object_get(m, "error"),
                                           qerr, err);
                *result_out = json_incref(result);
                return true;
        }
}

static bool send_as(struct qmp *q, const char *how, const char *command,
                    json_t *arguments, int fd, unsigned long *id_out,
                    struct err *err)
{
        json_auto_t *args = arguments;
        json_auto_t *m = NULL;
        CLEANUP_FREE char *text = NULL;

        if (q->broken)
                return err_set(err, ERR_QEMU, "%s: the monitor is unusable",
                               command);
        *id_out = ++q->id;
        m = json_pack("{s:s,s:I}", how, command, "id", (json_int_t)*id_out);
        if (!m || (args && json_object_set(m, "arguments", args)))
                return err_nomem(err);
        text = json_dumps(m, JSON_COMPACT);
        if (!text)
                return err_nomem(err);
        log_debug("qmp", "-> %s", text);
        return send_all(q, text, strlen(text), fd, err);
}

static bool send_command(struct qmp *q, const char *command, json_t *arguments,
                         int fd, unsigned long *id_out, struct err *err)
{
        return send_as(q, "execute", command, arguments, fd, id_out, err);
}

static bool run_command(struct qmp *q, const char *command, json_t *arguments,
                        int fd, json_t **result_out, struct qmp_error *qerr,
                        struct err *err)
{
        json_auto_t *result = NULL;
        unsigned long id;

        TRY(send_command(q, command, arguments, fd, &id, err));
        TRY(await_reply(q, command, id, clock_ms() + COMMAND_MS, &result, qerr,
                        err));
        if (!result)
                return err_set(err, ERR_QEMU,
                               "%s: QEMU gives no answer for %d s", command,
                               COMMAND_MS / 1000);
        if (result_out)
                *result_out = json_incref(result);
        return true;
}

bool qmp_command_fd(struct qmp *q, const char *command, json_t *arguments,
                    int fd, json_t **result_out, struct qmp_error *qerr,
                    struct err *err)
{
        if (qerr)
                memset(qerr, 0, sizeof *qerr);
        return run_command(q, command, arguments, fd, result_out, qerr, err) ||
               err_in_file(err, q->name);
}

bool qmp_open_stream(struct qmp *q, const char *fdname, int *fd_out,
                     struct err *err)
{
        CLEANUP_FD int ours = -1;
        CLEANUP_FD int theirs = -1;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
                return err_os(err, errno, "socketpair");
        ours = fds[0];
        theirs = fds[1];
        /* Larger steps mean fewer switches between QEMU and us, whoever sends.
         * A hint: there is a limit for all (net.core.wmem_max). */
        for (int i = 0; i < 2; i++)
                setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &(int){STREAM_BUFFER},
                           sizeof(int));
        TRY(qmp_command_fd(q, "getfd", json_pack("{s:s}", "fdname", fdname),
                           theirs, NULL, NULL, err));
        *fd_out = steal_fd(&ours);
        return true;
}

bool qmp_send(struct qmp *q, const char *command, json_t *arguments,
              unsigned long *id_out, struct err *err)
{
        return send_command(q, command, arguments, -1, id_out, err) ||
               err_in_file(err, q->name);
}

bool qmp_reply(struct qmp *q, unsigned long id, int timeout_ms,
               json_t **result_out, struct err *err)
{
        return await_reply(q, "reply", id, clock_ms() + timeout_ms, result_out,
                           NULL, err) ||
               err_in_file(err, q->name);
}

bool qmp_command(struct qmp *q, const char *command, json_t *arguments,
                 json_t **result_out, struct qmp_error *qerr, struct err *err)
{
        return qmp_command_fd(q, command, arguments, -1, result_out, qerr, err);
}

bool qmp_urgent(struct qmp *q, const char *command, json_t *arguments,
                struct qmp_error *qerr, struct err *err)
{
        json_auto_t *result = NULL;
        unsigned long id;

        TRY(send_as(q, q->urgent ? "exec-oob" : "execute", command, arguments,
                    -1, &id, err));
        TRY(await_reply(q, command, id, clock_ms() + COMMAND_MS, &result, qerr,
                        err));
        return result || err_set(err, ERR_QEMU, "%s: no answer", command);
}

bool qmp_event(struct qmp *q, int timeout_ms, json_t **event_out,
               struct err *err)
{
        int64_t deadline = clock_ms() + timeout_ms;

        *event_out = NULL;
        while (!json_array_size(q->events)) {
                json_auto_t *m = NULL;

                if (!receive(q, deadline, &m, err))
                        return err_in_file(err, q->name);
                if (!m)
                        return true;
                if (json_object_get(m, "event"))
                        queue_event(q, m);
        }
        *event_out = json_incref(json_array_get(q->events, 0));
        json_array_remove(q->events, 0);
        return true;
}

/* Commands that need not wait for QEMU's big lock. */
static bool offers_urgent(const json_t *greeting)
{
        const json_t *list = json_object_get(json_object_get(greeting, "QMP"),
                                             "capabilities");
        const json_t *c;
        size_t i;

        json_array_foreach(list, i, c)
        {
                if (json_is_string(c) &&
                    strcmp(json_string_value(c), "oob") == 0)
                        return true;
        }
        return false;
}

static bool no_greeting(const struct qmp *q, const char *path,
                        unsigned greeting_ms, struct err *err)
{
        char who[256] = "";

        if (path && socket_users(path, who, sizeof who))
                return err_set(
                        err, ERR_QEMU,
                        "no greeting within %.1f s: the monitor serves one "
                        "client at a time and %s holds it: end that, or give "
                        "QEMU a second one (-qmp unix:PATH,server=on,wait=off)",
                        greeting_ms / 1000.0, who);
        return err_set(err, ERR_QEMU,
                       "no greeting within %.1f s, and no other client is "
                       "known: is process %ld a QEMU that runs (not stopped, "
                       "not hung), and this its QMP socket?",
                       greeting_ms / 1000.0, (long)q->peer);
}

static bool greeting(struct qmp *q, const char *path, unsigned greeting_ms,
                     struct err *err)
{
        json_auto_t *m = NULL;
        int major, minor, micro;

        TRY(receive(q, clock_ms() + greeting_ms, &m, err));
        if (!m)
                return no_greeting(q, path, greeting_ms, err);
        if (json_unpack(m, "{s:{s:{s:{s:i,s:i,s:i}}}}", "QMP", "version",
                        "qemu", "major", &major, "minor", &minor, "micro",
                        &micro) ||
            major < 0 || major > 9999 || minor < 0 || minor > 99 || micro < 0 ||
            micro > 99)
                return err_set(err, ERR_QEMU, "its greeting is not QMP's");
        snprintf(q->version, sizeof q->version, "%d.%d.%d", major, minor,
                 micro);
        q->version_number = (unsigned)(major * 10000 + minor * 100 + micro);
        q->urgent = q->urgent && offers_urgent(m);
        return qmp_command(q, "qmp_capabilities",
                           q->urgent ? json_pack("{s:[s]}", "enable", "oob")
                                     : NULL,
                           NULL, NULL, err);
}

/* Owns fd, also after failure. */
static struct qmp *wrap(int fd, const char *name, bool urgent, struct err *err)
{
        struct qmp *q = calloc(1, sizeof *q);
        struct ucred peer;
        socklen_t len = sizeof peer;

        if (!q) {
                close(fd);
                err_nomem(err);
                return NULL;
        }
        q->fd = fd;
        q->urgent = urgent;
        snprintf(q->name, sizeof q->name, "%s", name);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
                q->peer = peer.pid;
        q->events = json_array();
        if (q->events ? io_set_nonblock(fd, true, err) : err_nomem(err))
                return q;
        qmp_close(q);
        return NULL;
}

static bool attach(int fd, const char *name, const char *path, bool urgent,
                   unsigned greeting_ms, struct qmp **out, struct err *err)
{
        struct qmp *q = wrap(fd, name, urgent, err);

        if (q && greeting(q, path, greeting_ms, err)) {
                *out = q;
                return true;
        }
        qmp_close(q);
        return err_in_file(err, name);
}

bool qmp_attach(int fd, const char *name, unsigned greeting_ms,
                struct qmp **out, struct err *err)
{
        return attach(fd, name, NULL, false, greeting_ms, out, err);
}

bool qmp_attach_urgent(int fd, const char *name, unsigned greeting_ms,
                       struct qmp **out, struct err *err)
{
        return attach(fd, name, NULL, true, greeting_ms, out, err);
}

bool qmp_adopt(int fd, const char *name, struct qmp **out, struct err *err)
{
        struct qmp *q = wrap(fd, name, true, err);

        if (!q)
                return err_in_file(err, name);
        /* Not one of those that the other has used. */
        q->id = (unsigned long)clock_ms() << 16;
        *out = q;
        return true;
}

/* A full backlog makes a non-blocking connect fail with EAGAIN. */
static bool connect_within(int fd, const struct sockaddr_un *a,
                           unsigned timeout_ms, struct err *err)
{
        int64_t deadline = clock_ms() + timeout_ms;

        while (connect(fd, (const struct sockaddr *)a, sizeof *a) != 0) {
                struct timespec pause = {.tv_nsec = 20 * 1000000};

                if (errno == EAGAIN && clock_ms() < deadline) {
                        nanosleep(&pause, NULL);
                        if (progress_cancelled(err))
                                return false;
                } else if (errno == EAGAIN) {
                        return err_set(err, ERR_QEMU,
                                       "nobody answers on this socket, and "
                                       "others wait for it as well");
                } else if (errno != EINTR) {
                        return err_os(err, errno, "connect");
                }
        }
        return true;
}

static bool connect_to(const char *path, bool urgent, unsigned greeting_ms,
                       struct qmp **out, struct err *err)
{
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        CLEANUP_FD int fd = -1;
        const char *name = path;

        if (strncmp(path, "unix:", 5) == 0)
                path += 5;
        if (strlen(path) >= sizeof a.sun_path)
                return err_set(err, ERR_USAGE,
                               "%s: a socket's path has at most %zu bytes",
                               name, sizeof a.sun_path - 1);
        strcpy(a.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return err_os(err, errno, "socket");
        if (!connect_within(fd, &a, greeting_ms, err))
                return err_in_file(err, path);
        return attach(steal_fd(&fd), path, path, urgent, greeting_ms, out, err);
}

bool qmp_connect(const char *path, unsigned greeting_ms, struct qmp **out,
                 struct err *err)
{
        return connect_to(path, false, greeting_ms, out, err);
}

bool qmp_connect_urgent(const char *path, unsigned greeting_ms,
                        struct qmp **out, struct err *err)
{
        return connect_to(path, true, greeting_ms, out, err);
}

void qmp_close(struct qmp *q)
{
        if (!q)
                return;
        close(q->fd);
        json_decref(q->events);
        free(q->in);
        free(q);
}

int qmp_fd(const struct qmp *q)
{
        return q->fd;
}

bool qmp_steadfast(struct qmp *q, bool on)
{
        bool was = q->steadfast;

        q->steadfast = on;
        return was;
}

const char *qmp_version(const struct qmp *q)
{
        return q->version;
}

unsigned qmp_version_number(const struct qmp *q)
{
        return q->version_number;
}

pid_t qmp_peer_pid(const struct qmp *q)
{
        return q->peer;
}
