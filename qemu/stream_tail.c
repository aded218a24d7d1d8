/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a stream: device sections, EOF and vmdesc are kept until they are
 * complete, told apart (qemu/tail.h), and told.
 */
#include "qemu/stream_private.h"

#include <string.h>

static enum tail_result try_tail(struct stream *s, bool at_end, uint64_t origin,
                                 struct tail *t, struct err *err)
{
        const uint8_t *bytes;

        if (!spool_view(s->spool, &bytes, err))
                return TAIL_BAD;
        return tail_parse(bytes, (size_t)spool_size(s->spool),
                          s->footers == FOOTERS_ON, at_end, s->early,
                          s->early_count, origin, t, err);
}

static bool keep(struct stream *s, const uint8_t *p, size_t len,
                 struct err *err)
{
        if (spool_size(s->spool) + len > LIMIT_TAIL_BYTES)
                return stream_fail(s, err, ERR_LIMIT, "device state",
                                   "more than %llu bytes behind RAM",
                                   (unsigned long long)LIMIT_TAIL_BYTES);
        TRY(spool_append(s->spool, p, len, err));
        source_take(s->source, len);
        return true;
}

/* A live sender: the stream is complete when the bytes say so, or, without a
 * vmdesc, when the sender says that it waits: which it may say only after
 * several questions, since it is asked again only here. */
static bool quiet_end(struct stream *s, bool *at_end, struct err *err)
{
        bool came;

        *at_end = false;
        while (!*at_end) {
                TRY(source_wait(s->source, 50, &came, err));
                if (came)
                        return true;
                TRY(s->options.at_end(s->options.arg, at_end, err));
        }
        return true;
}

static bool gather_live(struct stream *s, uint64_t origin, struct tail *t,
                        struct err *err)
{
        for (;;) {
                enum tail_result result = TAIL_INCOMPLETE;
                bool at_end = false;
                const uint8_t *p;
                size_t len;
                bool brace;

                TRY(source_some(s->source, &p, &len, err));
                brace = len > 0 && p[len - 1] == '}';
                TRY(keep(s, p, len, err));
                if (brace && !source_ready(s->source)) {
                        TRY(spool_view(s->spool, &p, err));
                        if (tail_may_end(p, (size_t)spool_size(s->spool)))
                                result = try_tail(s, false, origin, t, err);
                }
                if (result == TAIL_INCOMPLETE && len > 0 &&
                    !source_ready(s->source))
                        TRY(quiet_end(s, &at_end, err));
                if (result == TAIL_INCOMPLETE && (len == 0 || at_end))
                        result = try_tail(s, true, origin, t, err);
                if (result != TAIL_INCOMPLETE)
                        return result == TAIL_COMPLETE;
        }
}

static bool gather_file(struct stream *s, uint64_t origin, struct tail *t,
                        struct err *err)
{
        const uint8_t *p;
        size_t len;

        do {
                TRY(source_some(s->source, &p, &len, err));
                TRY(keep(s, p, len, err));
        } while (len > 0);
        return try_tail(s, true, origin, t, err) == TAIL_COMPLETE;
}

static bool tell_tail(struct stream *s, const struct tail *t, struct err *err)
{
        const uint8_t *bytes;

        TRY(spool_view(s->spool, &bytes, err));
        for (size_t i = 0; i < t->count; i++) {
                const struct tail_item *from = &t->items[i];
                struct stream_item item = {
                        .kind = from->idstr[0] ? "full" : "eof",
                        .section_id = from->section_id,
                        .instance_id = from->instance_id,
                        .version_id = from->version_id,
                };

                strcpy(item.idstr, from->idstr);
                TRY(stream_item_whole(s, &item, bytes + from->begin, from->len,
                                      err));
        }
        if (t->vmdesc_len)
                return s->events.vmdesc(s->events.arg, bytes + t->vmdesc_begin,
                                        t->vmdesc_len, err);
        return true;
}

bool stream_tail(struct stream *s, struct err *err)
{
        uint64_t origin = source_offset(s->source);
        struct tail t = {0};
        bool ok;

        TRY(source_copy_end(s->source, err));
        TRY(stream_end_ram(s, err));
        ok = s->options.at_end ? gather_live(s, origin, &t, err)
                               : gather_file(s, origin, &t, err);
        if (ok && t.page_size && s->page_size && t.page_size != s->page_size)
                ok = stream_fail(
                        s, err, ERR_CORRUPT, "vmdesc",
                        "target page size %u, but RAM was read with %u",
                        t.page_size, s->page_size);
        ok = ok &&
             (!s->events.complete || s->events.complete(s->events.arg, err));
        if (ok) {
                s->split = t.split;
                s->trailing = spool_size(s->spool) - t.end;
                ok = tell_tail(s, &t, err);
        }
        tail_fini(&t);
        return ok;
}
