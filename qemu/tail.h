/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tail: everything behind RAM: device sections, EOF, vmdesc; told apart.
 * (spec/migration-stream.md, "Splitting")
 *
 * A device section has no length.  With vmdesc its length is known; a section
 * that vmdesc measures wrongly is found by its footer and by what follows it.
 * Without vmdesc, footers decide, and only if exactly one way of splitting
 * reaches the end.  With neither (machine types up to 2.2) every plausible
 * section header begins a section: since items are carried verbatim and in
 * order, a wrong guess there cannot change a byte.
 */
#ifndef STASIS_QEMU_TAIL_H
#define STASIS_QEMU_TAIL_H

#include "qemu/vmdesc.h"

#include <stddef.h>

struct tail_item {
        size_t begin, len; /* in the tail; the section with its footer      */
        char idstr[256];   /* "" for EOF                                    */
        uint32_t section_id, instance_id, version_id;
        size_t payload_len;
};

struct tail {
        struct tail_item *items; /* owned; the last is EOF (1 byte)          */
        size_t count;
        size_t vmdesc_begin, vmdesc_len; /* JSON; len 0: none                */
        size_t end;                      /* bytes up to the stream's end     */
        uint32_t page_size;              /* as vmdesc says; 0: no word       */
        const char *split;               /* "vmdesc", "footers", "headers"   */
};

/* A device section that came before RAM, which vmdesc lists first. */
struct tail_early {
        char idstr[256];
        uint32_t instance_id;
        size_t payload_len;
};

enum tail_result {
        TAIL_COMPLETE,
        TAIL_INCOMPLETE, /* not (yet) a complete tail; err is untouched      */
        TAIL_BAD,        /* err says why                                     */
};

/* A quick look: could the bytes end here with a vmdesc?  Only then is it worth
 * to call tail_parse on a stream that goes on. */
bool tail_may_end(const uint8_t *bytes, size_t len);

/* at_end: no more bytes will come; then an incomplete tail is TAIL_BAD
 * (ERR_TRUNCATED, or ERR_CORRUPT), and bytes behind the vmdesc are allowed.
 * origin: stream offset of bytes[0], for errors. */
enum tail_result tail_parse(const uint8_t *bytes, size_t len, bool footers,
                            bool at_end, const struct tail_early *early,
                            size_t early_count, uint64_t origin,
                            struct tail *out, struct err *err);
void tail_fini(struct tail *t);

/* A section header (START, FULL) at p; false: there is none. */
struct section_header {
        uint8_t type;
        uint32_t section_id, instance_id, version_id;
        char idstr[256];
        size_t len; /* bytes of the header */
};
bool section_header_parse(const uint8_t *p, size_t len,
                          struct section_header *out);

#endif
