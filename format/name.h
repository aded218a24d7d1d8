/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * name: member names.  (spec/stasis-format.md, section "Names")
 *
 * A component is a foreign name (RAMBlock, section idstr, node name) with '/',
 * '%', control bytes, non-ASCII and a leading '.' written as %XX; one that
 * would pass 180 bytes is cut there and ends in "~" and 16 hex digits of the
 * XXH3-64 of the full name, so that it stays unique.
 */
#ifndef STASIS_FORMAT_NAME_H
#define STASIS_FORMAT_NAME_H

#include "base/err.h"

#define NAME_COMPONENT_MAX 200

/* out gets the component; returns out. */
const char *name_component(const char *foreign, char out[NAME_COMPONENT_MAX]);

/* The foreign name of a component; false: it was cut. */
bool name_foreign(const char *component, char out[NAME_COMPONENT_MAX]);

/* "ram/" COMPONENT */
const char *name_ram_dir(const char *block, char out[512]);
/* "disk/" COMPONENT */
const char *name_disk_dir(const char *disk, char out[512]);
/* "stream/NNNNNN.KIND.COMPONENT" ("stream/000000.header" when idstr is ""). */
const char *name_stream_dir(unsigned item, const char *kind, const char *idstr,
                            char out[512]);

enum name_class {
        NAME_STASIS,  /* stasis/...                                          */
        NAME_RAM,     /* ram/COMPONENT/ADDRESS[.zst]                         */
        NAME_DISK,    /* disk/COMPONENT/ADDRESS[.zst] or disk/COMPONENT/zeros */
        NAME_STREAM,  /* stream/NNNNNN.KIND[.COMPONENT]/ADDRESS[.zst]        */
        NAME_UNKNOWN, /* another top-level name: skipped                     */
};

struct name {
        enum name_class class;
        char dir[512];
        uint64_t address;
        bool zst;
        bool zeros; /* NAME_DISK: the zero extents' list, which is no chunk  */
        unsigned item; /* NAME_STREAM */
        char kind[32]; /* NAME_STREAM */
};

/* ERR_CORRUPT when a known class does not follow its grammar, and when any
 * name has a byte that is not printable ASCII. */
bool name_parse(const char *member, struct name *out, struct err *err);

#endif
