/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/absent.h"

#include <inttypes.h>

#include "base/text.h"

bool absent_add(json_t *list, const struct ram_block *b, uint64_t offset,
                uint64_t len, const char *reason, bool multifd, struct err *err)
{
        json_t *range;
        char shown[300];

        text_escape(b->name, shown, sizeof shown);
        if (!reason) {
                err_in_section(err, shown);
                return err_set(err, ERR_CORRUPT,
                               "0x%" PRIx64 " bytes at 0x%" PRIx64
                               " were never sent%s",
                               len, offset,
                               multifd ? ": the source used multifd, whose "
                                         "pages are not in this stream; switch "
                                         "the capability off"
                                       : "");
        }
        range = json_pack("{s:s, s:I, s:I, s:s}", "block", b->name, "offset",
                          (json_int_t)offset, "length", (json_int_t)len,
                          "reason", reason);
        if (!range || json_array_append_new(list, range) != 0)
                return err_nomem(err);
        return true;
}
