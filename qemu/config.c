/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/config.h"

#include "base/text.h"
#include "qemu/stream_format.h"

#include <string.h>

#define CAPABILITIES_MAX 64

static bool parse_page_bits(struct cursor *c, struct stream_config *out)
{
        TRY(cursor_u32be(c, "target-page-bits", &out->page_bits));
        if (out->page_bits < 8 || out->page_bits > 16)
                return cursor_bad(c, ERR_CORRUPT, "%u is not 8 to 16",
                                  out->page_bits);
        return true;
}

static bool parse_capabilities(struct cursor *c, struct stream_config *out)
{
        char name[256], shown[300];
        uint32_t count;

        TRY(cursor_u32be(c, "capabilities count", &count));
        if (count > CAPABILITIES_MAX)
                return cursor_bad(c, ERR_CORRUPT, "%u capabilities", count);
        for (uint32_t i = 0; i < count; i++) {
                TRY(cursor_str8(c, "capability", name));
                if (strcmp(name, "x-ignore-shared") == 0)
                        out->ignore_shared = true;
                else if (strcmp(name, "mapped-ram") == 0)
                        out->mapped_ram = true;
                else
                        return cursor_bad(
                                c, ERR_UNSUPPORTED,
                                "the stream was written with "
                                "capability '%s', which is not known",
                                text_escape(name, shown, sizeof shown));
        }
        return true;
}

static bool parse_uuid(struct cursor *c, struct stream_config *out)
{
        const uint8_t *p;

        TRY(cursor_view(c, "uuid", sizeof out->uuid, &p));
        memcpy(out->uuid, p, sizeof out->uuid);
        out->has_uuid = true;
        return true;
}

static bool parse_subsection(struct cursor *c, struct stream_config *out)
{
        char name[256], shown[300];
        uint32_t version;
        uint8_t type;

        TRY(cursor_u8(c, "type", &type));
        TRY(cursor_str8(c, "subsection", name));
        TRY(cursor_u32be(c, "version", &version));
        if (version != 1)
                return cursor_bad(c, ERR_UNSUPPORTED, "version %u, not 1",
                                  version);
        if (strcmp(name, "configuration/target-page-bits") == 0)
                return parse_page_bits(c, out);
        if (strcmp(name, "configuration/capabilities") == 0)
                return parse_capabilities(c, out);
        if (strcmp(name, "configuration/uuid") == 0)
                return parse_uuid(c, out);
        return cursor_bad(c, ERR_UNSUPPORTED, "unknown subsection '%s'",
                          text_escape(name, shown, sizeof shown));
}

bool stream_config_parse(struct cursor *c, struct stream_config *out)
{
        struct stream_config got = {0};
        const uint8_t *name;
        uint32_t len;
        uint8_t type;

        TRY(cursor_u8(c, "type", &type));
        if (type != ITEM_CONFIGURATION)
                return cursor_bad(c, ERR_CORRUPT, "type 0x%02x, not 0x07",
                                  type);
        TRY(cursor_u32be(c, "machine type length", &len));
        if (len == 0 || len >= sizeof got.machine)
                return cursor_bad(c, ERR_CORRUPT,
                                  "machine type of %u bytes, not 1 to 255",
                                  len);
        TRY(cursor_view(c, "machine type", len, &name));
        if (memchr(name, 0, len))
                return cursor_bad(c, ERR_CORRUPT, "machine type holds NUL");
        memcpy(got.machine, name, len);
        while (cursor_left(c) > 0 && c->bytes[c->pos] == ITEM_SUBSECTION)
                TRY(parse_subsection(c, &got));
        *out = got;
        return true;
}
