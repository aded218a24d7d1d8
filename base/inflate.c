/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/inflate.h"

#include <zlib.h>

static bool run(uint8_t *raw, size_t raw_len, const uint8_t *bytes, size_t len,
                int window, z_stream *z, int *rc_out, struct err *err)
{
        *z = (z_stream){
                .next_in = (Bytef *)(uintptr_t)bytes,
                .avail_in = (uInt)len,
                .next_out = raw,
                .avail_out = (uInt)raw_len,
        };
        if (inflateInit2(z, window) != Z_OK)
                return err_nomem(err);
        *rc_out = inflate(z, Z_FINISH);
        inflateEnd(z);
        return true;
}

bool inflate_zlib(uint8_t *raw, size_t raw_len, const uint8_t *bytes,
                  size_t len, struct err *err)
{
        z_stream z;
        int rc = Z_STREAM_ERROR;

        TRY(run(raw, raw_len, bytes, len, MAX_WBITS, &z, &rc, err));
        if (rc == Z_STREAM_END && !z.avail_out && !z.avail_in)
                return true;
        return err_set(err, ERR_CORRUPT, "does not inflate to %zu bytes",
                       raw_len);
}

bool inflate_raw(uint8_t *raw, size_t raw_len, const uint8_t *bytes, size_t len,
                 struct err *err)
{
        z_stream z;
        int rc = Z_STREAM_ERROR;

        TRY(run(raw, raw_len, bytes, len, -MAX_WBITS, &z, &rc, err));
        /* The end of the stream may lie behind the last byte that counts. */
        if ((rc == Z_STREAM_END || rc == Z_BUF_ERROR) && !z.avail_out)
                return true;
        return err_set(err, ERR_CORRUPT, "does not inflate to %zu bytes",
                       raw_len);
}
