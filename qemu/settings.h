/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * settings: QEMU's migration capabilities and parameters, set to what a save
 * needs, and put back.
 *
 * A migration's stream depends on switches that somebody else may have left
 * on.  All that this QEMU knows are set to known values, read back, and the
 * former ones put back afterwards.  These are also noted in QEMU itself, in an
 * object that holds nothing but a text, because a save may be killed: the next
 * one finds the note and puts back what was there before the first.
 */
#ifndef STASIS_QEMU_SETTINGS_H
#define STASIS_QEMU_SETTINGS_H

#include "qemu/qmp.h"

/* Milliseconds of downtime with which QEMU stops its guest at once, and sends
 * each page but once: as many as it takes. */
#define SETTINGS_AT_ONCE_MS 2000000

struct settings {
        /* What is on besides "events", if QEMU knows it; the others are
         * switched off. */
        const char *capabilities[4];
        unsigned downtime_ms;
        uint64_t bandwidth; /* bytes a second; 0: no limit */
        /* With "multifd": how many, and how compressed ("none", "zstd"). */
        unsigned channels;
        const char *compression;
};

/* Whether QEMU knows it. */
bool settings_know(struct qmp *q, const char *capability, bool *out,
                   struct err *err);

/* *former_out: what settings_put_back needs, a new reference.  After a failure
 * all is as it was, as far as QEMU lets us. */
bool settings_apply(struct qmp *q, const struct settings *wanted,
                    json_t **former_out, struct err *err);
/* Arguments of migrate-set-parameters that, while QEMU sends, allow it any
 * downtime from then on; NULL: no memory. */
json_t *settings_lift(void);
bool settings_put_back(struct qmp *q, const json_t *former, struct err *err);

/* One capability by itself; qerr: may be NULL. */
bool settings_capability(struct qmp *q, const char *name, bool on,
                         struct qmp_error *qerr, struct err *err);

#endif
