/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * err: the one way in which anything fails.
 *
 * A function that can fail returns bool (true = done) and takes a
 * struct err * last, never NULL.  The first failure wins: callers may add
 * what they were doing, never rewrite why.  The struct is of fixed size and
 * lives on the caller's stack, so that it works when memory is gone, needs
 * no free and can be copied between threads.  Nothing below cmd/ prints.
 */
#ifndef STASIS_BASE_ERR_H
#define STASIS_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The status says what the user should do next. */
enum status {
        ERR_NONE = 0,
        ERR_IO,          /* the system, a peer or QEMU failed: exit 1         */
        ERR_NOMEM,       /* exit 1                                            */
        ERR_CANCELLED,   /* Ctrl-C, SIGTERM: exit 1                           */
        ERR_QEMU,        /* QEMU refused or failed: exit 1                    */
        ERR_USAGE,       /* exit 2                                            */
        ERR_TRUNCATED,   /* input ends early; find another copy: exit 3       */
        ERR_CORRUPT,     /* input is damaged; find another copy: exit 3       */
        ERR_UNSUPPORTED, /* sound, but needs something we lack: exit 4        */
        ERR_LIMIT,       /* sound, but above a stated limit: exit 4           */
        ERR_MISMATCH,    /* sound, but does not fit the target: exit 4        */
};

#define NO_OFFSET UINT64_MAX

struct err {
        enum status status;
        int os;            /* errno at the point of failure, or 0            */
        uint64_t offset;   /* absolute offset in file, or NO_OFFSET          */
        char file[256];    /* which file: the snapshot, an image, a socket   */
        char doing[96];    /* outermost step: "loading section 'timer'"      */
        char section[320]; /* member, section or structure, escaped          */
        char field[64];    /* field within it                                */
        char why[512];     /* what was found, what was expected, what to do  */
};

#define ERR_INIT                                                               \
        {                                                                      \
                .offset = NO_OFFSET                                            \
        }

#define TRY(call)                                                              \
        do {                                                                   \
                if (!(call))                                                   \
                        return false;                                          \
        } while (0)

/* All of these return false, so that `return err_set(...)` reads well.
 * They do nothing to an err that already holds a failure. */
bool err_set(struct err *err, enum status status, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
bool err_setv(struct err *err, enum status status, const char *fmt, va_list ap)
        __attribute__((format(printf, 3, 0)));
/* ERR_IO with strerror(os) appended; os is usually errno. */
bool err_os(struct err *err, int os, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
bool err_nomem(struct err *err);

/* Where it happened; each keeps what is already there.  Text that came from
 * a file must be escaped by the caller (base/text.h). Always return false. */
bool err_in_file(struct err *err, const char *file);
bool err_in_section(struct err *err, const char *section);
bool err_at(struct err *err, uint64_t offset);
bool err_doing(struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

void err_clear(struct err *err);

/* One line without newline: "FILE: DOING: SECTION at 0xOFF: FIELD: WHY".
 * Returns buf. */
const char *err_line(const struct err *err, char *buf, size_t size);

/* The exit code that design and man page promise for a status. */
int err_exit_code(const struct err *err);

/* The stable word for scripts: "io", "corrupt", "mismatch", ... */
const char *err_status_name(enum status status);

#endif
