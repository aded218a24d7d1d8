/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread that answers looks for requests after each burst of pages, so that
 * one waits for some hundred microseconds at most.  What it unpacks for a
 * request it keeps for a while: the neighbourhood follows from there.
 */
#include "restore/serve.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/text.h"
#include "qemu/emission.h"
#include "restore/answer_times.h"
#include "restore/fill.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* Of what is sent unasked, at once: at most so many bytes, at least a host
 * page. */
#define BURST (64 * 1024)

/* Where we may (CAP_SYS_NICE), the thread that a guest waits for goes before
 * QEMU's own. */
#define NICE (-10)

/* Units kept that requests were for. */
#define HOT 8

struct hot {
        bool valid;
        unsigned long used; /* the higher, the later */
        struct fill_item item;
        uint64_t left; /* host pages not looked at since the last request */
};

struct server {
        int fd;
        const char *name;
        struct serve_options o;
        struct emission *emission;
        struct place_buffer *buffer;
        struct fill *fill;
        struct fill_item *current;
        int wake, over; /* eventfds: news for the thread; it has ended */
        pthread_t thread;
        bool running;
        bool stop;       /* atomic */
        bool may_end;    /* atomic */
        uint8_t **sent;  /* a bit a page */
        uint8_t **zero;  /* the same: known to be zero, and not sent */
        uint8_t **first; /* the same: of the working set; NULL: there is none */
        uint8_t **done;  /* a byte a unit, atomic: nothing is left to send */
        struct fill_item *first_units;
        size_t first_count;
        struct hot hot[HOT];
        unsigned long clock;
        struct err err;
        pthread_mutex_t lock; /* of what follows */
        struct serve_counts counts;
        struct answer_times times;
};

static bool bit(const uint8_t *bits, uint64_t n)
{
        return bits[n / 8] >> (n % 8) & 1;
}

static void set_bit(uint8_t *bits, uint64_t n)
{
        bits[n / 8] |= (uint8_t)(1U << (n % 8));
}

static uint64_t pages_of(const struct server *s, unsigned block)
{
        const struct layout *l = s->o.layout;

        return l->ram->blocks[block].size / l->page_size;
}

/* Target pages of a host page. */
static unsigned pages_a_host_page(const struct server *s, unsigned block)
{
        const struct layout *l = s->o.layout;

        return (unsigned)(l->host_pages[block] / l->page_size);
}

/* ---- how long requests waited -------------------------------------------- */

static void note_answer(struct server *s, double begun)
{
        pthread_mutex_lock(&s->lock);
        answer_times_add(&s->times, (uint64_t)((clock_now() - begun) * 1e6));
        pthread_mutex_unlock(&s->lock);
}

void server_counts(struct server *s, struct serve_counts *out)
{
        pthread_mutex_lock(&s->lock);
        *out = s->counts;
        out->requests = s->times.count;
        out->p50_us = answer_times_percentile(&s->times, 50);
        out->p99_us = answer_times_percentile(&s->times, 99);
        out->max_us = s->times.max_us;
        pthread_mutex_unlock(&s->lock);
}

/* ---- sending ------------------------------------------------------------- */

/* A host page, whose content is given, or zeros: bytes NULL. */
static bool send_host_page(struct server *s, unsigned block, uint64_t host_page,
                           const uint8_t *bytes, struct err *err)
{
        const struct layout *l = s->o.layout;
        unsigned count = pages_a_host_page(s, block);
        uint64_t first = host_page * count;

        for (unsigned i = 0; i < count; i++)
                set_bit(s->sent[block], first + i);
        return emission_pages(s->emission, block, first * l->page_size, bytes,
                              (size_t)l->host_pages[block], l->page_size, err);
}

