/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/tee.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/progress.h"
#include "qemu/endpoint.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* The source's own first PING, and ours in place of the end ("stas"). */
#define SOURCE_PING 1
#define OUR_PING    0x73746173
/* By then the source has sent its PING, and there is no more of the guest at
 * the target than this. */
#define UNANSWERED_MAX MiB

/* A guest stands still meanwhile. */
#define TAKE_SECONDS 30
#define ANSWER_MS    60000
/* EOF, and the head of a vmdesc. */
#define KEPT_MAX (LIMIT_VMDESC_BYTES + 6)

struct tee {
        struct endpoint *endpoint;
        uint64_t sent;
        bool answered;
        bool going; /* there is no way back */
        uint8_t *kept;
        size_t kept_len;
};

bool tee_open(const char *uri, const struct endpoint_options *options,
              struct tee **out, struct err *err)
{
        struct tee *t = calloc(1, sizeof *t);

        if (!t)
                return err_nomem(err);
        if (!endpoint_open(uri, options, &t->endpoint, err)) {
                tee_free(t);
                return false;
        }
        if (!endpoint_answers(t->endpoint)) {
                tee_free(t);
                err_in_file(err, uri);
                return err_set(err, ERR_USAGE,
                               "a target that cannot answer would run without "
                               "our knowing");
        }
        *out = t;
        return true;
}

void tee_free(struct tee *t)
{
        if (!t)
                return;
        endpoint_free(t->endpoint);
        free(t->kept);
        free(t);
}

/* The connection has ended: what the target may mean by it. */
static bool broken(struct tee *t, struct err *err)
{
        struct err why = ERR_INIT;

        if (!t->answered)
                return endpoint_unanswered(t->endpoint, err);
        err_set(&why, ERR_QEMU,
                "the target refused the stream or ended; see its stderr");
        endpoint_explain(t->endpoint, &why);
        return err_set(err, why.status, "%s", why.why);
}

static bool failed(struct tee *t, struct err *err)
{
        err_in_file(err, endpoint_uri(t->endpoint));
        return err_doing(err, "feeding the target");
}

static bool await_room(struct tee *t, double deadline, struct err *err)
{
        struct pollfd p = {.fd = endpoint_fd(t->endpoint), .events = POLLOUT};

        if (!t->going && progress_cancelled(err))
                return false;
        if (poll(&p, 1, 1000) < 0 && errno != EINTR)
                return err_os(err, errno, "poll");
        return clock_now() <= deadline ||
               err_set(err, ERR_QEMU, "the target takes nothing for %d seconds",
                       TAKE_SECONDS);
}

static bool push(struct tee *t, const uint8_t *bytes, size_t len,
                 struct err *err)
{
        double deadline = clock_now() + TAKE_SECONDS;

        while (len > 0) {
                ssize_t n = send(endpoint_fd(t->endpoint), bytes, len,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                        t->sent += (uint64_t)n;
                        deadline = clock_now() + TAKE_SECONDS;
                } else if (errno == EPIPE || errno == ECONNRESET) {
                        return broken(t, err);
                } else if (errno == EAGAIN || errno == EINTR) {
                        TRY(await_room(t, deadline, err));
                } else {
                        return err_os(err, errno, "send");
                }
        }
        return true;
}

static bool await_pong(struct tee *t, uint32_t token, struct err *err)
{
        enum verdict v;

        TRY(endpoint_pong(endpoint_fd(t->endpoint), token, ANSWER_MS, &v, err));
        if (v != VERDICT_LOADED)
                return broken(t, err);
        t->answered = true;
        return true;
}

bool tee_write(struct tee *t, const uint8_t *bytes, size_t len, struct err *err)
{
        bool ok = push(t, bytes, len, err);

        if (ok && !t->answered && t->sent >= UNANSWERED_MAX)
                ok = await_pong(t, SOURCE_PING, err);
        return ok || failed(t, err);
}

bool tee_keep(struct tee *t, const uint8_t *bytes, size_t len, struct err *err)
{
        uint8_t ping[ENDPOINT_PING_SIZE], *grown;

        if (t->kept_len == 0) {
                endpoint_ping(OUR_PING, ping);
                TRY(push(t, ping, sizeof ping, err) || failed(t, err));
        }
        if (t->kept_len + len > KEPT_MAX)
                return err_set(err, ERR_LIMIT, "too much behind the end");
        grown = realloc(t->kept, t->kept_len + len);
        if (!grown)
                return err_nomem(err);
        memcpy(grown + t->kept_len, bytes, len);
        t->kept = grown;
        t->kept_len += len;
        return true;
}

bool tee_ready(struct tee *t, struct err *err)
{
        return await_pong(t, OUR_PING, err) || failed(t, err);
}

bool tee_go(struct tee *t, struct err *err)
{
        enum verdict v;
        bool ok;

        t->going = true;
        ok = push(t, t->kept, t->kept_len, err) &&
             endpoint_last_verdict(endpoint_fd(t->endpoint), ANSWER_MS, &v,
                                   err);
        if (ok && v != VERDICT_LOADED)
                ok = broken(t, err);
        ok = ok && endpoint_end(t->endpoint, err);
        return ok || failed(t, err);
}
