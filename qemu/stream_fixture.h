/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests: a small stream, built byte by byte after the specification and
 * with nothing of the code under test. */
#ifndef STASIS_QEMU_STREAM_FIXTURE_H
#define STASIS_QEMU_STREAM_FIXTURE_H

#include "base/emit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define FIXTURE_PAGE   4096
#define FIXTURE_PAGES  8 /* of block "ram0"; "rom" has 2 */
#define FIXTURE_RAM_ID 2

struct fixture {
        uint8_t bytes[512 * 1024];
        struct emit e;
        bool footers;
        char vmdesc[4096]; /* device list, grows with fixture_device */
};

static inline void fixture_footer(struct fixture *f, uint32_t id)
{
        if (!f->footers)
                return;
        emit_u8(&f->e, 0x7e);
        emit_u32be(&f->e, id);
}

static inline void fixture_begin(struct fixture *f, bool footers,
                                 const char *machine)
{
        memset(f, 0, sizeof *f);
        emit_init(&f->e, f->bytes, sizeof f->bytes);
        f->footers = footers;
        emit_bytes(&f->e, "QEVM\0\0\0\3", 8);
        if (!machine)
                return;
        emit_u8(&f->e, 7);
        emit_u32be(&f->e, (uint32_t)strlen(machine));
        emit_bytes(&f->e, machine, strlen(machine));
}

static inline void fixture_section(struct fixture *f, uint8_t type, uint32_t id,
                                   const char *idstr, uint32_t instance,
                                   uint32_t version)
{
        emit_u8(&f->e, type);
        emit_u32be(&f->e, id);
        emit_str8(&f->e, idstr);
        emit_u32be(&f->e, instance);
        emit_u32be(&f->e, version);
}

static inline void fixture_ram_start(struct fixture *f)
{
        uint64_t total = (FIXTURE_PAGES + 2) * FIXTURE_PAGE;

        fixture_section(f, 1, FIXTURE_RAM_ID, "ram", 0, 4);
        emit_u64be(&f->e, total | 4);
        emit_str8(&f->e, "ram0");
        emit_u64be(&f->e, FIXTURE_PAGES * FIXTURE_PAGE);
        emit_str8(&f->e, "rom");
        emit_u64be(&f->e, 2 * FIXTURE_PAGE);
        emit_u64be(&f->e, 0x10);
        fixture_footer(f, FIXTURE_RAM_ID);
}

static inline void fixture_part(struct fixture *f, uint8_t type)
{
        emit_u8(&f->e, type);
        emit_u32be(&f->e, FIXTURE_RAM_ID);
}

/* A page whose every byte is `fill`, written out. */
static inline void fixture_page(struct fixture *f, const char *block,
                                uint64_t page, uint8_t fill)
{
        uint8_t bytes[FIXTURE_PAGE];

        memset(bytes, fill, sizeof bytes);
        emit_u64be(&f->e, page * FIXTURE_PAGE | 8 | (block ? 0 : 0x20));
        if (block)
                emit_str8(&f->e, block);
        emit_bytes(&f->e, bytes, sizeof bytes);
}

static inline void fixture_zero(struct fixture *f, const char *block,
                                uint64_t page)
{
        emit_u64be(&f->e, page * FIXTURE_PAGE | 2 | (block ? 0 : 0x20));
        if (block)
                emit_str8(&f->e, block);
        emit_u8(&f->e, 0);
}

static inline void fixture_eos(struct fixture *f)
{
        emit_u64be(&f->e, 0x10);
        fixture_footer(f, FIXTURE_RAM_ID);
}

/* All pages but the last of ram0 in a PART; that one in END.  Page n of ram0
 * is filled with n + 1, page 1 is zero; rom's pages with 0xee. */
static inline void fixture_ram(struct fixture *f)
{
        fixture_ram_start(f);
        fixture_part(f, 2);
        fixture_page(f, "ram0", 0, 1);
        fixture_zero(f, NULL, 1);
        for (uint8_t i = 2; i < FIXTURE_PAGES - 1; i++)
                fixture_page(f, NULL, i, (uint8_t)(i + 1));
        fixture_page(f, "rom", 0, 0xee);
        fixture_page(f, NULL, 1, 0xee);
        fixture_eos(f);
        fixture_part(f, 3);
        fixture_page(f, "ram0", FIXTURE_PAGES - 1, FIXTURE_PAGES);
        fixture_eos(f);
}

/* A device section of len bytes of `fill`, which vmdesc calls `told` long. */
static inline void fixture_device(struct fixture *f, uint32_t id,
                                  const char *idstr, uint32_t instance,
                                  size_t len, uint8_t fill, size_t told)
{
        size_t at = strlen(f->vmdesc);

        fixture_section(f, 4, id, idstr, instance, 1);
        for (size_t i = 0; i < len; i++)
                emit_u8(&f->e, fill);
        fixture_footer(f, id);
        snprintf(f->vmdesc + at, sizeof f->vmdesc - at,
                 "%s{\"name\": \"%s\", \"instance_id\": %u, \"fields\": "
                 "[{\"name\": \"x\", \"type\": \"buffer\", \"size\": %zu}]}",
                 at ? ", " : "", idstr, instance, told);
}

static inline void fixture_eof(struct fixture *f, bool vmdesc)
{
        char json[4400];
        int len =
                snprintf(json, sizeof json,
                         "{\"page_size\": 4096, \"devices\": [%s]}", f->vmdesc);

        emit_u8(&f->e, 0);
        if (!vmdesc)
                return;
        emit_u8(&f->e, 6);
        emit_u32be(&f->e, (uint32_t)len);
        emit_bytes(&f->e, json, (size_t)len);
}

static inline void fixture_whole(struct fixture *f, bool footers, bool vmdesc)
{
        fixture_begin(f, footers, footers ? "pc-test-1" : NULL);
        fixture_ram(f);
        fixture_device(f, 4, "timer", 0, 24, 0x11, 24);
        fixture_device(f, 5, "0000:00:02.0/vga", 0, 300, 0x04, 300);
        fixture_device(f, 9, "serial", 1, 11, 0x7e, 11);
        fixture_eof(f, vmdesc);
}

#endif
