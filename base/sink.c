/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Invariant of a file that is written directly: blocks are filled in a ring,
 * [head, tail) are full and belong to the thread, oldest first; the block at
 * tail is the caller's and begins at a multiple of BLOCK_SIZE in the file.
 * head, failed and refused are under the lock; tail is changed by the caller
 * alone.
 */
#include "base/sink.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Direct writes want memory, place and length in whole sectors of 4096. */
#define SECTOR     4096
#define BLOCK_SIZE (2 * MiB)
#define BLOCKS     4
/* Writes through the page cache that are smaller are put together. */
#define GATHER_MAX (128 * KiB)
/* Through the page cache: sent on their way to the disk in steps of this. */
#define WRITEBACK_STEP (32 * MiB)
/* How long a caller may wait for the disk before the page cache takes over, in
 * all and for each byte: about what copies into the page cache would cost. */
#define PATIENCE_NS          100e6
#define PATIENCE_NS_PER_BYTE 0.5

struct sink {
        int fd;
        int direct; /* the same file, past the page cache; -1: through it    */
        const char *name;
        bool is_file;
        uint64_t size;
        uint64_t written_back;
        uint8_t *ring;  /* BLOCKS * BLOCK_SIZE                                */
        uint64_t begin; /* where in the file the block at tail begins         */
        size_t filled;  /* bytes in it                                        */
        double waited;  /* for the disk, ns                                   */
        unsigned head, tail;
        bool started, stop;
        bool refused; /* the file system will not have direct writes         */
        bool leave;   /* the caller's: go on through the page cache          */
        struct err failed;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t work, done;
};

static uint8_t *block(const struct sink *s, unsigned i)
{
        return s->ring + (size_t)(i % BLOCKS) * BLOCK_SIZE;
}

/* Full blocks lie one behind the other, the last of them before begin. */
static uint64_t block_place(const struct sink *s, unsigned i)
{
        return s->begin - (uint64_t)(s->tail - i) * BLOCK_SIZE;
}

static bool write_direct(struct sink *s, const uint8_t *bytes, uint64_t at,
                         bool *refused_out, struct err *err)
{
        if (io_pwrite_all(s->direct, bytes, BLOCK_SIZE, at, s->name, err))
                return true;
        if (err->os != EINVAL && err->os != EOPNOTSUPP)
                return false;
        err_clear(err);
        *refused_out = true;
        return io_pwrite_all(s->fd, bytes, BLOCK_SIZE, at, s->name, err);
}

static void *write_blocks(void *arg)
{
        struct sink *s = arg;

        pthread_mutex_lock(&s->lock);
        for (;;) {
                struct err err = ERR_INIT;
                bool ok, refused = false;
                const uint8_t *bytes;
                uint64_t at;

                while (!s->stop && s->head == s->tail)
                        pthread_cond_wait(&s->work, &s->lock);
                if (s->head == s->tail)
                        break;
                bytes = block(s, s->head);
                at = block_place(s, s->head);
                pthread_mutex_unlock(&s->lock);
                ok = write_direct(s, bytes, at, &refused, &err);
                pthread_mutex_lock(&s->lock);
                if (!ok && s->failed.status == ERR_NONE)
                        s->failed = err;
                s->refused |= refused;
                s->head++;
                pthread_cond_signal(&s->done);
        }
        pthread_mutex_unlock(&s->lock);
        return NULL;
}

static void end_thread(struct sink *s)
{
        if (!s->started)
                return;
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        s->started = false;
}

static void start_direct(struct sink *s)
{
        struct err ignored = ERR_INIT;

        if (!io_reopen_direct(s->fd, &s->direct, &ignored))
                return;
        if (pthread_create(&s->thread, NULL, write_blocks, s) == 0)
                s->started = true;
        else
                close(steal_fd(&s->direct));
}

bool sink_new(int fd, const char *name, struct sink **out, struct err *err)
{
        struct sink *s = calloc(1, sizeof *s);
        struct stat st;

        if (!s)
                return err_nomem(err);
        s->fd = fd;
        s->direct = -1;
        s->name = name;
        s->failed = (struct err)ERR_INIT;
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->work, NULL);
        pthread_cond_init(&s->done, NULL);
        s->ring = aligned_alloc(SECTOR, (size_t)BLOCKS * BLOCK_SIZE);
        if (!s->ring) {
                sink_free(s);
                return err_nomem(err);
        }
        /* Standard output sent to a file is write-only, and may be somewhere
         * in the middle: written like a pipe. */
        s->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                     (fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND)) == O_RDWR &&
                     lseek(fd, 0, SEEK_CUR) == 0;
        if (s->is_file)
                start_direct(s);
        *out = s;
        return true;
}

