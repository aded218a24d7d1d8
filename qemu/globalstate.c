/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/globalstate.h"

#include "base/cursor.h"
#include "qemu/tail.h"

#include <string.h>

void globalstate_run_state(const uint8_t *section, size_t len, char out[32])
{
        struct err ignored = ERR_INIT;
        struct section_header h;
        const uint8_t *name;
        struct cursor c;
        uint32_t size;

        strcpy(out, "running");
        if (!section_header_parse(section, len, &h))
                return;
        cursor_init(&c, section + h.len, len - h.len, 0, "globalstate",
                    &ignored);
        /* size counts the NUL, and is beside the point in some versions */
        if (!cursor_u32be(&c, "size", &size) ||
            !cursor_view(&c, "runstate", 32, &name) || !name[0] ||
            !memchr(name, 0, 32))
                return;
        for (const uint8_t *p = name; *p; p++)
                if ((*p < 'a' || *p > 'z') && *p != '-')
                        return;
        memcpy(out, name, 32);
}
