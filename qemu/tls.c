/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/tls.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/progress.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HANDSHAKE_MS 30000
/* For a peer that takes nothing of the last bytes. */
#define END_MS 30000
/* Several records at a time. */
#define BUFFER_SIZE (256 * KiB)

/* Bytes on their way in one direction. */
struct way {
        uint8_t *bytes;
        size_t begin, end;
        bool ended;
};

struct tls {
        int socket, inner, outer; /* outer: the caller's end of the pair      */
        gnutls_certificate_credentials_t creds;
        gnutls_session_t session;
        pthread_t thread;
        bool running;
        struct way out, in;
        struct err failed; /* the thread's; read when it has been joined      */
};

static bool say(struct err *err, int rc, const char *what)
{
        return err_set(err, ERR_QEMU, "%s: %s", what, gnutls_strerror(rc));
}

/* ---- certificates -------------------------------------------------------- */

static bool there(const char *path)
{
        return access(path, F_OK) == 0;
}

static bool bad_file(struct err *err, const char *path, int rc)
{
        err_in_file(err, path);
        if (!there(path))
                return err_os(err, errno, "cannot open it");
        return err_set(err, ERR_IO, "%s", gnutls_strerror(rc));
}

static bool path_in(const char *dir, const char *name, char path[512],
                    struct err *err)
{
        return snprintf(path, 512, "%s/%s", dir, name) < 512 ||
               err_set(err, ERR_USAGE, "the directory's name is too long");
}

static bool load_own(struct tls *t, const char *dir, struct err *err)
{
        char cert[512], key[512];
        int rc;

        TRY(path_in(dir, "client-cert.pem", cert, err));
        TRY(path_in(dir, "client-key.pem", key, err));
        if (!there(cert) && !there(key))
                return true;
        if (!there(key))
                return bad_file(err, key, 0);
        rc = gnutls_certificate_set_x509_key_file(t->creds, cert, key,
                                                  GNUTLS_X509_FMT_PEM);
        return rc >= 0 || bad_file(err, cert, rc);
}

static bool load_files(struct tls *t, const char *dir, struct err *err)
{
        char path[512];
        int rc;

        TRY(path_in(dir, "ca-cert.pem", path, err));
        rc = gnutls_certificate_set_x509_trust_file(t->creds, path,
                                                    GNUTLS_X509_FMT_PEM);
        if (rc <= 0)
                return bad_file(err, path,
                                rc ? rc : GNUTLS_E_NO_CERTIFICATE_FOUND);
        TRY(path_in(dir, "ca-crl.pem", path, err));
        if (there(path)) {
                rc = gnutls_certificate_set_x509_crl_file(t->creds, path,
                                                          GNUTLS_X509_FMT_PEM);
                if (rc < 0)
                        return bad_file(err, path, rc);
        }
        return load_own(t, dir, err);
}

/* ---- the handshake ------------------------------------------------------- */

static bool is_address(const char *name)
{
        struct in6_addr a;

        return inet_pton(AF_INET, name, &a) == 1 ||
               inet_pton(AF_INET6, name, &a) == 1;
}

static bool prepare(struct tls *t, const struct tls_options *o, struct err *err)
{
        const char *name = o->hostname;
        int rc;

        rc = gnutls_certificate_allocate_credentials(&t->creds);
        if (rc < 0)
                return err_nomem(err);
        TRY(load_files(t, o->dir, err));
        rc = gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL);
        if (rc >= 0)
                rc = gnutls_set_default_priority(t->session);
        if (rc >= 0)
                rc = gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE,
                                            t->creds);
        if (rc >= 0 && !is_address(name))
                rc = gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, name,
                                            strlen(name));
        if (rc < 0)
                return say(err, rc, "TLS");
        gnutls_session_set_verify_cert(t->session, name, 0);
        gnutls_transport_set_int(t->session, t->socket);
        gnutls_handshake_set_timeout(t->session, HANDSHAKE_MS);
        return true;
}

/* Why its certificate is not good enough. */
static bool say_certificate(struct tls *t, const char *hostname,
                            struct err *err)
{
        unsigned status = gnutls_session_get_verify_cert_status(t->session);
        gnutls_datum_t text = {0};
        char shown[300], name[200];
        size_t len;

        gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509,
                                                     &text, 0);
        text_escape(text.data ? (const char *)text.data : "it cannot be used",
                    shown, sizeof shown);
        gnutls_free(text.data);
        len = strlen(shown);
        if (len > 0 && shown[len - 1] == ' ')
                shown[len - 1] = '\0';
        return err_set(err, ERR_QEMU,
                       "the destination's certificate is refused (expected "
                       "for %s): %s",
                       text_escape(hostname, name, sizeof name), shown);
}

static bool is_hang_up(int rc)
{
        return rc == GNUTLS_E_PREMATURE_TERMINATION ||
               rc == GNUTLS_E_PULL_ERROR || rc == GNUTLS_E_PUSH_ERROR ||
               rc == GNUTLS_E_INVALID_SESSION; /* after one of these */
}

static bool say_alert(struct tls *t, struct err *err)
{
        const char *name = gnutls_alert_get_name(gnutls_alert_get(t->session));

        return err_set(err, ERR_QEMU, "the destination ends the session: %s",
                       name ? name : "it gives no reason");
}

static bool say_handshake(struct tls *t, int rc, const char *hostname,
                          struct err *err)
{
        if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
                return say_certificate(t, hostname, err);
        if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
                return say_alert(t, err);
        if (rc == GNUTLS_E_TIMEDOUT)
                return err_set(err, ERR_QEMU,
                               "the destination does not answer; does it "
                               "speak TLS (its parameter tls-creds)?");
        if (is_hang_up(rc) || rc == GNUTLS_E_UNEXPECTED_PACKET_LENGTH ||
            rc == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
                return err_set(err, ERR_QEMU,
                               "the destination does not speak TLS, or breaks "
                               "it off (%s); has it tls-creds?",
                               gnutls_strerror(rc));
        return err_set(err, ERR_QEMU, "%s", gnutls_strerror(rc));
}

static bool shake_hands(struct tls *t, const char *hostname, struct err *err)
{
        int rc;

        do {
                if (progress_cancelled(err))
                        return false;
                rc = gnutls_handshake(t->session);
        } while (rc < 0 && !gnutls_error_is_fatal(rc));
        if (rc == 0)
                return true;
        say_handshake(t, rc, hostname, err);
        /* It is told, too. */
        gnutls_alert_send_appropriate(t->session, rc);
        return err_doing(err, "TLS handshake");
}

/* ---- the thread ---------------------------------------------------------- */

/* What a call for the session came to: bytes, or none for now (0), or < 0 with
 * err. */
static ssize_t judge(struct tls *t, ssize_t rc, struct err *err)
{
        if (rc >= 0)
                return rc;
        if (!gnutls_error_is_fatal((int)rc))
                return 0;
        if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED) {
                say_alert(t, err);
        } else if (is_hang_up((int)rc)) {
                err_set(err, ERR_IO, "the destination hung up");
                err->os = ECONNRESET;
        } else {
                say(err, (int)rc, "TLS");
        }
        return -1;
}

static bool send_out(struct tls *t, bool *moved, struct err *err)
{
        struct way *w = &t->out;
        ssize_t n;

        if (w->begin == w->end && !w->ended) {
                n = recv(t->inner, w->bytes, BUFFER_SIZE, MSG_DONTWAIT);
                w->ended = n == 0 || (n < 0 && errno == ECONNRESET);
                w->begin = 0;
                w->end = n > 0 ? (size_t)n : 0;
        }
        while (w->begin < w->end) {
                n = judge(t,
                          gnutls_record_send(t->session, w->bytes + w->begin,
                                             w->end - w->begin),
                          err);
                if (n <= 0)
                        return n == 0;
                w->begin += (size_t)n;
                *moved = true;
        }
        return true;
}

/* The other side may hang up without a word of TLS, as QEMU does: whether what
 * it has said is all is seen from its messages. */
