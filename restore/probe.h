/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe: a twin of a target (qemu/twin.h) is started, to learn what it is and
 * whether it takes a snapshot; it ends with the call.
 *
 * What a QEMU would take is, to the section, what it would send itself: a twin
 * that has never run is told to migrate, and its stream is read.  The last word
 * has a twin that loads the device state: no list of reasons is ever complete.
 */
#ifndef STASIS_RESTORE_PROBE_H
#define STASIS_RESTORE_PROBE_H

#include "qcow/chain.h"
#include "qemu/dump.h"
#include "restore/target.h"

/* argv: the twin's.  out: what it is, its device sections among it; view_fini,
 * also after failure. */
bool probe_view(char *const *argv, struct view *out, struct err *err);

/* Loads the snapshot in fd into a twin.  with_ram: all of it; else device state
 * alone, on RAM as it is at power-on: quick whatever RAM's size, but devices
 * that look into RAM when they are loaded (virtio's rings) may refuse for that
 * reason only. */
bool probe_load(char *const *argv, int fd, const char *name, bool with_ram,
                unsigned threads, const char *spool_dir, struct refusal *out,
                struct err *err);
/* Loads all of it, and reads what the twin, which has not run, would save of it
 * again: again_out, to be released with devices_fini unless it refused. */
bool probe_again(char *const *argv, int fd, const char *name, unsigned threads,
                 const char *spool_dir, struct refusal *out,
                 struct devices *again_out, struct err *err);

/* What the binary knows to load (-dump-vmstate): in two steps, for it takes a
 * while.  *out NULL: it does not say. */
struct dumping {
        struct process *process;
        int fd;
};
#define DUMPING_INIT                                                           \
        {                                                                      \
                .fd = -1                                                       \
        }
bool probe_dump_start(char *const *argv, struct dumping *out, struct err *err);
bool probe_dump_end(struct dumping *d, struct dump **out, struct err *err);
/* Also after a failure, or instead of the end. */
void dumping_fini(struct dumping *d);

/* An image and its backing files, as a command line names it; format NULL: what
 * it looks like, as QEMU does it. */
bool probe_disk(const char *file, const char *format, struct chain **out,
                struct err *err);
/* For twin_options: an image's virtual size; 0: unknown.  arg is not used. */
uint64_t probe_disk_size(void *arg, const char *file, const char *format);

/* The device sections that a stopped QEMU sends. */
bool probe_devices(struct qmp *q, struct devices *out, struct err *err);

#endif
