/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* import: a recorded migration stream becomes a snapshot. */
#ifndef STASIS_SAVE_IMPORT_H
#define STASIS_SAVE_IMPORT_H

#include "save/capture.h"

struct import_options {
        bool compress;
        int level;
        unsigned threads;
        const char *spool_dir; /* NULL: default */
        bool force;            /* replace an existing file */
        struct progress *progress;
};

/* in_fd: borrowed.  out_path "-": standard output; else published only when
 * whole. */
bool import_run(int in_fd, const char *in_name, const char *out_path,
                const struct import_options *options,
                struct capture_report *report, struct err *err);

#endif