static bool take_in(struct tls *t, bool *moved, struct err *err)
{
        struct way *w = &t->in;
        ssize_t n;

        if (w->begin == w->end && !w->ended) {
                n = gnutls_record_recv(t->session, w->bytes, BUFFER_SIZE);
                if (n == 0 || is_hang_up((int)n)) {
                        w->ended = true;
                        shutdown(t->inner, SHUT_WR);
                        return true;
                }
                n = judge(t, n, err);
                if (n < 0)
                        return false;
                w->begin = 0;
                w->end = (size_t)n;
        }
        while (w->begin < w->end) {
                n = send(t->inner, w->bytes + w->begin, w->end - w->begin,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
                        w->begin = w->end; /* nobody listens any more */
                if (n <= 0)
                        return true;
                w->begin += (size_t)n;
                *moved = true;
        }
        return true;
}

static bool wait_for(struct tls *t, struct err *err)
{
        bool sending = t->out.begin < t->out.end;
        bool telling = t->in.begin < t->in.end;
        struct pollfd p[2] = {{.fd = t->inner}, {.fd = t->socket}};
        int n;

        p[0].events = (short)((!sending && !t->out.ended ? POLLIN : 0) |
                              (telling ? POLLOUT : 0));
        p[1].events = (short)((sending ? POLLOUT : 0) |
                              (!telling && !t->in.ended ? POLLIN : 0));
        /* A descriptor that is of no interest now would tell of its end. */
        for (int i = 0; i < 2; i++)
                if (!p[i].events)
                        p[i].fd = -1;
        n = poll(p, 2, t->out.ended ? END_MS : -1);
        if (n < 0 && errno != EINTR)
                return err_os(err, errno, "poll");
        return n != 0 || err_set(err, ERR_QEMU,
                                 "the destination does not take the last "
                                 "bytes");
}

static bool relay(struct tls *t, struct err *err)
{
        while (!t->out.ended || t->out.begin < t->out.end) {
                bool moved = false;

                TRY(send_out(t, &moved, err));
                TRY(take_in(t, &moved, err));
                if (!moved && (!t->out.ended || t->out.begin < t->out.end))
                        TRY(wait_for(t, err));
        }
        return true;
}

static void *run(void *arg)
{
        struct tls *t = arg;

        if (relay(t, &t->failed))
                gnutls_bye(t->session, GNUTLS_SHUT_WR);
        shutdown(t->inner, SHUT_RDWR);
        return NULL;
}

/* ---- all of it ----------------------------------------------------------- */

/* Signals are for the threads that know what to do then. */
static bool start_thread(struct tls *t, struct err *err)
{
        sigset_t all, before;
        int rc;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&t->thread, NULL, run, t);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (rc != 0)
                return err_os(err, rc, "cannot start a thread");
        t->running = true;
        return true;
}

static bool start(struct tls *t, const struct tls_options *o, struct err *err)
{
        int pair[2];

        t->out.bytes = malloc(BUFFER_SIZE);
        t->in.bytes = malloc(BUFFER_SIZE);
        if (!t->out.bytes || !t->in.bytes)
                return err_nomem(err);
        TRY(prepare(t, o, err));
        TRY(shake_hands(t, o->hostname, err));
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
                return err_os(err, errno, "socketpair");
        t->outer = pair[0];
        t->inner = pair[1];
        TRY(io_set_nonblock(t->socket, true, err));
        return start_thread(t, err);
}

bool tls_start(int fd, const struct tls_options *options, struct tls **out,
               struct err *err)
{
        struct tls *t = calloc(1, sizeof *t);

        if (!t) {
                close(fd);
                return err_nomem(err);
        }
        t->socket = fd;
        t->inner = t->outer = -1;
        t->failed = (struct err)ERR_INIT;
        if (!start(t, options, err)) {
                tls_free(t);
                return false;
        }
        *out = t;
        return true;
}

int tls_fd(const struct tls *t)
{
        return t->outer;
}

bool tls_end(struct tls *t, struct err *err)
{
        shutdown(t->outer, SHUT_WR);
        pthread_join(t->thread, NULL);
        t->running = false;
        if (t->failed.status == ERR_NONE)
                return true;
        *err = t->failed;
        return false;
}

void tls_free(struct tls *t)
{
        if (!t)
                return;
        if (t->running) {
                shutdown(t->socket, SHUT_RDWR);
                shutdown(t->outer, SHUT_RDWR);
                pthread_join(t->thread, NULL);
        }
        if (t->session)
                gnutls_deinit(t->session);
        if (t->creds)
                gnutls_certificate_free_credentials(t->creds);
        cleanup_fd_(&t->socket);
        cleanup_fd_(&t->inner);
        cleanup_fd_(&t->outer);
        free(t->out.bytes);
        free(t->in.bytes);
        free(t);
}
