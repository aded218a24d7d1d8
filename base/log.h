/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * log: what the engines say besides failing.  Records go to a sink that main
 * installs (stderr, one line each, "stasis CMD: warning: ..."); without one
 * they vanish.  Debug is off unless its module is named in STASIS_DEBUG.
 * The sink is the program's only global.
 */
#ifndef STASIS_BASE_LOG_H
#define STASIS_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_NOTE, LOG_WARN };

typedef void log_sink(void *arg, enum log_level level, const char *module,
                      const char *text);

void log_set_sink(log_sink *sink, void *arg);
/* Comma-separated modules, or "all"; borrowed for the process's life. */
void log_set_debug(const char *modules);
bool log_debugs(const char *module);

void log_debug(const char *module, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
void log_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What the user should know, and can act on. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
