/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define THREADS 3
#define JOBS    200

/* What all jobs, workers and the test share. */
struct shared {
        int jobs, workers; /* alive; only the test's thread counts jobs  */
        int jobs_to_make;  /* then job_new fails                         */
        bool no_worker;    /* worker_new fails                           */
};

struct job {
        struct shared *shared;
        unsigned in, out;
        unsigned fail_at; /* work fails when in has this value; 0: never     */
};

static void *job_new(void *arg)
{
        struct shared *s = arg;
        struct job *j;

        if (s->jobs_to_make-- == 0)
                return NULL;
        j = calloc(1, sizeof *j);
        if (j) {
                j->shared = s;
                s->jobs++;
        }
        return j;
}

static void job_free(void *job)
{
        struct job *j = job;

        j->shared->jobs--;
        free(j);
}

static void *worker_new(void *arg)
{
        struct shared *s = arg;

        if (s->no_worker)
                return NULL;
        __atomic_add_fetch(&s->workers, 1, __ATOMIC_RELAXED);
        return s;
}

static void worker_free(void *worker)
{
        struct shared *s = worker;

        if (s)
                __atomic_sub_fetch(&s->workers, 1, __ATOMIC_RELAXED);
}

/* The earlier a job was submitted, the longer it takes: with several workers
 * they finish in reverse. */
static bool work(void *worker, void *job, struct err *err)
{
        struct job *j = job;
        struct timespec t = {.tv_nsec = (long)(4 - j->in % 4) * 200000};

        assert_ptr_equal(worker, j->shared);
        nanosleep(&t, NULL);
        if (j->fail_at && j->in == j->fail_at)
                return err_set(err, ERR_CORRUPT, "job %u", j->in);
        j->out = j->in * 7;
        return true;
}

static const struct pool_ops ops = {
        .job_new = job_new,
        .job_free = job_free,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .work = work,
};

static struct pool *make(struct shared *s, unsigned threads)
{
        struct err err = ERR_INIT;
        struct pool *p;

        *s = (struct shared){.jobs_to_make = 1000};
        assert_true(pool_new(&ops, s, threads, &p, &err));
        return p;
}

static void collect(struct pool *p, unsigned expected)
{
        struct err err = ERR_INIT;
        struct job *j;
        void *job;

        assert_true(pool_next(p, &job, &err));
        j = job;
        assert_non_null(j);
        assert_int_equal(j->in, expected);
        assert_int_equal(j->out, expected * 7);
        pool_done(p, j);
}

static void results_come_in_submission_order(unsigned threads)
{
        struct shared s;
        struct pool *p = make(&s, threads);
        unsigned next = 1;

        for (unsigned i = 1; i <= JOBS; i++) {
                struct job *j;

                while ((j = pool_borrow(p)) == NULL)
                        collect(p, next++);
                j->in = i;
                pool_submit(p, j);
        }
        while (pool_pending(p) > 0)
                collect(p, next++);
        assert_int_equal(next, JOBS + 1);
        pool_free(p);
        assert_int_equal(s.jobs, 0);
        assert_int_equal(s.workers, 0);
}

static void serial_results_come_in_submission_order(void **state)
{
        (void)state;
        results_come_in_submission_order(0);
}

static void threaded_results_come_in_submission_order(void **state)
{
        (void)state;
        results_come_in_submission_order(1);
        results_come_in_submission_order(THREADS);
}

static void jobs_are_a_fixed_set(unsigned threads)
{
        struct shared s;
        struct pool *p = make(&s, threads);
        struct err err = ERR_INIT;
        void *job, *first = pool_borrow(p);
        int count = 1;

        while (pool_borrow(p))
                count++;
        assert_int_equal(count, threads + 4);
        assert_int_equal(s.jobs, count);
        /* Given back unsubmitted, a job can be had again. */
        pool_done(p, first);
        assert_ptr_equal(pool_borrow(p), first);
        /* What next handed out is not free before done. */
        pool_submit(p, first);
        assert_true(pool_next(p, &job, &err));
        assert_ptr_equal(job, first);
        assert_null(pool_borrow(p));
        pool_done(p, first);
        assert_ptr_equal(pool_borrow(p), first);
        pool_free(p);
        assert_int_equal(s.jobs, 0);
}

