/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A MiB of RAM or of a disk, of both snapshots: decoded, checked against the
 * index, compared unit by unit. */
#include "restore/diff_private.h"

#include "base/bytes.h"
#include "base/codec.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/pool.h"
#include "base/text.h"
#include "format/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void *job_new(void *arg)
{
        struct window *w = calloc(1, sizeof *w);

        (void)arg;
        for (int s = 0; w && s < 2; s++)
                w->side[s].raw = malloc(CHUNK_SIZE);
        if (w && (!w->side[0].raw || !w->side[1].raw)) {
                free(w->side[0].raw);
                free(w->side[1].raw);
                free(w);
                return NULL;
        }
        return w;
}

static void job_free(void *job)
{
        struct window *w = job;

        if (!w)
                return;
        for (int s = 0; s < 2; s++) {
                free(w->side[s].raw);
                free(w->side[s].stored);
        }
        free(w);
}

static void *worker_new(void *arg)
{
        (void)arg;
        return codec_new(1);
}

static void worker_free(void *worker)
{
        codec_free(worker);
}

static bool in_piece(const struct window *w, int s, const struct piece *p,
                     struct err *err)
{
        char name[600], shown[320];

        snprintf(name, sizeof name, "%s/%016" PRIx64 "%s", w->dir, p->address,
                 p->zst ? ".zst" : "");
        err_in_file(err, w->in[s].name);
        err_at(err, p->data_offset);
        return err_in_section(err, text_escape(name, shown, sizeof shown));
}

static bool load_side(struct window *w, int s, struct err *err)
{
        struct window_side *side = &w->side[s];
        size_t need = 0, at = 0;

        for (size_t i = 0; i < side->count; i++)
                need += side->pieces[i].stored_len;
        if (need > side->stored_room) {
                uint8_t *grown = realloc(side->stored, need);

                if (!grown)
                        return err_nomem(err);
                side->stored = grown;
                side->stored_room = need;
        }
        for (size_t i = 0; i < side->count; i++) {
                const struct piece *p = &side->pieces[i];

                if (!io_pread_all(w->in[s].fd, side->stored + at, p->stored_len,
                                  p->data_offset, w->in[s].name, err))
                        return in_piece(w, s, p, err);
                at += p->stored_len;
        }
        return true;
}

bool window_load(struct window *w, struct err *err)
{
        return load_side(w, 0, err) && load_side(w, 1, err);
}

static bool decode_piece(struct codec *codec, const struct piece *p,
                         const uint8_t *stored, uint8_t *raw, struct err *err)
{
        uint8_t digest[DIGEST_SIZE];

        if (p->zst)
                TRY(codec_unpack(codec, stored, p->stored_len, raw, p->raw_len,
                                 err));
        else
                memcpy(raw, stored, p->raw_len);
        digest_of(raw, p->raw_len, digest);
        return memcmp(digest, p->digest, sizeof digest) == 0 ||
               err_set(err, ERR_CORRUPT, "digest mismatch");
}

/* What no piece has is zeros, also where it is a hole. */
static bool decode_side(struct codec *codec, struct window *w, int s,
                        struct err *err)
{
        struct window_side *side = &w->side[s];
        const uint8_t *stored = side->stored;

        if (side->count != 1 || side->pieces[0].raw_len < w->len)
                memset(side->raw, 0, w->len);
        for (size_t i = 0; i < side->count; i++) {
                const struct piece *p = &side->pieces[i];

                if (!decode_piece(codec, p, stored,
                                  side->raw + (p->address - w->begin), err))
                        return in_piece(w, s, p, err);
                stored += p->stored_len;
        }
        return true;
}

static uint8_t judge(const struct window *w, size_t at, size_t len)
{
        const struct window_side *a = &w->side[0], *b = &w->side[1];
        uint8_t hole_a = a->holes[at / DIFF_SECTOR],
                hole_b = b->holes[at / DIFF_SECTOR];

        if (hole_a == SECTOR_HOLE && hole_b == SECTOR_HOLE)
                return 0;
        if (hole_a == SECTOR_HOLE)
                return VERDICT_DIFFERS | VERDICT_HOLE_A;
        if (hole_b == SECTOR_HOLE)
                return VERDICT_DIFFERS | VERDICT_HOLE_B;
        if (memcmp(a->raw + at, b->raw + at, len) == 0)
                return 0;
        return (uint8_t)(VERDICT_DIFFERS |
                         (bytes_are_zero(a->raw + at, len) ? VERDICT_ZERO_A
                                                           : 0) |
                         (bytes_are_zero(b->raw + at, len) ? VERDICT_ZERO_B
                                                           : 0));
}

static bool work(void *worker, void *job, struct err *err)
{
        struct window *w = job;
        size_t n = 0;

        TRY(decode_side(worker, w, 0, err));
        TRY(decode_side(worker, w, 1, err));
        for (size_t at = 0; at < w->len; at += w->unit, n++)
                w->verdicts[n] = judge(
                        w, at, w->len - at < w->unit ? w->len - at : w->unit);
        return true;
}

const struct pool_ops window_ops = {
        .job_new = job_new,
        .job_free = job_free,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .work = work,
};
