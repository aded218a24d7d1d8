/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/zeros.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX 16u

static bool put_last(struct zeros *z, struct err *err)
{
        char line[ZEROS_LINE + 1];

        if (z->length == 0)
                return true;
        if (z->room - z->len < ZEROS_LINE) {
                size_t room = z->room ? 2 * z->room : 128 * ZEROS_LINE;
                char *grown = realloc(z->text, room);

                if (!grown)
                        return err_nomem(err);
                z->text = grown;
                z->room = room;
        }
        snprintf(line, sizeof line, "%016" PRIx64 " %016" PRIx64 "\n",
                 z->offset, z->length);
        memcpy(z->text + z->len, line, ZEROS_LINE);
        z->len += ZEROS_LINE;
        z->length = 0;
        return true;
}

bool zeros_add(struct zeros *z, uint64_t offset, uint64_t length, bool *taken,
               struct err *err)
{
        *taken = true;
        if (z->length > 0 && z->offset + z->length == offset) {
                z->length += length;
                return true;
        }
        if (z->len + 2 * ZEROS_LINE > LIMIT_ZEROS) {
                *taken = false;
                return true;
        }
        TRY(put_last(z, err));
        z->offset = offset;
        z->length = length;
        return true;
}

bool zeros_text(struct zeros *z, const char **text_out, size_t *len_out,
                struct err *err)
{
        TRY(put_last(z, err));
        *text_out = z->text;
        *len_out = z->len;
        return true;
}

void zeros_fini(struct zeros *z)
{
        free(z->text);
        *z = (struct zeros){0};
}

static bool hex(const uint8_t *p, uint64_t *out)
{
        *out = 0;
        for (size_t i = 0; i < HEX; i++) {
                uint8_t c = p[i];

                if (c >= '0' && c <= '9')
                        *out = *out << 4 | (uint64_t)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        *out = *out << 4 | (uint64_t)(c - 'a' + 10);
                else
                        return false;
        }
        return true;
}

bool zeros_next(const uint8_t *text, size_t len, size_t *pos, uint64_t *end,
                uint64_t *offset_out, uint64_t *length_out, struct err *err)
{
        const uint8_t *p = text + *pos;
        uint64_t offset, length;

        *offset_out = *length_out = 0;
        if (*pos == len)
                return true;
        if (len - *pos < ZEROS_LINE || p[HEX] != ' ' ||
            p[ZEROS_LINE - 1] != '\n' || !hex(p, &offset) ||
            !hex(p + HEX + 1, &length))
                return err_set(err, ERR_CORRUPT,
                               "line %zu is not 'OFFSET LENGTH'",
                               *pos / ZEROS_LINE + 1);
        if (length == 0 || offset > UINT64_MAX - length ||
            (*pos > 0 && offset <= *end))
                return err_set(err, ERR_CORRUPT,
                               "line %zu: the extent is empty, or not behind "
                               "the one before",
                               *pos / ZEROS_LINE + 1);
        *pos += ZEROS_LINE;
        *end = offset + length;
        *offset_out = offset;
        *length_out = length;
        return true;
}
