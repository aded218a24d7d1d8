/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source: the stream's bytes as they come, through one fixed buffer.  A view
 * asked for is contiguous; nothing is copied on the way.  A caught signal ends
 * a wait with ERR_CANCELLED.
 */
#ifndef STASIS_QEMU_SOURCE_H
#define STASIS_QEMU_SOURCE_H

#include "base/cursor.h"

struct source;

/* The most that source_need can be asked for. */
#define SOURCE_VIEW_MAX (2048 * 1024)

/* Asked after each 50 ms without a byte; false (with err) ends the wait: the
 * sender has failed.  May be NULL. */
typedef bool source_idle(void *arg, struct err *err);

/* fd: borrowed; name: for errors. */
bool source_new(int fd, const char *name, source_idle *idle, void *arg,
                struct source **out, struct err *err);
void source_free(struct source *s);

/* Waits instead of source_wait, on fd; so that something else can be done
 * meanwhile. */
typedef bool source_waiter(void *arg, int fd, int ms, bool *came_out,
                           struct err *err);
void source_wait_with(struct source *s, source_waiter *waiter, void *arg);

/* From here on each byte that is taken is told once, in order and in large
 * pieces, before more is read.  False ends the wait, with err. */
typedef bool source_copy(void *arg, const uint8_t *bytes, size_t len,
                         struct err *err);
void source_copy_to(struct source *s, source_copy *copy, void *arg);
/* What has been taken is told, what follows is not.  Nothing to do is fine. */
bool source_copy_end(struct source *s, struct err *err);

/* At least n bytes in view, more if they are there; ERR_TRUNCATED when the
 * stream ends first.  *len_out >= n.  Valid until the next need or more. */
bool source_need(struct source *s, size_t n, const uint8_t **view_out,
                 size_t *len_out, struct err *err);
/* Drops n bytes of the view. */
void source_take(struct source *s, size_t n);
/* Waits for whatever comes, at least a byte; *len_out = 0 at the end. */
bool source_some(struct source *s, const uint8_t **view_out, size_t *len_out,
                 struct err *err);
/* Whether more bytes could be had without waiting (or the end). */
bool source_ready(struct source *s);
/* Waits up to ms for a byte or the end. */
bool source_wait(struct source *s, int ms, bool *came_out, struct err *err);
/* Offset in the stream of the view's first byte. */
uint64_t source_offset(const struct source *s);

#endif
