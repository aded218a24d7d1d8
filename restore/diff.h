/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * diff: what two snapshots have that differs, one difference at a time:
 * configuration (manifest and state) first, then device sections field by
 * field, RAM by page, disks by sector.  How a file came to be, and how it is
 * kept (id, time, writer, compression, chunks), is no difference.
 *
 * Chunks that both indexes give one digest are not read.  What is read is
 * checked.  Memory: both device states, 48 bytes a chunk, and some MiB.
 */
#ifndef STASIS_RESTORE_DIFF_H
#define STASIS_RESTORE_DIFF_H

#include "base/progress.h"
#include "qemu/devices.h"
#include "qemu/fields.h"

struct diff_range {
        uint64_t offset, length;
};

/* Of more ranges only the number is kept. */
#define DIFF_RANGES 256

/* Bytes, in whole pages or sectors that differ. */
struct diff_region {
        const char *name;   /* RAMBlock, or disk                           */
        uint64_t size[2];   /* bytes                                       */
        bool present[2];    /* false: only the other has it                */
        uint32_t unit;      /* page, or sector                             */
        uint64_t differing; /* bytes                                       */
        uint64_t zero[2];   /* of these zero here, and not there           */
        uint64_t hole[2];   /* of these not in this overlay, but in that   */
        uint64_t range_count;
        struct diff_range ranges[DIFF_RANGES];
};

enum difference_kind {
        DIFFERENCE_CONFIG, /* path, values                                  */
        DIFFERENCE_DEVICE, /* section of one only, or with other versions   */
        DIFFERENCE_FIELD,  /* section, field                                */
        DIFFERENCE_RAM,    /* region                                        */
        DIFFERENCE_DISK,   /* region                                        */
};

/* [0]: of the first snapshot; NULL: it has none.  Names are the file's. */
struct difference {
        enum difference_kind kind;
        const char *path;
        const json_t *value[2];
        const struct device_section *section[2];
        const struct field *field[2];
        const struct diff_region *region;
};

struct diff_input {
        int fd; /* a file; borrowed */
        const char *name;
};

struct diff_options {
        unsigned threads;
        struct progress *progress;
        bool (*visit)(void *arg, const struct difference *d, struct err *err);
        void *arg;
};

/* The err names the file that fails. */
bool diff_run(const struct diff_input in[2], const struct diff_options *options,
              bool *equal_out, struct err *err);

/* The same of device sections alone. */
bool diff_device_states(const struct devices *a, const struct devices *b,
                        const struct diff_options *options, bool *equal_out,
                        struct err *err);

#endif
