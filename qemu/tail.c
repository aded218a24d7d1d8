/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/tail.h"

#include "base/cursor.h"
#include "base/emit.h"
#include "base/limits.h"
#include "base/text.h"
#include "qemu/stream_format.h"

#include <stdlib.h>
#include <string.h>

/* EOF byte, vmdesc type byte, be32 length, and the JSON's first byte. */
#define VMDESC_HEAD 6

/* Versions are small numbers, but for some that are dates (an EEPROM's is
 * 20061113); more is not a header. */
#define VERSION_MAX 99999999

bool section_header_parse(const uint8_t *p, size_t len,
                          struct section_header *out)
{
        struct err ignored = ERR_INIT;
        struct cursor c;

        cursor_init(&c, p, len, 0, "", &ignored);
        if (!cursor_u8(&c, "", &out->type) ||
            (out->type != ITEM_FULL && out->type != ITEM_START) ||
            !cursor_u32be(&c, "", &out->section_id) ||
            !cursor_str8(&c, "", out->idstr) ||
            !cursor_u32be(&c, "", &out->instance_id) ||
            !cursor_u32be(&c, "", &out->version_id))
                return false;
        out->len = c.pos;
        if (!out->idstr[0] || out->version_id > VERSION_MAX)
                return false;
        for (const char *s = out->idstr; *s; s++)
                if (*s <= ' ' || *s > '~')
                        return false;
        return true;
}

struct splitter {
        const uint8_t *bytes;
        size_t len;
        bool footers;
        uint64_t origin;
        struct tail *tail;
        struct err *err;
};

static bool add_item(struct splitter *s, const struct tail_item *item)
{
        struct tail *t = s->tail;
        struct tail_item *grown = t->items;

        if (t->count >= LIMIT_STREAM_ITEMS)
                return err_set(s->err, ERR_LIMIT, "more than %d sections",
                               LIMIT_STREAM_ITEMS);
        /* Grows at powers of two. */
        if ((t->count & (t->count - 1)) == 0)
                grown = realloc(t->items,
                                (t->count ? t->count * 2 : 1) * sizeof *grown);
        if (!grown)
                return err_nomem(s->err);
        t->items = grown;
        t->items[t->count++] = *item;
        return true;
}

static bool add_section(struct splitter *s, size_t begin,
                        const struct section_header *h, size_t payload)
{
        struct tail_item item = {
                .begin = begin,
                .len = h->len + payload + (s->footers ? FOOTER_SIZE : 0),
                .section_id = h->section_id,
                .instance_id = h->instance_id,
                .version_id = h->version_id,
                .payload_len = payload,
        };

        strcpy(item.idstr, h->idstr);
        return add_item(s, &item);
}

static bool add_eof(struct splitter *s, size_t at)
{
        struct tail_item item = {.begin = at, .len = 1};

        return add_item(s, &item);
}

static void footer_of(uint32_t section_id, uint8_t out[FOOTER_SIZE])
{
        struct emit e;

        emit_init(&e, out, FOOTER_SIZE);
        emit_u8(&e, ITEM_FOOTER);
        emit_u32be(&e, section_id);
}

static bool is_footer(const struct splitter *s, size_t at, uint32_t section_id)
{
        uint8_t want[FOOTER_SIZE];

        footer_of(section_id, want);
        return at <= s->len && s->len - at >= FOOTER_SIZE &&
               memcmp(s->bytes + at, want, FOOTER_SIZE) == 0;
}

/* Whether the item that vmdesc announces next begins here. */
static bool next_fits(const struct splitter *s, size_t at, size_t end,
                      const struct vmdesc_device *next)
{
        struct section_header h;

        if (!next)
                return at == end;
        return at < end && section_header_parse(s->bytes + at, end - at, &h) &&
               h.type == ITEM_FULL && strcmp(h.idstr, next->idstr) == 0 &&
               h.instance_id == next->instance_id;
}

/*
 * The payload's length.  QEMU's description is exact but for compressed arrays
 * with elements of varying length; then the one place where the footer (if
 * any) stands and the next described section follows.
 */
