/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/channels.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/io.h"
#include "base/local.h"
#include "base/progress.h"
#include "qemu/multifd.h"
#include "qemu/stream_format.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* For QEMU to connect, and to say which channel it is. */
#define CONNECT_MS 20000
/* For what it has sent before a barrier. */
#define BARRIER_SECONDS 60

struct channel {
        int fd; /* -1: at its end */
        struct codec *codec;
        uint64_t syncs; /* SYNC packets so far */
        size_t have;
        bool whole; /* there is a packet, to be told */
        struct multifd_packet packet;
        uint8_t *bytes; /* a packet: header, payload */
};

struct channels {
        unsigned count;
        bool zstd;
        char dir[108], path[108], uri[128];
        int listener;
        struct channel *list;
        uint64_t barriers; /* passed by the main channel */
        uint64_t next;     /* number of the packet that would be in order */
        uint32_t page_size;
        const struct ram_blocks *blocks; /* NULL: not known yet */
        channels_page *page;
        void *arg;
        uint8_t *plain; /* a payload, decompressed */
};

/* ---- listening ----------------------------------------------------------- */

static void forget_socket(struct channels *c)
{
        cleanup_fd_(&c->listener);
        if (c->path[0])
                unlink(c->path);
        if (c->dir[0])
                rmdir(c->dir);
        c->path[0] = c->dir[0] = '\0';
}

static bool make_dir(struct channels *c, const char *in, uid_t uid,
                     struct err *err)
{
        int n = snprintf(c->dir, sizeof c->dir, "%s/.stasis-XXXXXX", in);

        /* "/s" and its end */
        if (n < 0 || (size_t)n + 3 > sizeof c->dir) {
                snprintf(c->dir, sizeof c->dir, "/tmp/.stasis-XXXXXX");
                in = "/tmp";
        }
        if (!mkdtemp(c->dir)) {
                c->dir[0] = '\0';
                err_in_file(err, in);
                return err_os(err, errno, "cannot make a directory");
        }
        if (uid != geteuid() && chown(c->dir, uid, (gid_t)-1) != 0)
                return err_os(err, errno,
                              "cannot let QEMU's user into a directory of "
                              "ours");
        return true;
}

static bool make_socket(struct channels *c, uid_t uid, struct err *err)
{
        snprintf(c->path, sizeof c->path, "%.105s/s", c->dir);
        snprintf(c->uri, sizeof c->uri, "unix:%s", c->path);
        if (!local_listen(c->path, (int)c->count + 1, &c->listener, err))
                return err_in_file(err, c->path);
        if (uid != geteuid() && chown(c->path, uid, (gid_t)-1) != 0)
                return err_os(err, errno, "cannot let QEMU's user in");
        return true;
}

bool channels_listen(const struct channels_options *options,
                     struct channels **out, struct err *err)
{
        struct channels *c = calloc(1, sizeof *c);
        bool ok;

        if (!c)
                return err_nomem(err);
        c->count = options->count;
        c->zstd = options->zstd;
        c->listener = -1;
        c->list = calloc(c->count, sizeof *c->list);
        c->plain = malloc(MULTIFD_PAGES_BYTES);
        for (unsigned i = 0; c->list && i < c->count; i++)
                c->list[i].fd = -1;
        ok = (c->list && c->plain) || err_nomem(err);
        ok = ok && make_dir(c, options->dir, options->uid, err) &&
             make_socket(c, options->uid, err);
        if (!ok) {
                channels_free(c);
                return false;
        }
        *out = c;
        return true;
}

const char *channels_uri(const struct channels *c)
{
        return c->uri;
}

/* ---- connections --------------------------------------------------------- */

static bool readable(int fd, int ms, struct err *err)
{
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n;

        do {
                if (progress_cancelled(err))
                        return false;
                n = poll(&p, 1, ms);
        } while (n < 0 && errno == EINTR);
        if (n < 0)
                return err_os(err, errno, "poll");
        return n > 0 || err_set(err, ERR_QEMU,
                                "QEMU does not make its multifd connections");
}

static bool accept_one(struct channels *c, int *fd_out, struct err *err)
{
        TRY(readable(c->listener, CONNECT_MS, err));
        *fd_out = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
        return *fd_out >= 0 || err_os(err, errno, "accept");
}

static bool open_channel(struct channels *c, struct channel *ch, int fd,
                         struct err *err)
{
        ch->fd = fd;
        ch->bytes = malloc(multifd_header_size(TARGET_PAGE_MIN) +
                           MULTIFD_PAYLOAD_MAX);
        if (c->zstd)
                ch->codec = codec_new(1);
        return (ch->bytes && (ch->codec || !c->zstd)) || err_nomem(err);
}

