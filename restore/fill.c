/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/fill.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a thread that reads ahead is below one that answers a guest. */
#define NICE 10

struct slot {
        struct fill_item item;
        enum { FREE, READING, READY, TAKEN } state;
        unsigned long number; /* in the order of reading */
};

struct fill {
        struct fill_options o;
        pthread_mutex_t lock;
        pthread_cond_t freed;
        pthread_t *threads;
        unsigned thread_count;
        struct slot *slots;
        unsigned slot_count;
        bool stop;
        struct err err; /* of the thread that failed first */
        /* What is read next. */
        size_t next_first;
        unsigned next_block;
        uint64_t next_unit;
        unsigned long next_number;
        unsigned busy; /* slots not FREE */
};

static void tell(struct fill *f)
{
        uint64_t one = 1;
        ssize_t n = write(f->o.wake, &one, sizeof one);

        (void)n; /* a counter that is full wakes, too */
}

/* With the lock held: the next unit that is to be read. */
static bool next_unit(struct fill *f, struct fill_item *item)
{
        const struct layout *l = f->o.layout;

        while (f->next_first < f->o.first_count) {
                const struct fill_item *i = &f->o.first[f->next_first++];

                if (!unit_is_stored(l, i->block, i->unit))
                        continue;
                item->block = i->block;
                item->unit = i->unit;
                item->first = true;
                return true;
        }
        while (f->next_block < l->ram->count) {
                if (f->next_unit >= unit_count(l, f->next_block)) {
                        f->next_block++;
                        f->next_unit = 0;
                        continue;
                }
                item->block = f->next_block;
                item->unit = f->next_unit++;
                item->first = false;
                if (unit_is_stored(l, item->block, item->unit) &&
                    !__atomic_load_n(&f->o.done[item->block][item->unit],
                                     __ATOMIC_RELAXED))
                        return true;
        }
        return false;
}

static struct slot *free_slot(struct fill *f)
{
        for (unsigned i = 0; i < f->slot_count; i++)
                if (f->slots[i].state == FREE)
                        return &f->slots[i];
        return NULL;
}

/* The slot to read into; NULL: nothing is left to do. */
static struct slot *begin(struct fill *f)
{
        struct slot *s = NULL;

        pthread_mutex_lock(&f->lock);
        while (!f->stop && !(s = free_slot(f)))
                pthread_cond_wait(&f->freed, &f->lock);
        if (f->stop || !next_unit(f, &s->item)) {
                s = NULL;
        } else {
                s->state = READING;
                s->number = f->next_number++;
                s->item.at = 0;
                f->busy++;
        }
        pthread_mutex_unlock(&f->lock);
        return s;
}

static void end(struct fill *f, struct slot *s, const struct err *err)
{
        pthread_mutex_lock(&f->lock);
        s->state = READY;
        if (err->status != ERR_NONE) {
                if (f->err.status == ERR_NONE)
                        f->err = *err;
                f->stop = true;
        }
        pthread_mutex_unlock(&f->lock);
        tell(f);
}

static void *run(void *arg)
{
        struct fill *f = arg;
        struct place_buffer *b = place_buffer_new();
        struct slot *s;

        setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
        while ((s = begin(f))) {
                struct err err = ERR_INIT;

                if (!b)
                        err_nomem(&err);
                else
                        unit_read(f->o.layout, b, s->item.block, s->item.unit,
                                  s->item.bytes, &err);
                end(f, s, &err);
        }
        place_buffer_free(b);
        tell(f);
        return NULL;
}

static bool start(struct fill *f, struct err *err)
{
        size_t size = unit_largest(f->o.layout);
        sigset_t all, before;
        int rc = 0;

        f->slot_count = f->o.threads + 2;
        f->slots = calloc(f->slot_count, sizeof *f->slots);
        f->threads = calloc(f->o.threads, sizeof *f->threads);
        if (!f->slots || !f->threads)
                return err_nomem(err);
        for (unsigned i = 0; i < f->slot_count; i++) {
                f->slots[i].item.bytes = malloc(size);
                if (!f->slots[i].item.bytes)
                        return err_nomem(err);
        }
        /* Signals are for the main thread. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (rc == 0 && f->thread_count < f->o.threads) {
                rc = pthread_create(&f->threads[f->thread_count], NULL, run, f);
                if (rc == 0)
                        f->thread_count++;
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return rc == 0 || err_os(err, rc, "cannot start a thread");
}

bool fill_start(const struct fill_options *options, struct fill **out,
                struct err *err)
{
        struct fill *f = calloc(1, sizeof *f);

        if (!f)
                return err_nomem(err);
        f->o = *options;
        f->err = (struct err)ERR_INIT;
        pthread_mutex_init(&f->lock, NULL);
        pthread_cond_init(&f->freed, NULL);
        if (!start(f, err)) {
                fill_free(f);
                return false;
        }
        *out = f;
        return true;
}

void fill_free(struct fill *f)
{
        if (!f)
                return;
        pthread_mutex_lock(&f->lock);
        f->stop = true;
        pthread_cond_broadcast(&f->freed);
        pthread_mutex_unlock(&f->lock);
        for (unsigned i = 0; i < f->thread_count; i++)
                pthread_join(f->threads[i], NULL);
        for (unsigned i = 0; f->slots && i < f->slot_count; i++)
                free(f->slots[i].item.bytes);
        pthread_cond_destroy(&f->freed);
        pthread_mutex_destroy(&f->lock);
        free(f->slots);
        free(f->threads);
        free(f);
}

/* Of the units that are ready, the one that was begun first. */
static struct slot *oldest(struct fill *f)
{
        struct slot *best = NULL;

        for (unsigned i = 0; i < f->slot_count; i++) {
                struct slot *s = &f->slots[i];

                if (s->state == READY && (!best || s->number < best->number))
                        best = s;
        }
        return best;
}

/* With the lock held. */
static bool is_at_end(const struct fill *f)
{
        return f->busy == 0 && f->next_first >= f->o.first_count &&
               f->next_block >= f->o.layout->ram->count;
}

bool fill_take(struct fill *f, struct fill_item **out, bool *ended_out,
               struct err *err)
{
        struct slot *s;
        bool ok = true;

        *out = NULL;
        pthread_mutex_lock(&f->lock);
        *ended_out = false;
        if (f->err.status != ERR_NONE) {
                *err = f->err;
                ok = false;
        } else if ((s = oldest(f))) {
                s->state = TAKEN;
                *out = &s->item;
        } else {
                *ended_out = is_at_end(f);
        }
        pthread_mutex_unlock(&f->lock);
        return ok;
}

void fill_done(struct fill *f, struct fill_item *item)
{
        struct slot *s = (struct slot *)item;

        pthread_mutex_lock(&f->lock);
        s->state = FREE;
        f->busy--;
        pthread_cond_signal(&f->freed);
        pthread_mutex_unlock(&f->lock);
}