static void jobs_are_a_fixed_set_at_any_thread_count(void **state)
{
        (void)state;
        jobs_are_a_fixed_set(0);
        jobs_are_a_fixed_set(THREADS);
}

static void an_empty_pool_hands_out_nothing(void **state)
{
        struct shared s;
        struct pool *p = make(&s, THREADS);
        struct err err = ERR_INIT;
        void *job = &s;

        (void)state;
        assert_true(pool_next(p, &job, &err));
        assert_null(job);
        assert_int_equal(err.status, ERR_NONE);
        pool_free(p);
}

static void a_failed_job_is_handed_out_in_its_place(unsigned threads)
{
        struct shared s;
        struct pool *p = make(&s, threads);
        struct err err = ERR_INIT;
        struct job *j[2];
        void *job;

        for (unsigned i = 0; i < 2; i++) {
                j[i] = pool_borrow(p);
                j[i]->in = i + 1;
                j[i]->fail_at = 2;
                pool_submit(p, j[i]);
        }
        collect(p, 1);
        assert_false(pool_next(p, &job, &err));
        assert_ptr_equal(job, j[1]);
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_string_equal(err.why, "job 2");
        pool_done(p, job);
        /* The pool is as good as before. */
        j[0] = pool_borrow(p);
        j[0]->in = 3;
        pool_submit(p, j[0]);
        collect(p, 3);
        pool_free(p);
}

static void failed_jobs_are_handed_out_at_any_thread_count(void **state)
{
        (void)state;
        a_failed_job_is_handed_out_in_its_place(0);
        a_failed_job_is_handed_out_in_its_place(THREADS);
}

static void an_earlier_error_is_kept(void **state)
{
        struct shared s;
        struct pool *p = make(&s, THREADS);
        struct err err = ERR_INIT;
        struct job *j = pool_borrow(p);
        void *job;

        (void)state;
        j->in = j->fail_at = 5;
        pool_submit(p, j);
        err_set(&err, ERR_IO, "first");
        assert_false(pool_next(p, &job, &err));
        assert_string_equal(err.why, "first");
        pool_free(p);
}

/* Ends with work in flight, and waiting: an engine that failed elsewhere. */
static void free_waits_for_workers(void **state)
{
        struct shared s;
        struct pool *p = make(&s, THREADS);
        struct job *j;
        unsigned i = 1;

        (void)state;
        while ((j = pool_borrow(p)) != NULL) {
                j->in = i++;
                pool_submit(p, j);
        }
        pool_free(p);
        assert_int_equal(s.jobs, 0);
        assert_int_equal(s.workers, 0);
}

static void want_of_memory_is_an_error(void **state)
{
        struct shared s;
        struct err err = ERR_INIT;
        struct pool *p;
        struct job *j;
        void *job;

        (void)state;
        s = (struct shared){.jobs_to_make = 3};
        assert_false(pool_new(&ops, &s, THREADS, &p, &err));
        assert_int_equal(err.status, ERR_NOMEM);
        assert_int_equal(s.jobs, 0);

        err_clear(&err);
        s = (struct shared){.jobs_to_make = 100, .no_worker = true};
        assert_false(pool_new(&ops, &s, 0, &p, &err));
        assert_int_equal(err.status, ERR_NOMEM);

        /* A worker makes its part in its own thread: told with its job. */
        err_clear(&err);
        s = (struct shared){.jobs_to_make = 100, .no_worker = true};
        assert_true(pool_new(&ops, &s, 1, &p, &err));
        j = pool_borrow(p);
        pool_submit(p, j);
        assert_false(pool_next(p, &job, &err));
        assert_int_equal(err.status, ERR_NOMEM);
        pool_free(p);
}

static void there_is_at_least_one_cpu(void **state)
{
        (void)state;
        assert_in_range(pool_default_threads(), 1, 65536);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(serial_results_come_in_submission_order),
                cmocka_unit_test(threaded_results_come_in_submission_order),
                cmocka_unit_test(jobs_are_a_fixed_set_at_any_thread_count),
                cmocka_unit_test(an_empty_pool_hands_out_nothing),
                cmocka_unit_test(
                        failed_jobs_are_handed_out_at_any_thread_count),
                cmocka_unit_test(an_earlier_error_is_kept),
                cmocka_unit_test(free_waits_for_workers),
                cmocka_unit_test(want_of_memory_is_an_error),
                cmocka_unit_test(there_is_at_least_one_cpu),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
