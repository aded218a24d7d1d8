/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mode: how a VM is saved while it runs on, and whether it can be.
 * (spec/live-saves.md)
 */
#ifndef STASIS_SAVE_MODE_H
#define STASIS_SAVE_MODE_H

#include "qemu/qmp.h"

enum live_mode {
        LIVE_NO,       /* QEMU stops its guest at once, until it has sent all */
        LIVE_ANY,      /* whichever of the next two can be done               */
        LIVE_PRECOPY,  /* RAM is sent in passes while the guest writes to it  */
        LIVE_SNAPSHOT, /* QEMU's background-snapshot: RAM as it is now        */
};

struct live_limits {
        unsigned max_downtime_ms; /* 0: QEMU's default, 300                  */
        unsigned max_passes;      /* 0: default                              */
        uint64_t bandwidth;       /* bytes a second; 0: no limit             */
        unsigned channels;        /* of multifd; 0: without                  */
        bool zstd;                /* ... compressed                          */
};

/* "precopy", "background-snapshot", "stopped". */
const char *mode_name(enum live_mode mode);
/* NULL, "", "precopy", "background-snapshot": what an option says. */
enum live_mode mode_parse(const char *word);

struct mode_vm {
        const json_t *disks;     /* as qemu/disks.h made them                */
        const char *run_state;   /* before the save                          */
        const char *accelerator; /* "tcg", "kvm", ...                        */
};

/* Chooses, says why if that is not what QEMU does best, and sets QEMU up for
 * it.  A mode that was demanded by name and cannot be had is ERR_UNSUPPORTED.
 * *former_out: what settings_put_back needs. */
bool mode_begin(struct qmp *q, enum live_mode wanted,
                const struct live_limits *limits, const struct mode_vm *vm,
                enum live_mode *mode_out, json_t **former_out, struct err *err);

#endif