static bool payload_length(struct splitter *s, size_t begin,
                           const struct section_header *h,
                           const struct vmdesc_device *device,
                           const struct vmdesc_device *next, size_t end,
                           size_t *out)
{
        size_t foot = s->footers ? FOOTER_SIZE : 0, found = 0;
        size_t payload = begin + h->len;

        if (device->bytes <= end - payload &&
            end - payload - device->bytes >= foot) {
                size_t at = payload + (size_t)device->bytes;

                if ((!foot || is_footer(s, at, h->section_id)) &&
                    next_fits(s, at + foot, end, next)) {
                        *out = (size_t)device->bytes;
                        return true;
                }
        }
        for (size_t at = payload; at + foot <= end; at++) {
                if ((foot && !is_footer(s, at, h->section_id)) ||
                    !next_fits(s, at + foot, end, next))
                        continue;
                *out = at - payload;
                found++;
        }
        return found == 1;
}

/* Sections up to EOF at `end`, as the vmdesc lists them. */
static bool split_by_vmdesc(struct splitter *s, const struct vmdesc *v,
                            size_t skip, size_t end)
{
        size_t at = 0;

        for (size_t i = skip; i < v->count; i++) {
                const struct vmdesc_device *next =
                        i + 1 < v->count ? &v->devices[i + 1] : NULL;
                struct section_header h;
                size_t payload;

                if (!next_fits(s, at, end, &v->devices[i]) ||
                    !section_header_parse(s->bytes + at, end - at, &h) ||
                    !payload_length(s, at, &h, &v->devices[i], next, end,
                                    &payload) ||
                    !add_section(s, at, &h, payload))
                        return false;
                at += h.len + payload + (s->footers ? FOOTER_SIZE : 0);
        }
        return at == end && add_eof(s, end);
}

static bool early_fits(const struct vmdesc *v, const struct tail_early *early,
                       size_t count)
{
        if (count > v->count)
                return false;
        for (size_t i = 0; i < count; i++)
                if (strcmp(v->devices[i].idstr, early[i].idstr) != 0 ||
                    v->devices[i].instance_id != early[i].instance_id ||
                    v->devices[i].bytes != early[i].payload_len)
                        return false;
        return true;
}

/* A vmdesc that would begin at `at` (its type byte); its JSON's length, or 0.
 */
static size_t vmdesc_at(const uint8_t *bytes, size_t len, size_t at)
{
        struct err ignored = ERR_INIT;
        struct cursor c;
        uint32_t json;
        uint8_t type;

        if (at == 0 || at >= len || bytes[at - 1] != ITEM_EOF)
                return 0;
        cursor_init(&c, bytes + at, len - at, 0, "", &ignored);
        if (!cursor_u8(&c, "", &type) || type != ITEM_VMDESC ||
            !cursor_u32be(&c, "", &json) || json > LIMIT_VMDESC_BYTES ||
            json < 2 || json > cursor_left(&c) || bytes[at + 5] != '{' ||
            bytes[at + 4 + json] != '}')
                return 0;
        return json;
}

bool tail_may_end(const uint8_t *bytes, size_t len)
{
        const uint8_t *nul;

        /* JSON holds no NUL, and the length's high byte is one: the last NUL
         * of a complete tail is among the six bytes before the JSON. */
        if (len < VMDESC_HEAD + 2 || bytes[len - 1] != '}')
                return false;
        nul = memrchr(bytes, 0, len);
        if (!nul)
                return false;
        /* The type byte stands up to 5 bytes before that NUL, or behind it. */
        for (size_t back = 0; back < VMDESC_HEAD; back++) {
                size_t at = (size_t)(nul - bytes) + 1, json;

                if (back > at)
                        break;
                at -= back;
                json = vmdesc_at(bytes, len, at);
                if (json && at + 5 + json == len)
                        return true;
        }
        return false;
}

