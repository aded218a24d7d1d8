/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memcpy, which all is held against; the zero test; the digest. */
#include "bench/micro.h"

#include "base/bytes.h"
#include "format/digest.h"

#include <stdlib.h>
#include <string.h>

/* Larger than the caches; and what fits into a core's own. */
#define SET  (64 * MiB)
#define HOT  (256 * KiB)
#define PAGE 4096

struct memory {
        uint8_t *from, *to; /* SET each */
        size_t block;       /* copied at a time */
        size_t set;         /* the same so many bytes again and again */
        bool zero;          /* what the zero test must say */
        void (*look)(struct memory *m, const uint8_t *bytes);
        uint64_t sum; /* so that nothing is optimized away */
};

static double copy(void *arg)
{
        struct memory *m = arg;
        double begun = micro_wall();

        for (size_t i = 0; i < SET; i += m->block)
                memcpy(m->to + i % m->set, m->from + i % m->set, m->block);
        begun = micro_wall() - begun;
        m->sum += m->to[m->set - 1];
        return begun;
}

static void look_for_zeros(struct memory *m, const uint8_t *bytes)
{
        for (size_t i = 0; i < CHUNK_SIZE; i += PAGE)
                if (bytes_are_zero(bytes + i, PAGE) != m->zero)
                        micro_die("the zero test is wrong", NULL);
}

static void look_digest(struct memory *m, const uint8_t *bytes)
{
        uint8_t digest[DIGEST_SIZE];

        digest_of(bytes, CHUNK_SIZE, digest);
        m->sum += digest[0];
}

/* Each MiB right after it was copied. */
static double hot(void *arg)
{
        struct memory *m = arg;
        double begun, took = 0;

        for (size_t i = 0; i < SET; i += CHUNK_SIZE) {
                memcpy(m->to + i, m->from + i, CHUNK_SIZE);
                begun = micro_wall();
                m->look(m, m->to + i);
                took += micro_wall() - begun;
        }
        return took;
}

static double cold(void *arg)
{
        struct memory *m = arg;
        double begun;

        memset(m->to, 0x5a, SET); /* out of the caches with the others */
        begun = micro_wall();
        for (size_t i = 0; i < SET; i += CHUNK_SIZE)
                m->look(m, m->from + i);
        return micro_wall() - begun;
}

static void add(struct micro *m, struct memory *s,
                void (*look)(struct memory *, const uint8_t *),
                const char *what)
{
        struct micro_case c = {.arg = s, .bytes = SET};

        s->look = look;
        c.run = hot;
        c.goal = 0.8;
        micro_add(m, &c, "%s, hot", what);
        c.run = cold;
        c.goal = 0;
        micro_add(m, &c, "%s, cold", what);
}

void micro_memory(struct micro *m)
{
        struct memory s = {
                .from = micro_alloc(SET),
                .to = micro_alloc(SET),
                .block = CHUNK_SIZE,
                .set = SET,
        };
        struct micro_case c = {.run = copy, .arg = &s, .bytes = SET};

        memcpy(s.from, m->content, SET);
        micro_add(m, &c, "memcpy, 64 MiB");
        s.block = s.set = HOT;
        micro_add(m, &c, "memcpy, in the core's cache");
        add(m, &s, look_digest, "digest");
        memset(s.from, 0, SET);
        s.zero = true;
        add(m, &s, look_for_zeros, "zero test, pages of zeros");
        for (size_t i = PAGE - 1; i < SET; i += PAGE)
                s.from[i] = 1;
        s.zero = false;
        add(m, &s, look_for_zeros, "zero test, last byte not zero");
        free(s.from);
        free(s.to);
}
