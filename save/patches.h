/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * patches: pages that came again, until their chunk is written once more.
 *
 * A place is CHUNK_SIZE bytes; a page that comes once more replaces what was
 * there.  So what is kept never exceeds the size of the chunks it is for,
 * however many passes a sender makes.  The first few places are memory, the
 * others in an unlinked file, in which only what was written takes room.
 */
#ifndef STASIS_SAVE_PATCHES_H
#define STASIS_SAVE_PATCHES_H

#include "base/err.h"

struct patches;

/* dir: of the file (copied); NULL: default.  It is made when it is needed. */
bool patches_new(const char *dir, struct patches **out, struct err *err);
void patches_free(struct patches *p); /* NULL is fine */

/* Makes room for that many places at once: the first pages into a new one cost
 * ten times what later ones do, and a guest may stand still for them. */
bool patches_prepare(struct patches *p, uint32_t places, struct err *err);
/* A new place, of undefined content. */
uint32_t patches_place(struct patches *p);
bool patches_write(struct patches *p, uint32_t place, size_t at,
                   const void *bytes, size_t len, struct err *err);
bool patches_read(struct patches *p, uint32_t place, size_t at, void *bytes,
                  size_t len, struct err *err);

#endif
