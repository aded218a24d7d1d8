/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * explain: what QEMU says when it refuses a migration stream, as one device,
 * one cause and one remedy.
 *
 * Sentences are known by their structure, over QEMU's versions and whatever is
 * put before them; of several, the innermost tells the cause and the outermost
 * the device.
 */
#ifndef STASIS_QEMU_EXPLAIN_H
#define STASIS_QEMU_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

struct explanation {
        const char *code;     /* one of the stable words for reasons; static */
        char device[256];     /* idstr, escaped; "": not known               */
        uint32_t instance_id; /* 0: not known                                */
        char cause[400];      /* escaped, as is what follows                 */
        char remedy[300];
};

/* said: QEMU's stderr, or the error-desc of query-migrate; section: idstr of
 * what was being sent, "": not known.  False: nothing was recognised, out says
 * "refused" and the section. */
bool explain(const char *said, const char *section, struct explanation *out);

#endif
