/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fields: a device section's payload told field by field, as vmdesc describes
 * it.  (spec/migration-stream.md, "Fields"; QEMU 5.2 to 11.1)
 *
 * Leaves come in the order of their bytes, and together they are all bytes:
 * there are no gaps.  A path joins names by "."; an array's element is [i]; a
 * subsection is named in full ("cpu/fpop_ip_dp").  What is in lists, and what
 * QEMU describes as one opaque `virtio`, is told in parts, too.
 */
#ifndef STASIS_QEMU_FIELDS_H
#define STASIS_QEMU_FIELDS_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

enum field_kind {
        FIELD_BYTES,
        FIELD_BOOL,
        FIELD_UNSIGNED,
        FIELD_SIGNED,     /* timers too: -1 is "not pending"                 */
        FIELD_NULL,       /* a null pointer in an array of pointers          */
        FIELD_MARK,       /* of a list: 1, an element follows; 0, its end    */
        FIELD_SUBSECTION, /* its header; value: its version                  */
};

struct field {
        const char *path; /* valid during the call; names are the file's own */
        const char *type; /* vmdesc's word, or ours for what it lacks        */
        enum field_kind kind;
        const uint8_t *bytes;
        size_t offset, size; /* bytes, in the payload                        */
        uint64_t value;      /* SIGNED: two's complement                     */
};

typedef bool field_visit(void *arg, const struct field *f, struct err *err);

/* vmdesc as JSON.  QEMU repeats keys within one object for each element of a
 * list, which JSON readers drop: here "vmsd_name", "version", "fields" and
 * "subsections" of the second are "vmsd_name#1" and so on.
 * ERR_CORRUPT when it is not JSON. */
bool fields_parse(const uint8_t *json, size_t len, json_t **out,
                  struct err *err);

/* device: an entry of vmdesc's "devices".  ERR_CORRUPT, naming the path, when
 * the description does not account for exactly these bytes; ERR_UNSUPPORTED
 * when QEMU is known to misdescribe them.  What came before has been told
 * then. */
bool fields_decode(const json_t *device, const uint8_t *payload, size_t len,
                   field_visit *visit, void *arg, struct err *err);

/* Whether it describes fields at all: old-style sections are one buffer. */
bool fields_described(const json_t *device);

/* A number, a boolean, null, or bytes as a string in hexadecimal.  Numbers
 * from 2^63 on are strings "0x...": JSON readers lose their digits. NULL: no
 * memory. */
json_t *field_value(const struct field *f);

/* The same for people, with the beginning of bytes only. Returns out. */
#define FIELD_TEXT 96
const char *field_text(const struct field *f, char out[FIELD_TEXT]);

#endif
