/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * twin: from a QEMU's command line the one of a twin: the same machine,
 * devices, RAM and ROM sizes, but nothing that the original touches.  It opens
 * no path for writing, no port, no socket and no host device but the
 * accelerator, so that it can be started beside the running original.  Files
 * that make up the machine (firmware, kernel, tables) are read.
 *
 * Only options that are known are taken over: one that is not might open
 * something.
 */
#ifndef STASIS_QEMU_TWIN_H
#define STASIS_QEMU_TWIN_H

#include "base/err.h"

struct twin_options {
        /* The virtual size of an image, 0: unknown; format may be NULL.
         * NULL: no size is known. */
        uint64_t (*disk_size)(void *arg, const char *file, const char *format);
        void *arg;
        /* It may run in a network of its own, where the system lets us make
         * one: there it has tap devices, as the original. */
        bool own_network;
};

/* The image that a disk of the twin stands for. */
struct twin_disk {
        char *node;   /* node name in the twin                               */
        char *file;   /* as the original's command line has it               */
        char *format; /* NULL: to be guessed                                 */
};

struct twin {
        char **argv; /* owned, NULL-terminated; without -S and -incoming     */
        /* What had to be taken out, or is not as in the original, escaped:
         * "-device vfio-pci,host=01:00.0". */
        char (*not_probed)[128];
        size_t not_probed_count;
        bool lacks_devices;      /* some of it was devices */
        struct twin_disk *disks; /* those that are files */
        size_t disk_count;
        /* A network back end with offloads or several queues (tap, vhost) has
         * become one that has none, or others: virtio-net refuses the state of
         * a guest that used them, and is right to only in the twin. */
        bool no_offloads;
};

/* ERR_MISMATCH naming the option when it cannot be done.  argv may start with
 * a loader or a launcher, as in /proc.  out: twin_fini, also after failure. */
bool twin_argv(char *const *argv, const struct twin_options *options,
               struct twin *out, struct err *err);
void twin_fini(struct twin *t);
/* Whether two command lines make the same machine, whatever it is connected to
 * and whatever its files hold: their twins are alike, and nothing is missing in
 * them.  The QEMU itself is not compared.  false: not known to. */
bool twin_same(char *const *a, char *const *b);

#endif
