/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view: what is known of a target, before anything is loaded into it. */
#ifndef STASIS_RESTORE_VIEW_H
#define STASIS_RESTORE_VIEW_H

#include "qemu/devices.h"
#include "qemu/qmp.h"

struct view {
        json_t *identity;    /* as a manifest has it (identity_describe)      */
        json_t *ram_blocks;  /* [{"name", "used", "total"}]; NULL: not known  */
        uint64_t memory;     /* then: bytes of the machine's main memory; 0:
                                not known                                    */
        char memory_id[256]; /* its backend's name, "" if not known          */
        json_t *pci;   /* PCI functions ("00:05.0" ...); NULL: not known     */
        json_t *disks; /* as disks_query; NULL: none were asked for          */
        bool have_devices;
        struct devices devices; /* what it would send itself                 */
        bool lacks_devices; /* the twin that sent them is not complete       */
        bool other_network; /* its network cards have another back end       */
};

/* Asks a QEMU that runs or waits.  pid: its process; 0: unknown.  out:
 * view_fini, also after failure. */
bool view_ask(struct qmp *q, pid_t pid, struct view *out, struct err *err);
void view_fini(struct view *v);

#endif
