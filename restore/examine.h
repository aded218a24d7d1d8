/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * examine: would a snapshot load there?  The engine behind `check`, which
 * `restore` runs first: all that can be known without touching the target.
 */
#ifndef STASIS_RESTORE_EXAMINE_H
#define STASIS_RESTORE_EXAMINE_H

#include "restore/check.h"

struct examine_options {
        char *const *command;     /* a QEMU, of which twins are started      */
        const char *qmp;          /* or one that waits or runs, and is asked */
        bool values_only;         /* no target: only values are looked at    */
        bool restoring;           /* the load follows: disks are looked at
                                     then, and a twin tries only what we think
                                     that QEMU would refuse                  */
        const json_t *rules;      /* beside the built-in ones; may be NULL   */
        bool strict;              /* values that break a rule are wrong      */
        const char *const *bases; /* NAME=PATH; borrowed                     */
        unsigned base_count;
        unsigned threads;
        const char *spool_dir;
};

enum loads {
        LOADS_UNKNOWN, /* nothing speaks against it, but it was not tried    */
        LOADS_YES,
        LOADS_NO,
};

struct examination {
        enum loads loads; /* what QEMU would do, whatever is forced          */
        bool tried;       /* a twin has loaded, or refused, the device state */
        bool probed;      /* a twin told what it would send                  */
        char said[2048];  /* by a twin that refused; lines, not escaped      */
};

/* fd: a file; borrowed.  Adds to c. */
bool examine_run(int fd, const char *name,
                 const struct examine_options *options, struct check *c,
                 struct examination *out, struct err *err);

#endif
