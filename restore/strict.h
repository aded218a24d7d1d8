/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* strict: device sections against everything that is known of them. */
#ifndef STASIS_RESTORE_STRICT_H
#define STASIS_RESTORE_STRICT_H

#include "qemu/devices.h"

struct strict_report {
        uint64_t sections;    /* with device state                           */
        uint64_t fields;      /* decoded                                     */
        uint64_t undescribed; /* sections whose fields vmdesc does not tell  */
};

/* vmdesc accounts for each byte of each section, subsections included, and for
 * their versions; none comes twice, none before RAM's END.  ERR_CORRUPT, naming
 * section and field. */
bool strict_check(const struct devices *d, struct strict_report *out,
                  struct err *err);

#endif
