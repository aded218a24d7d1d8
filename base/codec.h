/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* codec: one chunk, one zstd frame; the one door to zstd.  A codec belongs to
 * one worker. */
#ifndef STASIS_BASE_CODEC_H
#define STASIS_BASE_CODEC_H

#include "base/err.h"

struct codec;

struct codec *codec_new(int level); /* NULL: no memory */
void codec_free(struct codec *c);

/* The most that a chunk of raw_len bytes can become. */
size_t codec_bound(size_t raw_len);
/* The frame carries its content's size and no checksum of its own (the index
 * has stronger ones).  room >= codec_bound(len). */
bool codec_pack(struct codec *c, const uint8_t *raw, size_t len, uint8_t *out,
                size_t room, size_t *len_out, struct err *err);
/* Exactly one frame of exactly raw_len bytes; else ERR_CORRUPT. */
bool codec_unpack(struct codec *c, const uint8_t *stored, size_t len,
                  uint8_t *raw, size_t raw_len, struct err *err);

/* One frame or several that make exactly raw_len bytes; what follows them in
 * `stored` is of no account (a qcow2 image's compressed cluster). */
bool codec_unpack_frames(struct codec *c, const uint8_t *stored, size_t len,
                         uint8_t *raw, size_t raw_len, struct err *err);

/* The next piece of one endless frame: exactly all of `in`, and exactly out_len
 * bytes of it. */
bool codec_continue(struct codec *c, const uint8_t *in, size_t len,
                    uint8_t *out, size_t out_len, struct err *err);

/* What a frame says of its content's size; at most CHUNK_SIZE. */
bool codec_raw_size(const uint8_t *stored, size_t len, uint64_t *out,
                    struct err *err);

bool codec_level_ok(int level);

#endif
