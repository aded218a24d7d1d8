/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* frames LEVEL FILE: what it costs one thread to compress a file in frames of
 * 1 MiB, as a save does; those of zeros, which a save drops, are left out. */
#include "bench/micro.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/codec.h"
#include "base/io.h"
#include "format/digest.h"

#include <inttypes.h>
#include <stdio.h>

struct frames {
        struct codec *codec; /* NULL: digests only */
        uint8_t *raw, *stored;
        uint64_t count, zeros, raw_bytes, stored_bytes;
        double cpu;
};

static void one_frame(struct frames *f, size_t len)
{
        struct err err = ERR_INIT;
        uint8_t digest[DIGEST_SIZE];
        size_t stored = len;
        double begun;

        f->raw_bytes += len;
        if (bytes_are_zero(f->raw, len)) {
                f->zeros++;
                return;
        }
        begun = micro_clock(CLOCK_THREAD_CPUTIME_ID);
        if (!f->codec)
                digest_of(f->raw, len, digest);
        else if (!codec_pack(f->codec, f->raw, len, f->stored, codec_bound(len),
                             &stored, &err))
                micro_die("compression", &err);
        f->cpu += micro_clock(CLOCK_THREAD_CPUTIME_ID) - begun;
        f->count++;
        f->stored_bytes += stored;
}

/* Short only at the file's end. */
static size_t fill(int fd, const char *path, uint8_t *bytes)
{
        struct err err = ERR_INIT;
        size_t len = 0, more;

        do {
                if (!io_read_some(fd, bytes + len, CHUNK_SIZE - len, &more,
                                  path, &err))
                        micro_die("reading", &err);
                len += more;
        } while (more && len < CHUNK_SIZE);
        return len;
}

int micro_frames(const char *level, const char *path)
{
        struct frames f = {
                .raw = micro_alloc(CHUNK_SIZE),
                .stored = micro_alloc(codec_bound(CHUNK_SIZE)),
        };
        struct err err = ERR_INIT;
        CLEANUP_FD int fd = -1;
        size_t len;
        char *end;

        if (strcmp(level, "none") != 0) {
                long n = strtol(level, &end, 10);

                if (*end || end == level || !codec_level_ok((int)n))
                        micro_die("LEVEL is none or a level of zstd", NULL);
                if (!(f.codec = codec_new((int)n)))
                        micro_die("no memory", NULL);
        }
        if (!io_open_read(path, &fd, &err))
                micro_die("opening", &err);
        while ((len = fill(fd, path, f.raw)) > 0)
                one_frame(&f, len);
        printf("{\"frames\": %" PRIu64 ", \"zero_frames\": %" PRIu64
               ", \"raw_bytes\": %" PRIu64 ", \"stored_bytes\": %" PRIu64
               ", \"cpu_seconds\": %.6f}\n",
               f.count, f.zeros, f.raw_bytes, f.stored_bytes, f.cpu);
        codec_free(f.codec);
        free(f.raw);
        free(f.stored);
        return 0;
}
