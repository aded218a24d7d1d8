/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of explain share. */
#ifndef STASIS_QEMU_EXPLAIN_PRIVATE_H
#define STASIS_QEMU_EXPLAIN_PRIVATE_H

#include "qemu/explain.h"
#include "qemu/phrase.h"

/* What the outer sentences told, before any rule is tried. */
struct explain_told {
        const char *text; /* of QEMU, without its warnings               */
        char device[256]; /* raw; "": not told                           */
        uint32_t instance_id;
        char field[520]; /* "vmsd:field", the innermost; "": not told   */
};

/* In cause and remedy, $1 ... $6 are captures, #1 ... #6 numbers of them in
 * hexadecimal, and $f is the field. */
struct explain_rule {
        const char *pattern;
        const char *code;
        const char *cause, *remedy;
        unsigned device;   /* the capture that names it; 0: none           */
        unsigned instance; /* likewise                                     */
        /* Knows more than the words above; they stand already. */
        void (*refine)(const struct phrase *p, const struct explain_told *r,
                       struct explanation *out);
};

/* In order: what is more telling comes first. */
extern const struct explain_rule explain_rules[];
extern const unsigned explain_rule_count;

typedef void explain_refine(const struct phrase *p,
                            const struct explain_told *r,
                            struct explanation *out);

explain_refine explain_ram_size;     /* block, received, local             */
explain_refine explain_ram_missing;  /* block                              */
explain_refine explain_pci_config;   /* offset, received, local            */
explain_refine explain_features;     /* received, allowed                  */
explain_refine explain_missing;      /* idstr, instance                    */
explain_refine explain_equal;        /* local, received                    */
explain_refine explain_section_type; /* type                               */

#endif