static bool greet(struct channels *c, struct err *err)
{
        uint8_t hello[MULTIFD_HELLO_SIZE];
        CLEANUP_FD int fd = -1;
        size_t got = 0;
        unsigned id;

        TRY(accept_one(c, &fd, err));
        while (got < sizeof hello) {
                size_t n;

                TRY(readable(fd, CONNECT_MS, err));
                TRY(io_read_some(fd, hello + got, sizeof hello - got, &n,
                                 "a multifd channel", err));
                if (n == 0)
                        return err_set(err, ERR_QEMU,
                                       "a multifd connection ends at once");
                got += n;
        }
        TRY(multifd_hello_parse(hello, c->count, &id, err));
        if (c->list[id].fd >= 0)
                return err_set(err, ERR_CORRUPT, "multifd channel %u twice",
                               id);
        return open_channel(c, &c->list[id], steal_fd(&fd), err);
}

/* It connects the main channel first, the others when that is there. */
bool channels_accept(struct channels *c, int *main_out, struct err *err)
{
        CLEANUP_FD int fd = -1;

        TRY(accept_one(c, &fd, err));
        for (unsigned i = 0; i < c->count; i++)
                TRY(greet(c, err));
        forget_socket(c);
        *main_out = steal_fd(&fd);
        return true;
}

bool channels_begin(struct channels *c, const struct ram_blocks *blocks,
                    uint32_t page_size, channels_page *page, void *arg,
                    struct err *err)
{
        if (page_size < TARGET_PAGE_MIN || page_size > TARGET_PAGE_MAX ||
            (page_size & (page_size - 1)) != 0)
                return err_set(err, ERR_CORRUPT, "target pages of %u bytes",
                               page_size);
        c->blocks = blocks;
        c->page_size = page_size;
        c->page = page;
        c->arg = arg;
        return true;
}

/* ---- packets ------------------------------------------------------------- */

/* The packet of a channel, which is whole. */
static bool tell(struct channels *c, struct channel *ch, struct err *err)
{
        const struct multifd_packet *p = &ch->packet;
        const uint8_t *payload = ch->bytes + multifd_header_size(c->page_size);
        size_t len = (size_t)p->normal * c->page_size;

        if (p->normal > 0 && c->zstd) {
                TRY(codec_continue(ch->codec, payload, p->payload, c->plain,
                                   len, err));
                payload = c->plain;
        }
        for (unsigned i = 0; i < p->normal; i++)
                TRY(c->page(c->arg, p->block, multifd_offset(p, i),
                            payload + (size_t)i * c->page_size, c->page_size,
                            err));
        for (unsigned i = p->normal; i < p->normal + p->zero; i++)
                TRY(c->page(c->arg, p->block, multifd_offset(p, i), NULL,
                            c->page_size, err));
        ch->whole = false;
        ch->have = 0;
        ch->syncs += p->sync;
        if (p->number >= c->next)
                c->next = p->number + 1;
        return true;
}

/* Bytes that are still to be read of the packet that has begun. */
static bool missing(struct channels *c, struct channel *ch, size_t *out,
                    struct err *err)
{
        size_t head = multifd_header_size(c->page_size);

        *out = head - ch->have;
        if (ch->have < head)
                return true;
        TRY(multifd_packet_parse(ch->bytes, c->page_size, c->zstd, c->blocks,
                                 &ch->packet, err));
        *out = head + ch->packet.payload - ch->have;
        return true;
}