/* One candidate for the vmdesc, its type byte at `at`. */
static bool try_vmdesc(struct splitter *s, size_t at, size_t json,
                       const struct tail_early *early, size_t early_count)
{
        struct err ignored = ERR_INIT;
        struct vmdesc v;
        bool ok;

        if (!vmdesc_parse(s->bytes + at + 5, json, &v, &ignored))
                return false;
        s->tail->count = 0;
        ok = early_fits(&v, early, early_count) &&
             split_by_vmdesc(s, &v, early_count, at - 1);
        s->tail->vmdesc_begin = at + 5;
        s->tail->vmdesc_len = json;
        s->tail->end = at + 5 + json;
        s->tail->page_size = v.page_size;
        s->tail->split = "vmdesc";
        vmdesc_fini(&v);
        return ok;
}

static bool find_vmdesc(struct splitter *s, bool at_end,
                        const struct tail_early *early, size_t early_count)
{
        static const uint8_t mark[] = {ITEM_EOF, ITEM_VMDESC};
        const uint8_t *p = s->bytes;

        while ((p = memmem(p, s->len - (size_t)(p - s->bytes), mark,
                           sizeof mark)) != NULL) {
                size_t at = (size_t)(p - s->bytes) + 1;
                size_t json = vmdesc_at(s->bytes, s->len, at);

                if (json && (at_end || at + 5 + json == s->len) &&
                    try_vmdesc(s, at, json, early, early_count))
                        return true;
                p++;
        }
        return false;
}

/*
 * Without vmdesc: ways[] counts, for each reachable place, in how many ways
 * one gets there.  Few places are reachable: a false footer needs five given
 * bytes and a plausible item behind them.
 */
struct place {
        size_t at;
        size_t from; /* index of the place before */
        unsigned ways;
};

struct places {
        struct place *list;
        size_t count;
};

static bool reach(struct splitter *s, struct places *p, size_t at, size_t from)
{
        struct place *grown;
        size_t i = p->count;

        while (i > 0 && p->list[i - 1].at > at)
                i--;
        if (i > 0 && p->list[i - 1].at == at) {
                p->list[i - 1].ways = 2;
                return true;
        }
        if (p->count >= LIMIT_STREAM_ITEMS)
                return err_set(s->err, ERR_LIMIT, "too many ways to split");
        grown = realloc(p->list, (p->count + 1) * sizeof *grown);
        if (!grown)
                return err_nomem(s->err);
        p->list = grown;
        memmove(grown + i + 1, grown + i, (p->count - i) * sizeof *grown);
        grown[i] = (struct place){
                .at = at, .from = from, .ways = p->list[from].ways};
        if (p->count == 0)
                grown[i].ways = 1;
        p->count++;
        return true;
}

static bool plausible_item(const struct splitter *s, size_t at)
{
        struct section_header h;

        if (at >= s->len)
                return false;
        if (s->bytes[at] == ITEM_EOF)
                return at + 1 == s->len;
        return section_header_parse(s->bytes + at, s->len - at, &h) &&
               h.type == ITEM_FULL;
}

static bool explore(struct splitter *s, struct places *p)
{
        TRY(reach(s, p, 0, 0));
        for (size_t i = 0; i < p->count; i++) {
                size_t at = p->list[i].at, payload;
                uint8_t foot[FOOTER_SIZE];
                struct section_header h;
                const uint8_t *f;

                if (!section_header_parse(s->bytes + at, s->len - at, &h))
                        continue;
                payload = at + h.len;
                footer_of(h.section_id, foot);
                f = s->bytes + payload;
                while ((f = memmem(f, s->len - (size_t)(f - s->bytes), foot,
                                   FOOTER_SIZE)) != NULL) {
                        size_t next = (size_t)(f - s->bytes) + FOOTER_SIZE;

                        if (plausible_item(s, next))
                                TRY(reach(s, p, next, i));
                        f++;
                }
        }
        return true;
}

/* From EOF back to the front, then items in order. */
static bool follow(struct splitter *s, const struct places *p, size_t last)
{
        size_t *chain = calloc(p->count + 1, sizeof *chain), n = 0;
        bool ok = chain != NULL || err_nomem(s->err);

        for (size_t i = last; ok && i != 0; i = p->list[i].from)
                chain[n++] = i;
        for (size_t at = 0; ok && n-- > 0; at = p->list[chain[n]].at) {
                size_t next = p->list[chain[n]].at;
                struct section_header h;

                ok = section_header_parse(s->bytes + at, s->len - at, &h) &&
                     add_section(s, at, &h, next - at - h.len - FOOTER_SIZE);
        }
        free(chain);
        return ok && add_eof(s, s->len - 1);
}

