/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/codec.h"

#include "base/limits.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* What a frame may ask for while it is unpacked: 8 MiB, as RFC 8878 wants every
 * decoder to allow; by default it would be 128. */
#define WINDOW_LOG_MAX 23

struct codec {
        ZSTD_CCtx *pack;
        ZSTD_DCtx *unpack;
};

struct codec *codec_new(int level)
{
        struct codec *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        c->pack = ZSTD_createCCtx();
        c->unpack = ZSTD_createDCtx();
        if (!c->pack || !c->unpack ||
            ZSTD_isError(ZSTD_DCtx_setParameter(c->unpack, ZSTD_d_windowLogMax,
                                                WINDOW_LOG_MAX)) ||
            ZSTD_isError(ZSTD_CCtx_setParameter(
                    c->pack, ZSTD_c_compressionLevel, level))) {
                codec_free(c);
                return NULL;
        }
        return c;
}

void codec_free(struct codec *c)
{
        if (!c)
                return;
        ZSTD_freeCCtx(c->pack);
        ZSTD_freeDCtx(c->unpack);
        free(c);
}

size_t codec_bound(size_t raw_len)
{
        return ZSTD_compressBound(raw_len);
}

bool codec_level_ok(int level)
{
        return level >= ZSTD_minCLevel() && level <= ZSTD_maxCLevel();
}

bool codec_pack(struct codec *c, const uint8_t *raw, size_t len, uint8_t *out,
                size_t room, size_t *len_out, struct err *err)
{
        size_t n = ZSTD_compress2(c->pack, out, room, raw, len);

        if (ZSTD_isError(n))
                return err_set(err, ERR_NOMEM, "zstd: %s",
                               ZSTD_getErrorName(n));
        *len_out = n;
        return true;
}

bool codec_raw_size(const uint8_t *stored, size_t len, uint64_t *out,
                    struct err *err)
{
        static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};
        unsigned long long size = ZSTD_getFrameContentSize(stored, len);

        /* The library may know older formats, too. */
        if (len < sizeof magic || memcmp(stored, magic, sizeof magic) != 0)
                return err_set(err, ERR_CORRUPT, "not a zstd frame");
        if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
                return err_set(err, ERR_CORRUPT,
                               "not a zstd frame that tells its size");
        if (size == 0 || size > CHUNK_SIZE)
                return err_set(err, ERR_CORRUPT,
                               "a zstd frame of %llu bytes is not a chunk",
                               size);
        *out = size;
        return true;
}

bool codec_unpack(struct codec *c, const uint8_t *stored, size_t len,
                  uint8_t *raw, size_t raw_len, struct err *err)
{
        uint64_t size;
        size_t n;

        TRY(codec_raw_size(stored, len, &size, err));
        if (size != raw_len)
                return err_set(err, ERR_CORRUPT,
                               "a zstd frame of %llu bytes, not %zu",
                               (unsigned long long)size, raw_len);
        n = ZSTD_findFrameCompressedSize(stored, len);
        if (ZSTD_isError(n) || n != len)
                return err_set(err, ERR_CORRUPT, "not exactly one zstd frame");
        n = ZSTD_decompressDCtx(c->unpack, raw, raw_len, stored, len);
        if (ZSTD_isError(n))
                return err_set(err, ERR_CORRUPT, "zstd: %s",
                               ZSTD_getErrorName(n));
        if (n != raw_len)
                return err_set(err, ERR_CORRUPT, "%zu bytes, not %zu", n,
                               raw_len);
        return true;
}

bool codec_unpack_frames(struct codec *c, const uint8_t *stored, size_t len,
                         uint8_t *raw, size_t raw_len, struct err *err)
{
        ZSTD_inBuffer in = {.src = stored, .size = len};
        ZSTD_outBuffer out = {.dst = raw, .size = raw_len};
        size_t left = 1;

        ZSTD_DCtx_reset(c->unpack, ZSTD_reset_session_only);
        while (out.pos < out.size || left != 0) {
                size_t was_in = in.pos, was_out = out.pos;

                left = ZSTD_decompressStream(c->unpack, &out, &in);
                if (ZSTD_isError(left))
                        return err_set(err, ERR_CORRUPT, "zstd: %s",
                                       ZSTD_getErrorName(left));
                /* Neither at its end nor getting there. */
                if (in.pos == was_in && out.pos == was_out)
                        return err_set(err, ERR_CORRUPT,
                                       "zstd frames that do not make %zu bytes",
                                       raw_len);
        }
        return true;
}

bool codec_continue(struct codec *c, const uint8_t *in, size_t len,
                    uint8_t *out, size_t out_len, struct err *err)
{
        ZSTD_inBuffer from = {.src = in, .size = len};
        ZSTD_outBuffer to = {.dst = out, .size = out_len};

        do {
                size_t was_in = from.pos, was_out = to.pos;
                size_t n = ZSTD_decompressStream(c->unpack, &to, &from);

                if (ZSTD_isError(n))
                        return err_set(err, ERR_CORRUPT, "zstd: %s",
                                       ZSTD_getErrorName(n));
                if (from.pos == was_in && to.pos == was_out)
                        break;
        } while (from.pos < from.size || to.pos < to.size);
        return (from.pos == from.size && to.pos == to.size) ||
               err_set(err, ERR_CORRUPT,
                       "a piece of a zstd frame that does not make %zu bytes",
                       out_len);
}
