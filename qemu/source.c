/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/source.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/progress.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define IDLE_MS 50
/* One read stays in a core's own cache until its pages have been copied on. */
#define READ_MAX    (256 * KiB)
#define COMPACT_MAX (64 * KiB)

struct source {
        int fd;
        const char *name;
        source_idle *idle;
        void *arg;
        source_waiter *waiter; /* NULL: poll */
        void *waiter_arg;
        source_copy *copy; /* NULL: nobody wants one */
        void *copy_arg;
        size_t told; /* bytes[told..begin) is still to be told */
        bool ended;
        size_t begin, end; /* the view in bytes */
        uint64_t offset;   /* of bytes[begin]   */
        uint8_t bytes[SOURCE_VIEW_MAX];
};

bool source_new(int fd, const char *name, source_idle *idle, void *arg,
                struct source **out, struct err *err)
{
        struct source *s = malloc(sizeof *s);

        if (!s)
                return err_nomem(err);
        s->fd = fd;
        s->name = name;
        s->idle = idle;
        s->arg = arg;
        s->waiter = NULL;
        s->copy = NULL;
        s->ended = false;
        s->begin = s->end = 0;
        s->offset = 0;
        *out = s;
        return true;
}

void source_free(struct source *s)
{
        free(s);
}

uint64_t source_offset(const struct source *s)
{
        return s->offset;
}

bool source_wait(struct source *s, int ms, bool *came_out, struct err *err)
{
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        int n;

        *came_out = false;
        if (s->waiter)
                return s->waiter(s->waiter_arg, s->fd, ms, came_out, err);
        if (progress_cancelled(err))
                return false;
        n = poll(&p, 1, ms);
        if (n < 0 && errno != EINTR)
                return err_os(err, errno, "%s: poll", s->name);
        *came_out = n > 0;
        return !progress_cancelled(err);
}

bool source_ready(struct source *s)
{
        struct pollfd p = {.fd = s->fd, .events = POLLIN};

        return s->ended || poll(&p, 1, 0) > 0;
}

void source_wait_with(struct source *s, source_waiter *waiter, void *arg)
{
        s->waiter = waiter;
        s->waiter_arg = arg;
}

void source_copy_to(struct source *s, source_copy *copy, void *arg)
{
        s->copy = copy;
        s->copy_arg = arg;
        s->told = s->begin;
}

static bool tell(struct source *s, struct err *err)
{
        if (s->copy && s->told < s->begin)
                TRY(s->copy(s->copy_arg, s->bytes + s->told, s->begin - s->told,
                            err));
        s->told = s->begin;
        return true;
}

bool source_copy_end(struct source *s, struct err *err)
{
        TRY(tell(s, err));
        s->copy = NULL;
        return true;
}

/* To the front, where the cache is warm: little is left when more is wanted. */
static void compact(struct source *s)
{
        memmove(s->bytes, s->bytes + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = s->told = 0;
}

/* One read into the buffer's free end, after waiting for it. */
static bool fill(struct source *s, struct err *err)
{
        bool came = false;
        size_t len, room;

        TRY(tell(s, err));
        while (!came) {
                TRY(source_wait(s, IDLE_MS, &came, err));
                if (!came && s->idle)
                        TRY(s->idle(s->arg, err));
        }
        if (s->begin > 0 && s->end - s->begin < COMPACT_MAX)
                compact(s);
        room = sizeof s->bytes - s->end;
        TRY(io_read_some(s->fd, s->bytes + s->end,
                         room < READ_MAX ? room : READ_MAX, &len, s->name,
                         err));
        s->ended = len == 0;
        s->end += len;
        return true;
}

bool source_need(struct source *s, size_t n, const uint8_t **view_out,
                 size_t *len_out, struct err *err)
{
        assert(n <= sizeof s->bytes);
        if (n > sizeof s->bytes - s->begin) {
                TRY(tell(s, err));
                compact(s);
        }
        while (s->end - s->begin < n) {
                if (!s->ended)
                        TRY(fill(s, err));
                if (s->ended && s->end - s->begin < n) {
                        err_in_file(err, s->name);
                        err_at(err, s->offset + (s->end - s->begin));
                        return err_set(err, ERR_TRUNCATED,
                                       "the migration stream ends here, in "
                                       "the middle");
                }
        }
        *view_out = s->bytes + s->begin;
        *len_out = s->end - s->begin;
        return true;
}

void source_take(struct source *s, size_t n)
{
        assert(n <= s->end - s->begin);
        s->begin += n;
        s->offset += n;
        if (s->begin == s->end && !s->copy)
                s->begin = s->end = 0;
}

bool source_some(struct source *s, const uint8_t **view_out, size_t *len_out,
                 struct err *err)
{
        if (s->begin == s->end && !s->ended)
                TRY(fill(s, err));
        *view_out = s->bytes + s->begin;
        *len_out = s->end - s->begin;
        return true;
}
