/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config: the configuration section: machine type and its subsections.
 * (spec/migration-stream.md, "Configuration") */
#ifndef STASIS_QEMU_CONFIG_H
#define STASIS_QEMU_CONFIG_H

#include "base/cursor.h"

struct stream_config {
        char machine[256];
        uint32_t page_bits; /* 0: not sent, the target's legacy minimum      */
        bool ignore_shared; /* capability x-ignore-shared                    */
        bool mapped_ram;    /* capability mapped-ram                         */
        bool has_uuid;
        uint8_t uuid[16];
};

/* From the type byte on; stops behind the last subsection.  The cursor must
 * see a byte behind the section. */
bool stream_config_parse(struct cursor *c, struct stream_config *out);

#endif
