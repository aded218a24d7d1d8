/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks through the codec, one thread; lines of the index. */
#include "bench/micro.h"

#include "base/codec.h"
#include "format/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct codec_case {
        struct codec *codec;
        const uint8_t *raw;
        size_t size;      /* of raw */
        uint8_t *stored;  /* frames, each in its own room */
        size_t *lens;     /* of the frames */
        uint8_t *out;     /* CHUNK_SIZE */
        size_t room, sum; /* of a frame; of all */
};

/* CPU time: another program that runs does not change what it costs. */
static double pack(void *arg)
{
        struct codec_case *c = arg;
        struct err err = ERR_INIT;
        double begun = micro_clock(CLOCK_THREAD_CPUTIME_ID);

        c->sum = 0;
        for (size_t i = 0; i < c->size / CHUNK_SIZE; i++) {
                if (!codec_pack(c->codec, c->raw + i * CHUNK_SIZE, CHUNK_SIZE,
                                c->stored + i * c->room, c->room, &c->lens[i],
                                &err))
                        micro_die("compression", &err);
                c->sum += c->lens[i];
        }
        return micro_clock(CLOCK_THREAD_CPUTIME_ID) - begun;
}

static double unpack(void *arg)
{
        struct codec_case *c = arg;
        struct err err = ERR_INIT;
        double begun = micro_clock(CLOCK_THREAD_CPUTIME_ID);

        for (size_t i = 0; i < c->size / CHUNK_SIZE; i++)
                if (!codec_unpack(c->codec, c->stored + i * c->room, c->lens[i],
                                  c->out, CHUNK_SIZE, &err))
                        micro_die("decompression", &err);
        return micro_clock(CLOCK_THREAD_CPUTIME_ID) - begun;
}

/* Of `size` bytes at raw; what decompression reaches. */
static double both_ways(struct micro *m, const char *what, int level,
                        const uint8_t *raw, size_t size)
{
        struct codec_case c = {
                .codec = codec_new(level),
                .raw = raw,
                .size = size,
                .room = codec_bound(CHUNK_SIZE),
        };
        struct micro_case k = {.arg = &c, .bytes = (double)size};
        double rate;

        c.stored = micro_alloc(size / CHUNK_SIZE * c.room);
        c.lens = calloc(size / CHUNK_SIZE, sizeof *c.lens);
        c.out = micro_alloc(CHUNK_SIZE);
        if (!c.codec || !c.lens)
                micro_die("no memory", NULL);
        k.run = pack;
        pack(&c);
        micro_add(m, &k, "compress zstd:%d, %s (to %.1f %%)", level, what,
                  100.0 * (double)c.sum / (double)size);
        k.run = unpack;
        rate = micro_add(m, &k, "decompress zstd:%d, %s", level, what);
        codec_free(c.codec);
        free(c.stored);
        free(c.lens);
        free(c.out);
        return rate;
}

#define LINES 100000

struct lines {
        struct index_entry entry, read;
        char *text; /* LINES of them */
        size_t len; /* of each, newline included */
};

static double write_lines(void *arg)
{
        struct lines *l = arg;
        double begun = micro_wall();

        for (size_t i = 0; i < LINES; i++) {
                l->entry.data_offset = i * 4096;
                index_line(&l->entry, l->text + i * l->len);
        }
        return micro_wall() - begun;
}

static double parse_lines(void *arg)
{
        struct lines *l = arg;
        struct err err = ERR_INIT;
        double begun = micro_wall();

        for (size_t i = 0; i < LINES; i++)
                if (!index_parse(l->text + i * l->len, l->len - 1, &l->read,
                                 &err))
                        micro_die("the index", &err);
        return micro_wall() - begun;
}

static void add_index(struct micro *m)
{
        static struct lines l;
        char line[LIMIT_INDEX_LINE];
        struct micro_case c = {.arg = &l, .items = LINES};

        strcpy(l.entry.name, "ram/pc.ram/0000000040000000.zst");
        l.entry.stored_len = 300000;
        l.entry.raw_len = CHUNK_SIZE;
        l.len = index_line(&l.entry, line);
        l.text = (char *)micro_alloc(LINES * l.len + LIMIT_INDEX_LINE);
        c.bytes = (double)(LINES * l.len);
        c.run = write_lines;
        micro_add(m, &c, "index, a line (%zu bytes) written", l.len);
        c.run = parse_lines;
        micro_add(m, &c, "index, a line parsed");
        free(l.text);
}

void micro_codec(struct micro *m)
{
        static const int levels[] = {-3, -1, 1, 3};
        uint8_t *bytes = micro_alloc(32 * MiB);
        uint64_t n = 88172645463325252ULL;
        double rate;

        for (unsigned i = 0; i < 4; i++) {
                rate = both_ways(m, "programs", levels[i], m->content,
                                 MICRO_CONTENT);
                if (levels[i] == 1)
                        m->unpacking = rate;
        }
        memset(bytes, 0, 32 * MiB);
        both_ways(m, "zeros", 1, bytes, 32 * MiB);
        for (size_t i = 0; i < 32 * MiB; i += sizeof n) {
                n ^= n << 13;
                n ^= n >> 7;
                n ^= n << 17;
                memcpy(bytes + i, &n, sizeof n);
        }
        both_ways(m, "random", 1, bytes, 32 * MiB);
        free(bytes);
        add_index(m);
}
