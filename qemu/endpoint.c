/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/endpoint.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/emit.h"
#include "base/local.h"
#include "base/progress.h"
#include "qemu/return_path.h"
#include "qemu/stream_format.h"
#include "qemu/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct endpoint {
        int fd; /* of the connection; -1: the session's */
        bool answers;
        struct tls *tls; /* NULL: none, or ended */
        char uri[256];
};

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

static bool open_uri(const char *uri, int *fd_out, struct err *err)
{
        if (strcmp(uri, "-") == 0)
                return open_fd("1", fd_out, err);
        if (strncmp(uri, "unix:", 5) == 0)
                return local_connect(uri + 5, fd_out, err);
        if (strncmp(uri, "tcp:", 4) == 0)
                return open_tcp(uri + 4, fd_out, err);
        if (strncmp(uri, "fd:", 3) == 0)
                return open_fd(uri + 3, fd_out, err);
        return err_set(err, ERR_USAGE,
                       "not unix:PATH, tcp:HOST:PORT, fd:N or -");
}

/* Whom the certificate must be for: known before anything is opened. */
static bool tls_name(const char *uri, const struct endpoint_options *options,
                     char host[256], struct err *err)
{
        char port[32];

        host[0] = '\0';
        if (options->tls_hostname)
                snprintf(host, 256, "%s", options->tls_hostname);
        else if (strncmp(uri, "tcp:", 4) == 0)
                TRY(split_host(uri + 4, host, port, err));
        return host[0] || err_set(err, ERR_USAGE,
                                  "names no host: whose certificate is it to "
                                  "be (--tls-hostname)?");
}

static bool is_socket(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static bool open_all(struct endpoint *e, const char *uri,
                     const struct endpoint_options *options, struct err *err)
{
        char host[256];
        struct tls_options o = {.dir = options->tls_dir, .hostname = host};

        if (o.dir)
                TRY(tls_name(uri, options, host, err));
        TRY(open_uri(uri, &e->fd, err));
        e->answers = is_socket(e->fd);
        if (!o.dir)
                return true;
        if (!e->answers)
                return err_set(err, ERR_USAGE, "TLS needs a socket");
        return tls_start(steal_fd(&e->fd), &o, &e->tls, err);
}

bool endpoint_open(const char *uri, const struct endpoint_options *options,
                   struct endpoint **out, struct err *err)
{
        struct endpoint *e = calloc(1, sizeof *e);

        if (!e)
                return err_nomem(err);
        e->fd = -1;
        snprintf(e->uri, sizeof e->uri, "%s", uri);
        if (!open_all(e, uri, options, err)) {
                endpoint_free(e);
                return err_in_file(err, uri);
        }
        *out = e;
        return true;
}

const char *endpoint_uri(const struct endpoint *e)
{
        return e->uri;
}

int endpoint_fd(const struct endpoint *e)
{
        return e->tls ? tls_fd(e->tls) : e->fd;
}

bool endpoint_answers(const struct endpoint *e)
{
        return e->answers;
}

bool endpoint_end(struct endpoint *e, struct err *err)
{
        bool ok = !e->tls || tls_end(e->tls, err);

        tls_free(steal(e->tls));
        cleanup_fd_(&e->fd);
        return ok;
}

void endpoint_explain(struct endpoint *e, struct err *err)
{
        struct err why = ERR_INIT;

        /* That it hung up is known. */
        if (!endpoint_end(e, &why) && !why.os) {
                err_clear(err);
                err_set(err, why.status, "%s", why.why);
        }
}

bool endpoint_unanswered(struct endpoint *e, struct err *err)
{
        bool tls = e->tls != NULL;

        endpoint_explain(e, err);
        err_in_file(err, e->uri);
        err_in_section(err, "header");
        return err_set(err, ERR_QEMU,
                       tls ? "the destination hung up before it answered: it "
                             "does not accept this side's certificate, or is "
                             "no waiting QEMU; see its stderr"
                           : "the destination hung up before it answered: it "
                             "is no QEMU that waits for this machine, or "
                             "expects TLS (tls-creds); see its stderr");
}

void endpoint_free(struct endpoint *e)
{
        if (!e)
                return;
        tls_free(e->tls);
        cleanup_fd_(&e->fd);
        free(e);
}

/* Who listens, and how long for a message (negative: for ever). */
struct ear {
        int fd, timeout_ms;
        bool steadfast; /* a signal does not end it */
};

/* The next one, or RETURN_ENDED. */
static bool next_message(const struct ear *ear, struct return_path *r,
                         struct return_message *m, struct err *err)
{
        int64_t begun = clock_ms();

        do {
                if (!ear->steadfast && progress_cancelled(err))
                        return false;
                TRY(return_path_next(r, ear->timeout_ms, m, err));
                if (m->type != RETURN_NONE)
                        return true;
        } while (ear->timeout_ms < 0 || clock_ms() < begun + ear->timeout_ms);
        return err_set(err, ERR_QEMU, "the destination does not answer");
}

/* until: NULL, or the answer that is enough. */
static bool hear(const struct ear *ear, const uint32_t *until,
                 enum verdict *out, struct err *err)
{
        struct return_message m;
        struct return_path r;

        return_path_init(&r, ear->fd);
        for (;;) {
                TRY(next_message(ear, &r, &m, err));
                *out = VERDICT_NONE;
                if (m.type == RETURN_ENDED)
                        return true;
                *out = m.value || until ? VERDICT_FAILED : VERDICT_LOADED;
                if (m.type == RETURN_SHUT)
                        return true;
                *out = VERDICT_LOADED;
                if (m.type == RETURN_PONG && until && m.value == *until)
                        return true;
        }
}

bool endpoint_verdict(int fd, int timeout_ms, enum verdict *out,
                      struct err *err)
{
        struct ear ear = {.fd = fd, .timeout_ms = timeout_ms};

        return hear(&ear, NULL, out, err);
}

bool endpoint_last_verdict(int fd, int timeout_ms, enum verdict *out,
                           struct err *err)
{
        struct ear ear = {
                .fd = fd, .timeout_ms = timeout_ms, .steadfast = true};

        return hear(&ear, NULL, out, err);
}

void endpoint_ping(uint32_t token, uint8_t out[ENDPOINT_PING_SIZE])
{
        struct emit e;

        emit_init(&e, out, ENDPOINT_PING_SIZE);
        emit_u8(&e, ITEM_COMMAND);
        emit_u16be(&e, COMMAND_PING);
        emit_u16be(&e, 4);
        emit_u32be(&e, token);
}

bool endpoint_pong(int fd, uint32_t token, int timeout_ms, enum verdict *out,
                   struct err *err)
{
        struct ear ear = {.fd = fd, .timeout_ms = timeout_ms};

        return hear(&ear, &token, out, err);
}
