/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void copy_text(char *to, size_t size, const char *from)
{
        snprintf(to, size, "%s", from);
}

bool err_setv(struct err *err, enum status status, const char *fmt, va_list ap)
{
        if (err->status != ERR_NONE)
                return false;
        err->status = status;
        vsnprintf(err->why, sizeof err->why, fmt, ap);
        return false;
}

bool err_set(struct err *err, enum status status, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        err_setv(err, status, fmt, ap);
        va_end(ap);
        return false;
}

bool err_os(struct err *err, int os, const char *fmt, ...)
{
        va_list ap;
        size_t len;

        if (err->status != ERR_NONE)
                return false;
        va_start(ap, fmt);
        err_setv(err, ERR_IO, fmt, ap);
        va_end(ap);
        err->os = os;
        len = strlen(err->why);
        snprintf(err->why + len, sizeof err->why - len, ": %s", strerror(os));
        return false;
}

bool err_nomem(struct err *err)
{
        return err_set(err, ERR_NOMEM, "out of memory");
}

bool err_in_file(struct err *err, const char *file)
{
        if (!err->file[0])
                copy_text(err->file, sizeof err->file, file);
        return false;
}

bool err_in_section(struct err *err, const char *section)
{
        if (!err->section[0])
                copy_text(err->section, sizeof err->section, section);
        return false;
}

bool err_at(struct err *err, uint64_t offset)
{
        if (err->offset == NO_OFFSET)
                err->offset = offset;
        return false;
}

bool err_doing(struct err *err, const char *fmt, ...)
{
        va_list ap;

        if (err->doing[0])
                return false;
        va_start(ap, fmt);
        vsnprintf(err->doing, sizeof err->doing, fmt, ap);
        va_end(ap);
        return false;
}

void err_clear(struct err *err)
{
        *err = (struct err)ERR_INIT;
}

static void append(char *buf, size_t size, const char *text, const char *after)
{
        size_t len = strlen(buf);

        if (text[0])
                snprintf(buf + len, size - len, "%s%s", text, after);
}

const char *err_line(const struct err *err, char *buf, size_t size)
{
        char at[32] = "";

        buf[0] = '\0';
        if (err->offset != NO_OFFSET)
                snprintf(at, sizeof at, "at 0x%" PRIx64, err->offset);
        append(buf, size, err->file, ": ");
        append(buf, size, err->doing, ": ");
        append(buf, size, err->section, at[0] ? " " : ": ");
        append(buf, size, at, ": ");
        append(buf, size, err->field, ": ");
        append(buf, size, err->why, "");
        return buf;
}

int err_exit_code(const struct err *err)
{
        switch (err->status) {
        case ERR_NONE:
                return 0;
        case ERR_USAGE:
                return 2;
        case ERR_TRUNCATED:
        case ERR_CORRUPT:
                return 3;
        case ERR_UNSUPPORTED:
        case ERR_LIMIT:
        case ERR_MISMATCH:
                return 4;
        case ERR_IO:
        case ERR_NOMEM:
        case ERR_CANCELLED:
        case ERR_QEMU:
                break;
        }
        return 1;
}

const char *err_status_name(enum status status)
{
        static const char *const names[] = {
                [ERR_NONE] = "none",
                [ERR_IO] = "io",
                [ERR_NOMEM] = "nomem",
                [ERR_CANCELLED] = "cancelled",
                [ERR_QEMU] = "qemu",
                [ERR_USAGE] = "usage",
                [ERR_TRUNCATED] = "truncated",
                [ERR_CORRUPT] = "corrupt",
                [ERR_UNSUPPORTED] = "unsupported",
                [ERR_LIMIT] = "limit",
                [ERR_MISMATCH] = "mismatch",
        };

        return names[status];
}
