/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdesc: QEMU's own description of the device sections, the JSON behind the
 * end of the stream; here only what it says of their lengths.
 * (spec/migration-stream.md, "vmdesc")
 */
#ifndef STASIS_QEMU_VMDESC_H
#define STASIS_QEMU_VMDESC_H

#include "base/err.h"

struct vmdesc_device {
        char idstr[256];
        uint32_t instance_id;
        /* Payload bytes that the description accounts for.  Exact but for
         * arrays whose elements differ in length: QEMU describes the first. */
        uint64_t bytes;
};

struct vmdesc {
        struct vmdesc_device *devices; /* owned; in stream order */
        size_t count;
        uint32_t page_size; /* target page size; 0: not said */
};

/* ERR_CORRUPT when it is not JSON of that shape. */
bool vmdesc_parse(const uint8_t *json, size_t len, struct vmdesc *out,
                  struct err *err);
void vmdesc_fini(struct vmdesc *v);

#endif