/* Whether the host page is to be sent unasked; it is noted if it is zero. */
static bool is_wanted(struct server *s, const struct fill_item *item,
                      uint64_t host_page, const uint8_t *bytes)
{
        unsigned count = pages_a_host_page(s, item->block);
        uint64_t first = host_page * count;

        if (bit(s->sent[item->block], first) ||
            bit(s->zero[item->block], first))
                return false;
        if (bytes_are_zero(bytes,
                           (size_t)s->o.layout->host_pages[item->block])) {
                set_bit(s->zero[item->block], first);
                return false;
        }
        return !item->first || bit(s->first[item->block], first);
}

/* Up to BURST bytes of the unit from item->at on, around its end, as long as
 * *left host pages have not been looked at. */
static bool send_some(struct server *s, struct fill_item *item, uint64_t *left,
                      struct err *err)
{
        const struct layout *l = s->o.layout;
        size_t host_page = (size_t)l->host_pages[item->block];
        size_t len = unit_len(l, item->block, item->unit);
        uint64_t base = item->unit * unit_size(l, item->block);
        unsigned each = pages_a_host_page(s, item->block);
        uint16_t picked[EMISSION_PICKED_MAX];
        size_t count = 0;

        while (*left > 0 &&
               (count == 0 || (count + each) * l->page_size <= BURST)) {
                uint64_t n = (base + item->at) / host_page;

                if (is_wanted(s, item, n, item->bytes + item->at)) {
                        for (unsigned i = 0; i < each; i++) {
                                set_bit(s->sent[item->block], n * each + i);
                                picked[count++] =
                                        (uint16_t)(item->at / l->page_size + i);
                        }
                }
                item->at += host_page;
                if (item->at >= len)
                        item->at = 0;
                (*left)--;
        }
        return count == 0 ||
               emission_picked(s->emission, item->block, base, item->bytes,
                               picked, count, l->page_size, err);
}

static uint64_t host_pages_in(const struct server *s,
                              const struct fill_item *item)
{
        const struct layout *l = s->o.layout;

        return unit_len(l, item->block, item->unit) /
               l->host_pages[item->block];
}

/* All of the unit has been looked at: what it holds is there. */
static void finish_unit(struct server *s, const struct fill_item *item)
{
        uint8_t *done = &s->done[item->block][item->unit];

        if (item->first || __atomic_exchange_n(done, 1, __ATOMIC_RELAXED))
                return;
        pthread_mutex_lock(&s->lock);
        s->counts.done_bytes += unit_len(s->o.layout, item->block, item->unit);
        pthread_mutex_unlock(&s->lock);
}

/* ---- requests ------------------------------------------------------------ */

static struct hot *find_hot(struct server *s, unsigned block, uint64_t unit)
{
        for (unsigned i = 0; i < HOT; i++) {
                struct hot *h = &s->hot[i];

                if (h->valid && h->item.block == block && h->item.unit == unit)
                        return h;
        }
        return NULL;
}

/* The one used longest ago makes room. */
static bool make_hot(struct server *s, unsigned block, uint64_t unit,
                     struct hot **out, struct err *err)
{
        struct hot *h = &s->hot[0];

        for (unsigned i = 1; i < HOT; i++)
                if (s->hot[i].used < h->used)
                        h = &s->hot[i];
        h->valid = false;
        TRY(unit_read(s->o.layout, s->buffer, block, unit, h->item.bytes, err));
        h->item.block = block;
        h->item.unit = unit;
        h->valid = true;
        *out = h;
        return true;
}

/* The host page at `start`, out of what is at hand or from the file. */
static bool answer(struct server *s, unsigned block, uint64_t start,
                   struct err *err)
{
        const struct layout *l = s->o.layout;
        uint64_t host_page = start / l->host_pages[block];
        uint64_t unit = start / unit_size(l, block);
        size_t at = (size_t)(start % unit_size(l, block));
        uint64_t first = host_page * pages_a_host_page(s, block);
        struct hot *h = find_hot(s, block, unit);

