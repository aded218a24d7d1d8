/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scope-bound release, and the success path that takes a value out of it. */
#ifndef STASIS_BASE_CLEANUP_H
#define STASIS_BASE_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *p)
{
        free(*(void **)p);
}

static inline void cleanup_fd_(int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        *fd = -1;
        errno = saved;
}

#define CLEANUP(fn)  __attribute__((cleanup(fn)))
#define CLEANUP_FREE CLEANUP(cleanup_free_)
#define CLEANUP_FD   CLEANUP(cleanup_fd_)

/* The pointer's value; the variable becomes NULL and owns nothing. */
#define steal(var)                                                             \
        ({                                                                     \
                __typeof__(var) stolen_ = (var);                               \
                (var) = NULL;                                                  \
                stolen_;                                                       \
        })

static inline int steal_fd(int *fd)
{
        int stolen = *fd;

        *fd = -1;
        return stolen;
}

#endif
