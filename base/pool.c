/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/pool.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By default no more threads than this: they outrun QEMU, which sends less than
 * 3 GiB/s, by far, and each takes 3 MiB. */
#define DEFAULT_MAX 12
/* Jobs beyond the threads: in the caller's hands, or done and waiting for an
 * older one. */
#define SPARE 4

struct slot {
        void *job;
        bool free;      /* caller only                                       */
        bool finished;  /* under lock                                        */
        bool ok;        /* set by the worker before finished                 */
        struct err err; /* the same                                          */
};

struct pool {
        struct pool_ops ops;
        void *arg;
        unsigned threads;
        pthread_t *workers;
        unsigned started;
        struct slot *slots;
        unsigned slot_count;
        /* A ring of submitted slots: [head, todo) a worker has or had,
         * [todo, tail) wait for one.  head: caller only; the rest under lock.
         */
        unsigned *ring;
        unsigned head, todo, tail;
        bool stop;
        void *serial_worker;
        pthread_mutex_t lock;
        pthread_cond_t work, done;
};

static struct slot *ring_slot(struct pool *p, unsigned i)
{
        return &p->slots[p->ring[i % p->slot_count]];
}

static void run_slot(struct pool *p, void *worker, struct slot *s)
{
        s->err = (struct err)ERR_INIT;
        s->ok = p->ops.work(worker, s->job, &s->err);
}

static void *worker_main(void *arg)
{
        struct pool *p = arg;
        void *worker = p->ops.worker_new(p->arg);

        pthread_mutex_lock(&p->lock);
        for (;;) {
                struct slot *s;

                while (!p->stop && p->todo == p->tail)
                        pthread_cond_wait(&p->work, &p->lock);
                if (p->stop)
                        break;
                s = ring_slot(p, p->todo++);
                pthread_mutex_unlock(&p->lock);
                if (worker) {
                        run_slot(p, worker, s);
                } else {
                        s->err = (struct err)ERR_INIT;
                        s->ok = err_nomem(&s->err);
                }
                pthread_mutex_lock(&p->lock);
                s->finished = true;
                pthread_cond_signal(&p->done);
        }
        pthread_mutex_unlock(&p->lock);
        p->ops.worker_free(worker);
        return NULL;
}

static bool start(struct pool *p, struct err *err)
{
        p->slots = calloc(p->slot_count, sizeof *p->slots);
        p->ring = calloc(p->slot_count, sizeof *p->ring);
        p->workers = calloc(p->threads + 1, sizeof *p->workers);
        if (!p->slots || !p->ring || !p->workers)
                return err_nomem(err);
        for (unsigned i = 0; i < p->slot_count; i++) {
                p->slots[i].free = true;
                p->slots[i].job = p->ops.job_new(p->arg);
                if (!p->slots[i].job)
                        return err_nomem(err);
        }
        if (p->threads == 0) {
                p->serial_worker = p->ops.worker_new(p->arg);
                return p->serial_worker || err_nomem(err);
        }
        for (; p->started < p->threads; p->started++) {
                int rc = pthread_create(&p->workers[p->started], NULL,
                                        worker_main, p);

                if (rc != 0)
                        return err_os(err, rc, "cannot start a thread");
        }
        return true;
}

bool pool_new(const struct pool_ops *ops, void *arg, unsigned threads,
              struct pool **out, struct err *err)
{
        struct pool *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        p->ops = *ops;
        p->arg = arg;
        p->threads = threads;
        p->slot_count = threads + SPARE;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->work, NULL);
        pthread_cond_init(&p->done, NULL);
        if (!start(p, err)) {
                pool_free(p);
                return false;
        }
        *out = p;
        return true;
}

void pool_free(struct pool *p)
{
        if (!p)
                return;
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
        for (unsigned i = 0; i < p->started; i++)
                pthread_join(p->workers[i], NULL);
        for (unsigned i = 0; p->slots && i < p->slot_count; i++)
                if (p->slots[i].job)
                        p->ops.job_free(p->slots[i].job);
        if (p->serial_worker)
                p->ops.worker_free(p->serial_worker);
        pthread_cond_destroy(&p->done);
        pthread_cond_destroy(&p->work);
        pthread_mutex_destroy(&p->lock);
        free(p->slots);
        free(p->ring);
        free(p->workers);
        free(p);
}