        if (!h &&
            (bit(s->zero[block], first) || !unit_is_stored(l, block, unit)))
                return send_host_page(s, block, host_page, NULL, err);
        if (!h && s->current && s->current->block == block &&
            s->current->unit == unit)
                return send_host_page(s, block, host_page,
                                      s->current->bytes + at, err);
        if (!h)
                TRY(make_hot(s, block, unit, &h, err));
        TRY(send_host_page(s, block, host_page, h->item.bytes + at, err));
        h->used = ++s->clock;
        h->item.at = at;
        h->left = host_pages_in(s, &h->item);
        return true;
}

static bool bad_request(const struct return_message *m, struct err *err)
{
        char shown[300];

        return err_set(err, ERR_QEMU,
                       "the target asks for %u bytes at 0x%llx of RAMBlock "
                       "'%s', which cannot be",
                       m->len, (unsigned long long)m->start,
                       text_escape(m->block, shown, sizeof shown));
}

static bool request(struct server *s, const struct return_message *m,
                    struct err *err)
{
        const struct layout *l = s->o.layout;
        int block = ram_blocks_find(l->ram, m->block);
        double begun = clock_now();
        uint64_t size, host_page;

        if (block < 0)
                return bad_request(m, err);
        size = l->ram->blocks[block].size;
        host_page = l->host_pages[block];
        if (m->start % host_page || m->len % host_page || m->len == 0 ||
            m->start >= size || m->len > size - m->start)
                return bad_request(m, err);
        for (uint64_t at = m->start; at < m->start + m->len; at += host_page) {
                /* It may have crossed the page on its way. */
                if (bit(s->sent[block], at / l->page_size))
                        continue;
                TRY(answer(s, (unsigned)block, at, err));
                note_answer(s, begun);
                if (s->o.record)
                        working_set_add(s->o.record, (unsigned)block,
                                        at / l->page_size);
        }
        return true;
}

static bool closed(struct err *err)
{
        return err_set(err, ERR_QEMU, "the target closed the connection");
}

static bool requests(struct server *s, struct err *err)
{
        struct return_message m;

        for (;;) {
                TRY(return_path_next(s->o.back, 0, &m, err));
                if (m.type == RETURN_NONE)
                        return true;
                if (m.type == RETURN_ENDED)
                        return closed(err);
                if (m.type == RETURN_SHUT)
                        return err_set(err, ERR_QEMU,
                                       "the target has given up (%u)", m.value);
                if (m.type == RETURN_REQUEST)
                        TRY(request(s, &m, err));
        }
}

/* ---- what nobody asked for ----------------------------------------------- */

/* The neighbourhood of the latest request. */
static bool send_near(struct server *s, bool *worked, struct err *err)
{
        struct hot *best = NULL;

        for (unsigned i = 0; i < HOT; i++) {
                struct hot *h = &s->hot[i];

                if (h->valid && h->left > 0 && (!best || h->used > best->used))
                        best = h;
        }
        if (!best)
                return true;
        *worked = true;
        TRY(send_some(s, &best->item, &best->left, err));
        if (best->left == 0)
                finish_unit(s, &best->item);
        return true;
}

static bool send_next(struct server *s, bool *worked, bool *ended,
                      struct err *err)
{
        struct fill_item *item = s->current;
        uint64_t left;

        if (!item) {
                TRY(fill_take(s->fill, &item, ended, err));
                s->current = item;
                if (!item)
                        return true;
        }
        *worked = true;
        left = host_pages_in(s, item) -
               item->at / s->o.layout->host_pages[item->block];
        TRY(send_some(s, item, &left, err));
        if (left > 0)
                return true;
        finish_unit(s, item);
        s->current = NULL;
        fill_done(s->fill, item);
        return true;
}

static bool wait_for_news(struct server *s, struct err *err)
{
        struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN},
                              {.fd = s->wake, .events = POLLIN}};
        uint64_t count;

        if (poll(p, 2, -1) < 0 && errno != EINTR)
                return err_os(err, errno, "poll");
        if (p[1].revents && read(s->wake, &count, sizeof count) < 0)
                return err_os(err, errno, "eventfd");
        return true;
}