static bool split_by_footers(struct splitter *s)
{
        struct places p = {0};
        bool ok = explore(s, &p);
        const struct place *last = p.count ? &p.list[p.count - 1] : NULL;

        s->tail->count = 0;
        s->tail->split = "footers";
        ok = ok && last && last->at + 1 == s->len &&
             s->bytes[last->at] == ITEM_EOF;
        if (ok && last->ways != 1)
                ok = err_set(s->err, ERR_CORRUPT,
                             "device sections can be split in more than one "
                             "way, and no vmdesc says which is right");
        ok = ok && follow(s, &p, p.count - 1);
        free(p.list);
        return ok;
}

static bool split_by_headers(struct splitter *s)
{
        struct section_header h, next;
        size_t at = 0;

        s->tail->count = 0;
        s->tail->split = "headers";
        while (at + 1 < s->len) {
                size_t to;

                if (!section_header_parse(s->bytes + at, s->len - at, &h) ||
                    h.type != ITEM_FULL)
                        return false;
                for (to = at + h.len; to + 1 < s->len; to++)
                        if (s->bytes[to] == ITEM_FULL &&
                            section_header_parse(s->bytes + to, s->len - to,
                                                 &next) &&
                            next.section_id < 65536)
                                break;
                TRY(add_section(s, at, &h, to - at - h.len));
                at = to;
        }
        return at + 1 == s->len && s->bytes[at] == ITEM_EOF && add_eof(s, at);
}

/* The end could not be found: where do the sections stop making sense? */
static enum tail_result no_end(struct splitter *s)
{
        struct section_header h;
        char shown[300];
        size_t at = 0;

        while (s->footers && at < s->len &&
               section_header_parse(s->bytes + at, s->len - at, &h)) {
                uint8_t foot[FOOTER_SIZE];
                const uint8_t *f;

                err_clear(s->err);
                err_in_section(s->err,
                               text_escape(h.idstr, shown, sizeof shown));
                footer_of(h.section_id, foot);
                f = memmem(s->bytes + at + h.len, s->len - at - h.len, foot,
                           FOOTER_SIZE);
                err_at(s->err, s->origin + at);
                if (!f) {
                        err_set(s->err, ERR_TRUNCATED,
                                "the stream ends within this section, or it "
                                "is damaged: no footer follows");
                        return TAIL_BAD;
                }
                at = (size_t)(f - s->bytes) + FOOTER_SIZE;
        }
        err_clear(s->err);
        err_at(s->err, s->origin + at);
        if (at < s->len && s->bytes[at] != ITEM_EOF &&
            s->bytes[at] != ITEM_FULL)
                err_set(s->err, ERR_CORRUPT, "item type 0x%02x is not known",
                        s->bytes[at]);
        else
                err_set(s->err, ERR_TRUNCATED,
                        "the migration stream ends before its end is complete "
                        "(device sections, EOF, vmdesc)");
        return TAIL_BAD;
}

enum tail_result tail_parse(const uint8_t *bytes, size_t len, bool footers,
                            bool at_end, const struct tail_early *early,
                            size_t early_count, uint64_t origin,
                            struct tail *out, struct err *err)
{
        struct tail t = {0};
        struct splitter s = {
                .bytes = bytes,
                .len = len,
                .footers = footers,
                .origin = origin,
                .tail = &t,
                .err = err,
        };
        bool found = find_vmdesc(&s, at_end, early, early_count);

        if (!found && at_end && err->status == ERR_NONE) {
                t.vmdesc_len = 0;
                t.end = len;
                t.page_size = 0;
                found = footers ? split_by_footers(&s) : split_by_headers(&s);
        }
        if (found) {
                *out = t;
                return TAIL_COMPLETE;
        }
        tail_fini(&t);
        if (err->status != ERR_NONE)
                return TAIL_BAD;
        return at_end ? no_end(&s) : TAIL_INCOMPLETE;
}

void tail_fini(struct tail *t)
{
        free(t->items);
        *t = (struct tail){0};
}
