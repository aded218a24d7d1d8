/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Set once, before any thread exists. */
static struct {
        log_sink *sink;
        void *arg;
        const char *debug;
} log_state;

void log_set_sink(log_sink *sink, void *arg)
{
        log_state.sink = sink;
        log_state.arg = arg;
}

void log_set_debug(const char *modules)
{
        log_state.debug = modules;
}

bool log_debugs(const char *module)
{
        const char *p = log_state.debug;

        while (p && *p) {
                size_t len = strcspn(p, ",");

                if ((len == 3 && !memcmp(p, "all", 3)) ||
                    (len == strlen(module) && !memcmp(p, module, len)))
                        return true;
                p += len + (p[len] == ',');
        }
        return false;
}

__attribute__((format(printf, 3, 0))) static void
record(enum log_level level, const char *module, const char *fmt, va_list ap)
{
        char text[1024];

        if (!log_state.sink)
                return;
        vsnprintf(text, sizeof text, fmt, ap);
        log_state.sink(log_state.arg, level, module, text);
}

void log_debug(const char *module, const char *fmt, ...)
{
        va_list ap;

        if (!log_debugs(module))
                return;
        va_start(ap, fmt);
        record(LOG_DEBUG, module, fmt, ap);
        va_end(ap);
}

void log_note(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        record(LOG_NOTE, "", fmt, ap);
        va_end(ap);
}

void log_warn(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        record(LOG_WARN, "", fmt, ap);
        va_end(ap);
}
