/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow/cluster.h"

#include "base/codec.h"
#include "base/inflate.h"
#include "base/io.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct cluster_reader {
        int fd;
        const char *name;
        const struct qcow2_header *h;
        struct codec *codec; /* zstd */
        size_t size;
        uint64_t kept; /* whose content is in bytes; 0: none */
        uint8_t *bytes, *stored;
};

bool cluster_reader_new(int fd, const char *name, const struct qcow2_header *h,
                        struct cluster_reader **out, struct err *err)
{
        struct cluster_reader *r = calloc(1, sizeof *r);

        if (!r)
                return err_nomem(err);
        *r = (struct cluster_reader){
                .fd = fd,
                .name = name,
                .h = h,
                .size = (size_t)1 << h->cluster_bits,
        };
        r->bytes = malloc(r->size);
        /* The most that an entry can count. */
        r->stored = malloc(2 * r->size);
        if (h->zstd)
                r->codec = codec_new(1);
        if (!r->bytes || !r->stored || (h->zstd && !r->codec)) {
                cluster_reader_free(r);
                return err_nomem(err);
        }
        *out = r;
        return true;
}

void cluster_reader_free(struct cluster_reader *r)
{
        if (!r)
                return;
        codec_free(r->codec);
        free(r->bytes);
        free(r->stored);
        free(r);
}

static bool unpack(struct cluster_reader *r, uint64_t host, size_t stored,
                   uint8_t *out, struct err *err)
{
        bool ok;

        TRY(io_pread_all(r->fd, r->stored, stored, host, r->name, err));
        ok = r->h->zstd ? codec_unpack_frames(r->codec, r->stored, stored, out,
                                              r->size, err)
                        : inflate_raw(out, r->size, r->stored, stored, err);
        if (!ok) {
                err_at(err, host);
                err_in_section(err, "compressed cluster");
                return err_in_file(err, r->name);
        }
        return true;
}

bool cluster_read(struct cluster_reader *r, uint64_t host, uint64_t stored,
                  uint64_t within, uint8_t *bytes, size_t len, struct err *err)
{
        assert(stored <= 2 * r->size && within + len <= r->size);
        /* All of it, as long ranges are read: not by way of what is kept. */
        if (r->kept != host && len == r->size)
                return unpack(r, host, (size_t)stored, bytes, err);
        if (r->kept != host) {
                r->kept = 0;
                TRY(unpack(r, host, (size_t)stored, r->bytes, err));
                r->kept = host;
        }
        memcpy(bytes, r->bytes + within, len);
        return true;
}