/* What is there of one packet. */
static bool take(struct channels *c, struct channel *ch, struct err *err)
{
        size_t want;
        ssize_t n;

        TRY(missing(c, ch, &want, err));
        n = recv(ch->fd, ch->bytes + ch->have, want, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return true;
        if (n <= 0) {
                cleanup_fd_(&ch->fd);
                return ch->have == 0 ||
                       err_set(err, ERR_TRUNCATED, "it ends in a packet");
        }
        ch->have += (size_t)n;
        TRY(missing(c, ch, &want, err));
        ch->whole = want == 0;
        return true;
}

static bool in_channel(const struct channels *c, const struct channel *ch,
                       struct err *err)
{
        char name[32];

        snprintf(name, sizeof name, "multifd channel %u",
                 (unsigned)(ch - c->list));
        return err_in_section(err, name);
}

/* It has told all up to a barrier that the main channel has not come to. */
static bool is_ahead(const struct channels *c, const struct channel *ch)
{
        return ch->syncs > c->barriers;
}

/*
 * Tells what is whole, in the order of numbers: chunks become complete one
 * after the other then.  Only that depends on the order, so a packet from
 * behind a gap waits no longer than there is something else to come (`all`:
 * nothing is).
 */
static bool tell_whole(struct channels *c, bool all, struct err *err)
{
        for (;;) {
                struct channel *first = NULL;
                bool others = false;

                for (unsigned i = 0; i < c->count; i++) {
                        struct channel *ch = &c->list[i];

                        if (is_ahead(c, ch))
                                continue;
                        others |= !ch->whole && ch->fd >= 0;
                        if (ch->whole &&
                            (!first ||
                             ch->packet.number < first->packet.number))
                                first = ch;
                }
                if (!first ||
                    (first->packet.number > c->next && others && !all))
                        return true;
                TRY(tell(c, first, err) || in_channel(c, first, err));
        }
}

/* Milliseconds for which a packet waits for one that should be before it. */
#define GAP_MS 2

/* Waits for main_fd (-1: none) and the channels that may be read, and takes
 * what these have. */
static bool serve(struct channels *c, int main_fd, int ms, bool *main_out,
                  struct err *err)
{
        struct pollfd p[MULTIFD_CHANNELS_MAX + 1];
        int n;

        p[c->count] = (struct pollfd){.fd = main_fd, .events = POLLIN};
        for (unsigned i = 0; i < c->count; i++) {
                struct channel *ch = &c->list[i];
                bool due = c->blocks && !is_ahead(c, ch) && !ch->whole;

                p[i] = (struct pollfd){.fd = due ? ch->fd : -1,
                                       .events = POLLIN};
                if (ch->whole && ms > GAP_MS)
                        ms = GAP_MS;
        }
        if (progress_cancelled(err))
                return false;
        n = poll(p, c->count + 1, ms);
        if (n < 0 && errno != EINTR)
                return err_os(err, errno, "poll");
        for (unsigned i = 0; n > 0 && i < c->count; i++)
                if (p[i].revents)
                        TRY(take(c, &c->list[i], err) ||
                            in_channel(c, &c->list[i], err));
        TRY(tell_whole(c, n == 0, err));
        *main_out = n > 0 && p[c->count].revents;
        return !progress_cancelled(err);
}

/* All of ms is waited only when nothing comes at all: a wait that ends without
 * a byte of the main channel makes its reader ask how QEMU is. */
bool channels_wait(void *arg, int fd, int ms, bool *came_out, struct err *err)
{
        struct channels *c = arg;
        double end = clock_now() + ms / 1e3;
        int left = ms;

        do {
                TRY(serve(c, fd, left, came_out, err));
                left = (int)((end - clock_now()) * 1e3);
        } while (!*came_out && left > 0);
        return true;
}

/* Whether a channel has not brought its part up to the next barrier. */
static bool behind(const struct channels *c, bool *ended)
{
        bool any = false;

        *ended = false;
        for (unsigned i = 0; i < c->count; i++) {
                if (is_ahead(c, &c->list[i]))
                        continue;
                any = true;
                *ended |= c->list[i].fd < 0 && !c->list[i].whole;
        }
        return any;
}

bool channels_barrier(struct channels *c, struct err *err)
{
        double deadline = clock_now() + BARRIER_SECONDS;
        bool ignored, ended;

        while (behind(c, &ended)) {
                if (ended)
                        return err_set(err, ERR_TRUNCATED,
                                       "a multifd channel ends before its "
                                       "SYNC");
                if (clock_now() > deadline)
                        return err_set(err, ERR_QEMU,
                                       "a multifd channel does not bring its "
                                       "SYNC");
                TRY(serve(c, -1, 50, &ignored, err));
        }
        c->barriers++;
        return true;
}

/* ---- the end ------------------------------------------------------------- */

void channels_hang_up(struct channels *c)
{
        forget_socket(c);
        for (unsigned i = 0; i < c->count; i++)
                cleanup_fd_(&c->list[i].fd);
}

void channels_free(struct channels *c)
{
        if (!c)
                return;
        if (c->list)
                channels_hang_up(c);
        forget_socket(c);
        for (unsigned i = 0; c->list && i < c->count; i++) {
                codec_free(c->list[i].codec);
                free(c->list[i].bytes);
        }
        free(c->list);
        free(c->plain);
        free(c);
}
