/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tee: the stream that is being saved goes to a waiting QEMU, too, which gets
 * what lets it run only when the source has given the VM up.
 * (spec/migration-stream.md, "A stream that goes two ways")
 *
 *      tee_open, tee_write ..., tee_keep ..., tee_ready, tee_go
 */
#ifndef STASIS_SAVE_TEE_H
#define STASIS_SAVE_TEE_H

#include "base/err.h"

struct tee;
struct endpoint_options;

bool tee_open(const char *uri, const struct endpoint_options *options,
              struct tee **out, struct err *err);
/* The target has been given all it needs (tee_go), or its load fails: it does
 * not run.  NULL is fine. */
void tee_free(struct tee *t);

/* The next bytes of the stream.  Waits for the target to take them. */
bool tee_write(struct tee *t, const uint8_t *bytes, size_t len,
               struct err *err);
/* The end of the stream, kept back until tee_go.  The first call asks the
 * target how far it is. */
bool tee_keep(struct tee *t, const uint8_t *bytes, size_t len, struct err *err);
/* Waits until the target has loaded all but what is kept. */
bool tee_ready(struct tee *t, struct err *err);
/* Gives it the rest, and waits for its verdict. */
bool tee_go(struct tee *t, struct err *err);

#endif
