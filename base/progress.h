/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress: how far long work has come, and whether it should go on.
 *
 * Counted on completion.  On a terminal: a line on stderr, redrawn at most
 * five times a second (phase, bytes, rate, ETA).  With a descriptor: one JSON
 * object a line, at most two a second, plus one at each phase's start and end:
 *   {"phase":"ram","done":1048576,"total":4294967296,"seconds":0.012}
 *   total is null when unknown.
 * Signals: SIGINT, SIGTERM, SIGHUP set a flag; whoever does long work asks
 * progress_cancelled and unwinds.  A second signal of these kills at once.
 */
#ifndef STASIS_BASE_PROGRESS_H
#define STASIS_BASE_PROGRESS_H

#include "base/err.h"

struct progress;

/* fd < 0: terminal display if stderr is one, else nothing. */
bool progress_new(int fd, struct progress **out, struct err *err);
/* Ends the display cleanly.  NULL is fine. */
void progress_free(struct progress *p);

/* A NULL p is fine in each of these: nothing is shown, nothing cancels.
 * total 0: unknown. */
void progress_phase(struct progress *p, const char *phase, uint64_t total);
/* Adds to what is done; false (with ERR_CANCELLED) when a signal came. */
bool progress_add(struct progress *p, uint64_t bytes, struct err *err);
/* Erases the display so that a message can be printed. */
void progress_pause(struct progress *p);

/* The terminal is somebody else's from now on: a guest's console. */
void progress_hide(struct progress *p);

/* Installs the handlers (without SA_RESTART, so that waits are interrupted);
 * ignores SIGPIPE. */
void progress_catch_signals(void);
/* The signal that came, or 0. */
int progress_signal(void);
/* True, and ERR_CANCELLED set, when one came. */
bool progress_cancelled(struct err *err);

#endif