static bool send_end(struct server *s, struct err *err)
{
        uint8_t bytes[POSTCOPY_END_MAX];
        struct emit e;

        emit_init(&e, bytes, sizeof bytes);
        postcopy_end(s->o.devices, &e);
        return io_write_all(s->fd, bytes, e.len, s->name, err);
}

static bool serve(struct server *s, struct err *err)
{
        bool ended = false;

        for (;;) {
                bool worked = false;

                if (__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
                        return err_set(err, ERR_CANCELLED, "interrupted");
                TRY(requests(s, err));
                TRY(send_near(s, &worked, err));
                if (!worked)
                        TRY(send_next(s, &worked, &ended, err));
                if (ended && __atomic_load_n(&s->may_end, __ATOMIC_RELAXED))
                        return send_end(s, err);
                if (!worked)
                        TRY(wait_for_news(s, err));
        }
}

/* The target is not to wait for what will not come. */
static void break_off(struct server *s)
{
        shutdown(s->fd, SHUT_RDWR);
        if (s->err.os != EPIPE && s->err.os != ECONNRESET)
                return;
        err_clear(&s->err);
        closed(&s->err);
}

/* Memory is touched before it is needed: the first to touch it would wait for
 * it, and with it a guest. */
static bool warm_up(struct server *s, struct err *err)
{
        size_t size = unit_largest(s->o.layout);

        s->buffer = place_buffer_new();
        if (!s->buffer)
                return err_nomem(err);
        for (unsigned i = 0; i < HOT; i++) {
                s->hot[i].item.bytes = malloc(size);
                if (!s->hot[i].item.bytes)
                        return err_nomem(err);
                memset(s->hot[i].item.bytes, 1, size);
        }
        return true;
}

static void *run(void *arg)
{
        struct server *s = arg;
        uint64_t one = 1;
        ssize_t n;

        setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
        if (!warm_up(s, &s->err) || !serve(s, &s->err))
                break_off(s);
        n = write(s->over, &one, sizeof one);
        (void)n;
        return NULL;
}

/* ---- life ---------------------------------------------------------------- */

static uint8_t **new_tables(const struct server *s, bool units)
{
        const struct layout *l = s->o.layout;
        uint8_t **t = calloc(l->ram->count + 1, sizeof *t);

        for (unsigned i = 0; t && i < l->ram->count; i++) {
                t[i] = calloc(units ? (size_t)unit_count(l, i) + 1
                                    : return_path_bits_size(pages_of(s, i)),
                              1);
                if (t[i])
                        continue;
                while (i > 0)
                        free(t[--i]);
                free(t);
                return NULL;
        }
        return t;
}

static void free_tables(const struct server *s, uint8_t **t)
{
        for (unsigned i = 0; t && i < s->o.layout->ram->count; i++)
                free(t[i]);
        free(t);
}

/* The working set's pages, and their units in the order of first touches. */
static bool prepare_first(struct server *s, struct err *err)
{
        const struct working_set *w = s->o.first;
        const struct layout *l = s->o.layout;
        uint8_t **seen;

        if (!w || !w->count)
                return true;
        s->first = new_tables(s, false);
        s->first_units = calloc(w->count, sizeof *s->first_units);
        seen = new_tables(s, true);
        for (size_t i = 0; seen && s->first && s->first_units && i < w->count;
             i++) {
                unsigned block = w->list[i].block;
                uint64_t unit =
                        w->list[i].page * l->page_size / unit_size(l, block);

                set_bit(s->first[block], w->list[i].page);
                if (seen[block][unit])
                        continue;
                seen[block][unit] = 1;
                s->first_units[s->first_count++] =
                        (struct fill_item){.block = block, .unit = unit};
        }
        if (!seen || !s->first || !s->first_units) {
                free_tables(s, seen);
                return err_nomem(err);
        }
        free_tables(s, seen);
        return true;
}

static void count_content(struct server *s)
{
        const struct layout *l = s->o.layout;

        for (unsigned b = 0; b < l->ram->count; b++)
                for (uint64_t u = 0; u < unit_count(l, b); u++)
                        if (unit_is_stored(l, b, u))
                                s->counts.content_bytes += unit_len(l, b, u);
}

static bool prepare(struct server *s, struct err *err)
{
        s->sent = new_tables(s, false);
        s->zero = new_tables(s, false);
        s->done = new_tables(s, true);
        if (!s->sent || !s->zero || !s->done)
                return err_nomem(err);
        s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        s->over = eventfd(0, EFD_CLOEXEC);
        if (s->wake < 0 || s->over < 0)
                return err_os(err, errno, "eventfd");
        TRY(prepare_first(s, err));
        count_content(s);
        return emission_new(s->fd, s->name, s->o.layout->ram,
                            s->o.devices->footers, &s->emission, err);
}

bool server_new(int fd, const char *name, const struct serve_options *options,
                struct server **out, struct err *err)
{
        struct server *s = calloc(1, sizeof *s);

        if (!s)
                return err_nomem(err);
        s->fd = fd;
        s->name = name;
        s->o = *options;
        s->wake = s->over = -1;
        s->err = (struct err)ERR_INIT;
        pthread_mutex_init(&s->lock, NULL);
        if (!prepare(s, err)) {
                server_free(s);
                return false;
        }
        *out = s;
        return true;
}

uint8_t *server_sent(struct server *s, unsigned block, uint64_t *pages_out)
{
        *pages_out = pages_of(s, block);
        return s->sent[block];
}

bool server_start(struct server *s, struct err *err)
{
        struct fill_options o = {
                .layout = s->o.layout,
                .first = s->first_units,
                .first_count = s->first_count,
                .done = s->done,
                .wake = s->wake,
                .threads = s->o.threads ? s->o.threads : 1,
        };
        sigset_t all, before;
        int rc;

        TRY(fill_start(&o, &s->fill, err));
        /* Signals are for the main thread. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        rc = pthread_create(&s->thread, NULL, run, s);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (rc != 0)
                return err_os(err, rc, "cannot start a thread");
        s->running = true;
        return true;
}

bool server_ended(struct server *s, int timeout_ms)
{
        struct pollfd p = {.fd = s->over, .events = POLLIN};

        return !s->running || poll(&p, 1, timeout_ms) > 0;
}

bool server_result(struct server *s, struct err *err)
{
        if (s->running) {
                pthread_join(s->thread, NULL);
                s->running = false;
        }
        if (s->err.status == ERR_NONE)
                return true;
        *err = s->err;
        return false;
}

static void wake(struct server *s)
{
        uint64_t one = 1;
        ssize_t n = write(s->wake, &one, sizeof one);

        (void)n; /* a counter that is full wakes, too */
}

void server_may_end(struct server *s)
{
        __atomic_store_n(&s->may_end, true, __ATOMIC_RELAXED);
        wake(s);
}

void server_stop(struct server *s)
{
        struct err ignored = ERR_INIT;

        __atomic_store_n(&s->stop, true, __ATOMIC_RELAXED);
        shutdown(s->fd, SHUT_RDWR);
        if (!s->running)
                return;
        wake(s);
        server_result(s, &ignored);
}

void server_free(struct server *s)
{
        if (!s)
                return;
        server_stop(s);
        fill_free(s->fill);
        for (unsigned i = 0; i < HOT; i++)
                free(s->hot[i].item.bytes);
        free_tables(s, s->sent);
        free_tables(s, s->zero);
        free_tables(s, s->first);
        free_tables(s, s->done);
        free(s->first_units);
        place_buffer_free(s->buffer);
        emission_free(s->emission);
        for (int *fd = (int[]){s->wake, s->over, -2}; *fd != -2; fd++)
                if (*fd >= 0)
                        close(*fd);
        pthread_mutex_destroy(&s->lock);
        free(s);
}
