/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dump: what a QEMU binary can load, as `-dump-vmstate FILE` of a machine type
 * tells it: each device type's description (vmsd) with its versions, fields
 * and subsections, whether the machine has such a device or not.
 *
 * It does not tell of CPUs, timers and whatever else is no device, nor of what
 * a virtio device hides in its one opaque field.
 */
#ifndef STASIS_QEMU_DUMP_H
#define STASIS_QEMU_DUMP_H

#include "base/err.h"

#include <jansson.h>

struct dump;

/* ERR_CORRUPT when it is not JSON of that shape. */
bool dump_parse(const uint8_t *json, size_t len, struct dump **out,
                struct err *err);
/* NULL is fine. */
void dump_free(struct dump *d);

/* "pc-q35-7.2", or "pc" if that is its name there; "": it does not say. */
const char *dump_machine(const struct dump *d);

struct dump_vmsd {
        long long version, minimum_version;
        /* Lists, borrowed; NULL: none.  A field: "field", "version_id",
         * "field_exists", "size", perhaps "num" and "Description"; a
         * Description and a subsection: "name", "version_id",
         * "minimum_version_id", "Fields", "Subsections". */
        const json_t *fields, *subsections;
};

/* By the vmsd's name (a stream's "vmsd_name"), not the device type's: several
 * types may share one, and the first is taken. */
bool dump_find(const struct dump *d, const char *vmsd, struct dump_vmsd *out);

enum dump_kind {
        DUMP_MACHINE,         /* another machine type; no fault by itself     */
        DUMP_SECTION_MISSING, /* no such device type                          */
        DUMP_PART_MISSING,    /* src: "Description", "Fields", "Subsections"  */
        DUMP_VERSION,         /* src is above what dst knows                  */
        DUMP_MINIMUM_VERSION, /* src is below what dst still reads            */
        DUMP_VMSD_OTHER,      /* src and dst: the vmsds' names                */
        DUMP_VMSD_MISSING,    /* the field is a struct in src only            */
        DUMP_FIELD_MISSING,   /* dst has no such field, or none any more      */
        DUMP_FIELD_OTHER,     /* src and dst: what stands in one place        */
        DUMP_FIELD_SIZE,      /* src and dst: bytes in memory                 */
        DUMP_PADDING,         /* unused bytes do not balance fields           */
        DUMP_SUBSECTION_MISSING, /* src: its name                             */
};

struct dump_finding {
        enum dump_kind kind;
        const char *section; /* the device type; dump_check: the vmsd asked   */
        const char *vmsd;    /* the innermost vmsd; "": the section itself    */
        const char *field;   /* ""                                            */
        const char *src, *dst; /* names or numbers; "": there is none         */
};

/* The strings live during the call only, and are the files' own. */
typedef void dump_tell(void *arg, const struct dump_finding *finding);

/* Why state of devices that src describes would not load where dst does: the
 * rules of QEMU's static checker.  Fields are compared in the order of the
 * wire; where the two part, the rest of that vmsd is not looked at. */
void dump_compare(const struct dump *src, const struct dump *dst,
                  dump_tell *tell, void *arg);

/* The same of one device of a snapshot, an entry of vmdesc's "devices" (as of
 * qemu/fields.h): versions, subsections and fields, recursively.  Names are not
 * on the wire: a field counts as renamed where the dump has one that the device
 * has not between the same neighbours.
 * False: d knows no such vmsd, and nothing is told. */
bool dump_check(const struct dump *d, const char *vmsd, const json_t *device,
                dump_tell *tell, void *arg);

/* The stable word for reasons: "device-version", "subsection-unknown", ... */
const char *dump_code(enum dump_kind kind);
/* For people and tests: "subsection missing". */
const char *dump_words(enum dump_kind kind);

#endif
