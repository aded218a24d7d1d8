/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * verdict: how a migration that we receive ends, and what becomes of the VM.
 *
 * We play the destination.  As long as we say nothing QEMU waits, its guest
 * stopped; when we refuse, or die, the migration has failed for it and it
 * resumes the guest.  When we confirm, the VM stands still for good.
 */
#ifndef STASIS_SAVE_VERDICT_H
#define STASIS_SAVE_VERDICT_H

#include "qemu/qmp.h"

struct verdict {
        struct qmp *q;     /* borrowed                                      */
        int stream;        /* our end of the connection; -1: none; owned    */
        json_t *former;    /* settings to put back; NULL: none; owned       */
        char before[32];   /* run state before the migration                */
        char after[32];    /* ... and after it                              */
        char desc[512];    /* QEMU's reason, escaped; "": none              */
        char status[32];   /* the migration's, when it was over             */
        bool given;        /* QEMU has its answer                           */
        double downtime;   /* seconds, by QEMU when it has completed; 0: ?  */
        double stopped_at; /* by QEMU's clock, seconds; 0: has not happened */
        double resumed_at;
};

void verdict_init(struct verdict *v, struct qmp *q);
/* Hangs up, without waiting for what QEMU makes of it. */
void verdict_fini(struct verdict *v);

/* Waits up to ms for an event, and takes note of all that came. */
bool verdict_watch(struct verdict *v, int ms, struct err *err);
/* Until the migration is over and the run state is one that lasts. */
bool verdict_settle(struct verdict *v, struct err *err);

/* QEMU takes the migration for failed and the VM goes on as before.  Once:
 * later calls do nothing.  Settings are put back. */
bool verdict_refuse(struct verdict *v, struct err *err);
/* A background snapshot ends by itself and needs no answer: waits for that.
 * Settings are put back. */
bool verdict_let_end(struct verdict *v, struct err *err);
/* The VM has moved elsewhere: it does not go on here by itself any more. */
bool verdict_confirm(struct verdict *v, struct err *err);
/* ... the settings are as before */
bool verdict_put_back(struct verdict *v, struct err *err);
/* ... or QEMU ends. */
bool verdict_quit(struct verdict *v, struct err *err);

/* Seconds that a guest that ran stood still; 0: it did not, or still does. */
double verdict_pause(const struct verdict *v);

#endif
