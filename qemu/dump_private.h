/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of dump share. */
#ifndef STASIS_QEMU_DUMP_PRIVATE_H
#define STASIS_QEMU_DUMP_PRIVATE_H

#include "qemu/dump.h"

/* How deep descriptions may lie in one another; QEMU's go to 8. */
#define DUMP_DEPTH 32

struct dump {
        json_t *root;    /* its shape has been checked                       */
        json_t *by_name; /* vmsd name -> Description                         */
};

/* Members whose presence and type dump_parse has made sure of. */
const char *dump_text(const json_t *object, const char *key);
long long dump_number(const json_t *object, const char *key);

/* Whether a field or vmsd was only given another name, in any direction. */
bool dump_same_name(const char *vmsd, const char *a, const char *b);
/* What a device type is called in other versions; NULL: no other name. */
const char *dump_other_section(const char *section);

#endif
