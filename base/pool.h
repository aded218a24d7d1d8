/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool: an ordered, bounded pipeline.  Workers transform, the caller does all
 * I/O: what was submitted first comes out first, whatever the workers do.
 *
 *      borrow a job, fill it, submit it ... next: results in that order
 *
 * A fixed set of jobs (made once, threads + 4) is both the memory bound
 * and the back-pressure: borrow returns NULL when all are out, which means
 * "collect one with next first".  threads == 0 is the serial twin: submit
 * does the work itself; the results are the same, byte for byte.
 *
 * borrow, submit, next, done: from one thread.  A job between submit and next
 * belongs to a worker; at any other time it belongs to the caller.
 */
#ifndef STASIS_BASE_POOL_H
#define STASIS_BASE_POOL_H

#include "base/err.h"

struct pool;

struct pool_ops {
        /* Makes the private part of a job, or of a worker; NULL: no memory. */
        void *(*job_new)(void *arg);
        void (*job_free)(void *job);
        void *(*worker_new)(void *arg);
        void (*worker_free)(void *worker);
        /* Runs in a worker thread; touches nothing but these two. */
        bool (*work)(void *worker, void *job, struct err *err);
};

bool pool_new(const struct pool_ops *ops, void *arg, unsigned threads,
              struct pool **out, struct err *err);
/* Waits for workers in flight, frees all jobs. NULL is fine. */
void pool_free(struct pool *p);

void *pool_borrow(struct pool *p);
void pool_submit(struct pool *p, void *job);
/* The oldest submitted job, waiting for it; *job_out = NULL when none is out.
 * A job whose work failed is handed out too, with false and its error: it must
 * be given back as well. */
bool pool_next(struct pool *p, void **job_out, struct err *err);
/* Gives a job that came from borrow or next back. */
void pool_done(struct pool *p, void *job);
/* Jobs submitted and not collected yet. */
unsigned pool_pending(const struct pool *p);

/* CPUs that this process may use (sched_getaffinity, cgroup cpu.max), at most
 * 12. */
unsigned pool_default_threads(void);

#endif