void sink_free(struct sink *s)
{
        if (!s)
                return;
        end_thread(s);
        if (s->direct >= 0)
                close(s->direct);
        pthread_cond_destroy(&s->done);
        pthread_cond_destroy(&s->work);
        pthread_mutex_destroy(&s->lock);
        free(s->ring);
        free(s);
}

bool sink_is_file(const struct sink *s)
{
        return s->is_file;
}

uint64_t sink_size(const struct sink *s)
{
        return s->size;
}

static double now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double patience(const struct sink *s)
{
        return PATIENCE_NS + PATIENCE_NS_PER_BYTE * (double)s->size;
}

/* Until at most `left` full blocks are with the thread. */
static bool wait_for_blocks(struct sink *s, unsigned left, struct err *err)
{
        double began;

        pthread_mutex_lock(&s->lock);
        began = s->tail - s->head > left ? now_ns() : 0;
        while (s->tail - s->head > left)
                pthread_cond_wait(&s->done, &s->lock);
        if (began > 0)
                s->waited += now_ns() - began;
        s->leave = s->refused || s->waited > patience(s);
        if (s->failed.status != ERR_NONE)
                *err = s->failed;
        pthread_mutex_unlock(&s->lock);
        return err->status == ERR_NONE;
}

/* Through the page cache, or into the pipe. */
static bool write_plain(struct sink *s, const uint8_t *bytes, size_t len,
                        struct err *err)
{
        uint64_t end = s->begin + len;

        if (!s->is_file)
                TRY(io_write_all(s->fd, bytes, len, s->name, err));
        else
                TRY(io_pwrite_all(s->fd, bytes, len, s->begin, s->name, err));
        if (s->is_file && end - s->written_back >= WRITEBACK_STEP) {
                io_start_writeback(s->fd, s->written_back,
                                   end - s->written_back);
                s->written_back = end;
        }
        s->begin = end;
        return true;
}

/* The page cache takes the rest: no block is with the thread any more. */
static bool leave_direct(struct sink *s, struct err *err)
{
        TRY(wait_for_blocks(s, 0, err));
        end_thread(s);
        close(steal_fd(&s->direct));
        s->written_back = s->begin;
        return true;
}

/* The caller's block is full. */
static bool pass_block(struct sink *s, struct err *err)
{
        pthread_mutex_lock(&s->lock);
        s->tail++;
        s->begin += BLOCK_SIZE;
        pthread_cond_signal(&s->work);
        pthread_mutex_unlock(&s->lock);
        s->filled = 0;
        TRY(wait_for_blocks(s, BLOCKS - 1, err));
        return !s->leave || leave_direct(s, err);
}

static bool flush_filled(struct sink *s, struct err *err)
{
        size_t len = s->filled;

        s->filled = 0;
        return len == 0 || write_plain(s, s->ring, len, err);
}

/* Small ones are gathered, large ones go from where they are. */
static bool write_gathered(struct sink *s, const uint8_t *bytes, size_t len,
                           struct err *err)
{
        if (len > BLOCK_SIZE - s->filled || len >= GATHER_MAX)
                TRY(flush_filled(s, err));
        if (len >= GATHER_MAX)
                return write_plain(s, bytes, len, err);
        memcpy(s->ring + s->filled, bytes, len);
        s->filled += len;
        return true;
}

bool sink_write(struct sink *s, const void *bytes, size_t len, struct err *err)
{
        const uint8_t *p = bytes;

        s->size += len;
        while (s->direct >= 0 && len > 0) {
                size_t now = BLOCK_SIZE - s->filled;

                if (now > len)
                        now = len;
                memcpy(block(s, s->tail) + s->filled, p, now);
                s->filled += now;
                p += now;
                len -= now;
                if (s->filled == BLOCK_SIZE)
                        TRY(pass_block(s, err));
        }
        return len == 0 || write_gathered(s, p, len, err);
}

bool sink_flush(struct sink *s, struct err *err)
{
        if (s->direct < 0)
                return flush_filled(s, err);
        /* The block stays, to be written whole and directly when it is full. */
        TRY(wait_for_blocks(s, 0, err));
        return s->filled == 0 ||
               io_pwrite_all(s->fd, block(s, s->tail), s->filled, s->begin,
                             s->name, err);
}

bool sink_read(struct sink *s, void *bytes, size_t len, uint64_t offset,
               struct err *err)
{
        uint64_t there;

        pthread_mutex_lock(&s->lock);
        there = block_place(s, s->head);
        pthread_mutex_unlock(&s->lock);
        if (offset + len > there)
                TRY(sink_flush(s, err));
        return io_pread_all(s->fd, bytes, len, offset, s->name, err);
}
