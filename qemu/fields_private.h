/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the decoder of vmdesc's fields shares with that of virtio's blob. */
#ifndef STASIS_QEMU_FIELDS_PRIVATE_H
#define STASIS_QEMU_FIELDS_PRIVATE_H

#include "qemu/fields.h"

struct fields {
        const uint8_t *bytes; /* the payload */
        size_t len, at;       /* at <= len   */
        char path[1024];
        size_t path_len;
        unsigned depth;
        uint64_t told;
        field_visit *visit;
        void *arg;
        struct err *err;
};

/* The field at f->at is not what it must be; returns false. */
bool fields_bad(struct fields *f, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

/* Path components; pop takes what push gave. */
bool fields_push(struct fields *f, const char *name, size_t *mark);
bool fields_push_index(struct fields *f, uint64_t index, size_t *mark);
void fields_pop(struct fields *f, size_t mark);

/* The next size bytes are a leaf. */
bool fields_tell(struct fields *f, const char *type, enum field_kind kind,
                 size_t size);
/* The same, as a component of its own. */
bool fields_leaf(struct fields *f, const char *name, const char *type,
                 enum field_kind kind, size_t size);

/* Bytes that have not been told. */
size_t fields_left(const struct fields *f);
/* size <= 8 bytes that stand `ahead` bytes from here, big-endian; 0 when they
 * are not there: telling them will fail then. */
uint64_t fields_peek(const struct fields *f, size_t ahead, size_t size);

/* A subsection's header, told as a leaf; name: what it must be; version, too,
 * unless it is NULL or no number. */
bool fields_subsection(struct fields *f, const char *name,
                       const json_t *version);

/* A VirtIODevice's state, size bytes from f->at (qemu/virtio_fields.c). */
bool fields_virtio(struct fields *f, size_t size);

#endif