void *pool_borrow(struct pool *p)
{
        for (unsigned i = 0; i < p->slot_count; i++) {
                if (p->slots[i].free) {
                        p->slots[i].free = false;
                        return p->slots[i].job;
                }
        }
        return NULL;
}

static unsigned slot_of(const struct pool *p, const void *job)
{
        unsigned i = 0;

        while (i < p->slot_count && p->slots[i].job != job)
                i++;
        assert(i < p->slot_count && !p->slots[i].free);
        return i;
}

void pool_submit(struct pool *p, void *job)
{
        unsigned i = slot_of(p, job);
        struct slot *s = &p->slots[i];

        s->finished = false;
        if (p->threads == 0) {
                run_slot(p, p->serial_worker, s);
                s->finished = true;
                p->ring[p->tail++ % p->slot_count] = i;
                p->todo = p->tail;
                return;
        }
        pthread_mutex_lock(&p->lock);
        p->ring[p->tail % p->slot_count] = i;
        p->tail++;
        pthread_cond_signal(&p->work);
        pthread_mutex_unlock(&p->lock);
}

bool pool_next(struct pool *p, void **job_out, struct err *err)
{
        struct slot *s;

        *job_out = NULL;
        if (pool_pending(p) == 0)
                return true;
        s = ring_slot(p, p->head);
        if (p->threads > 0) {
                pthread_mutex_lock(&p->lock);
                while (!s->finished)
                        pthread_cond_wait(&p->done, &p->lock);
                pthread_mutex_unlock(&p->lock);
        }
        p->head++;
        *job_out = s->job;
        if (!s->ok && err->status == ERR_NONE)
                *err = s->err;
        return s->ok;
}

void pool_done(struct pool *p, void *job)
{
        p->slots[slot_of(p, job)].free = true;
}

/* tail is written by this thread alone. */
unsigned pool_pending(const struct pool *p)
{
        return p->tail - p->head;
}

/* A group's quota, in whole CPUs; 0: none. */
static unsigned group_cpus(const char *group)
{
        unsigned long quota = 0, period = 0;
        char path[PATH_MAX + 64];
        FILE *f;

        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        f = fopen(path, "re");
        if (!f)
                return 0;
        if (fscanf(f, "%lu %lu", &quota, &period) != 2 || period == 0)
                quota = 0;
        fclose(f);
        return period ? (unsigned)((quota + period - 1) / period) : 0;
}

/* The least that cgroup v2 allows to our group and to those above it. */
static unsigned cgroup_cpus(void)
{
        char group[PATH_MAX] = "";
        FILE *f = fopen("/proc/self/cgroup", "re");
        unsigned least = 0, n;
        char *slash;

        while (f && fgets(group, sizeof group, f))
                if (strncmp(group, "0::/", 4) == 0)
                        break;
        if (f)
                fclose(f);
        if (strncmp(group, "0::/", 4) != 0)
                return 0;
        memmove(group, group + 3, strlen(group + 3) + 1);
        group[strcspn(group, "\n")] = '\0';
        do {
                n = group_cpus(group);
                if (n > 0 && (least == 0 || n < least))
                        least = n;
                slash = strrchr(group, '/');
                if (slash)
                        *slash = '\0';
        } while (slash);
        return least;
}

unsigned pool_default_threads(void)
{
        unsigned n = 1, quota = cgroup_cpus();
        cpu_set_t set;

        if (sched_getaffinity(0, sizeof set, &set) == 0)
                n = (unsigned)CPU_COUNT(&set);
        if (quota > 0 && quota < n)
                n = quota;
        if (n > DEFAULT_MAX)
                n = DEFAULT_MAX;
        return n > 0 ? n : 1;
}
