/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of qemu/twin share. */
#ifndef STASIS_QEMU_TWIN_PRIVATE_H
#define STASIS_QEMU_TWIN_PRIVATE_H

#include "qemu/pairs.h"
#include "qemu/twin.h"

/* The image whose size was asked for last; owned. */
struct asked {
        char *file, *format;
};

struct making {
        const struct twin_options *options;
        char *const *words; /* the original's, from its first option         */
        struct twin *twin;
        size_t argc;
        struct pairs *nodes; /* each -blockdev's                             */
        size_t node_count;
        struct asked *asked;
        unsigned hubs, drives;
        const char *const *network; /* twin_network's, when it is needed     */
        bool network_known;
        bool audio; /* a back end of ours is needed                          */
};

#define TWIN_AUDIO "stasis-audio"

/* Option `name` with `arg` (NULL: it takes none) becomes what the twin has. */
typedef bool making_fn(struct making *m, const char *name, const char *arg,
                       struct err *err);

bool making_add(struct making *m, const char *word, struct err *err);
/* "-NAME ARG"; arg may be NULL. */
bool making_option(struct making *m, const char *name, const char *arg,
                   struct err *err);
bool making_pairs(struct making *m, const char *name, const struct pairs *p,
                  struct err *err);
/* "-NAME ARG: WHY" is not probed; why NULL: it is a device that is not there.
 */
bool making_missing(struct making *m, const char *name, const char *arg,
                    const char *why, struct err *err);
/* The original has this option. */
bool making_has(const struct making *m, const char *name);
/* Whether word is one of the patterns, which may end in "*". */
bool making_match(const char *const *patterns, const char *word);

/* Words before a command, NULL-terminated, with which it runs in a network of
 * its own and may make tap devices there; NULL: not on this system. */
const char *const *twin_network(void);

/* twin_disks.c */
bool making_nodes(struct making *m, struct err *err);
making_fn make_blockdev, make_drive, make_disk_file;

/* twin_backends.c: what devices have behind them on the host */
making_fn make_chardev, make_line, make_netdev, make_nic, make_net;
making_fn make_audiodev, make_audio, make_fsdev, make_virtfs;

/* twin_devices.c */
making_fn make_device, make_object, make_usbdevice, make_soundhw;

#endif
