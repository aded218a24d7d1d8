/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/index.h"

#include "base/hex.h"

#include "format/digest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t index_line(const struct index_entry *e, char out[LIMIT_INDEX_LINE])
{
        char stored[DIGEST_HEX], raw[DIGEST_HEX];
        int n = snprintf(out, LIMIT_INDEX_LINE,
                         "%016" PRIx64 " %016" PRIx64 " %016" PRIx64
                         " %s %s %s\n",
                         e->data_offset, e->stored_len, e->raw_len,
                         digest_hex(e->stored_digest, stored),
                         digest_hex(e->raw_digest, raw), e->name);

        assert(n > 0 && n < LIMIT_INDEX_LINE);
        return (size_t)n;
}

static bool bad(struct err *err, const char *why)
{
        err_in_section(err, "stasis/index");
        return err_set(err, ERR_CORRUPT, "index line: %s", why);
}

static bool parse_hex(const char *s, uint64_t *out)
{
        unsigned all = 0;

        *out = 0;
        for (int i = 0; i < 16; i++) {
                unsigned digit = hex_digit(s[i]);

                all |= digit;
                *out = *out << 4 | (digit & 15);
        }
        return all < 16 && s[16] == ' ';
}

bool index_parse(const char *line, size_t len, struct index_entry *out,
                 struct err *err)
{
        size_t name_len;

        if (len <= INDEX_FIXED || len >= LIMIT_INDEX_LINE)
                return bad(err, "too short or too long");
        if (!parse_hex(line, &out->data_offset) ||
            !parse_hex(line + 17, &out->stored_len) ||
            !parse_hex(line + 34, &out->raw_len))
                return bad(err, "not three numbers of 16 hex digits");
        if (!digest_parse(line + 51, out->stored_digest) || line[83] != ' ' ||
            !digest_parse(line + 84, out->raw_digest) || line[116] != ' ')
                return bad(err, "not two digests of 32 hex digits");
        name_len = len - INDEX_FIXED;
        if (name_len >= sizeof out->name ||
            memchr(line + INDEX_FIXED, 0, name_len))
                return bad(err, "not a member name");
        memcpy(out->name, line + INDEX_FIXED, name_len);
        out->name[name_len] = '\0';
        return true;
}
