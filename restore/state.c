/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/state.h"

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/text.h"
#include "format/name.h"
#include "format/reader.h"

#include <string.h>

#define VMDESC "stasis/vmdesc.json"

struct walk {
        struct devices_builder *builder;
        char dir[512]; /* of the item whose chunks are coming; "": none */
        uint64_t len;  /* of what has come of it                        */
};

static bool end_item(struct walk *w, struct err *err)
{
        if (!w->dir[0])
                return true;
        w->dir[0] = '\0';
        return devices_end(w->builder, err);
}

static bool chunk(struct walk *w, const struct read_item *item, struct err *err)
{
        char shown[320];
        struct name n;

        TRY(name_parse(item->name, &n, err));
        if (n.class != NAME_STREAM)
                return end_item(w, err);
        if (strcmp(w->dir, n.dir) != 0) {
                TRY(end_item(w, err));
                TRY(devices_begin(w->builder, n.item, n.kind,
                                  text_escape(n.dir, shown, sizeof shown),
                                  err));
                memcpy(w->dir, n.dir, sizeof w->dir);
                w->len = 0;
        }
        if (item->address != w->len)
                return err_set(err, ERR_CORRUPT,
                               "stream bytes are missing before this chunk");
        w->len += item->len;
        return devices_bytes(w->builder, item->bytes, item->len, err);
}

static bool one(struct walk *w, const struct read_item *item, struct err *err)
{
        char shown[320];
        bool ok = true;

        if (item->kind == READ_CHUNK)
                ok = chunk(w, item, err);
        else if (item->kind == READ_MEMBER)
                ok = end_item(w, err) &&
                     (strcmp(item->name, VMDESC) != 0 ||
                      devices_vmdesc(w->builder, item->bytes, item->len, err));
        return ok || err_in_section(
                             err, text_escape(item->name, shown, sizeof shown));
}

static bool read_all(struct reader *r, struct walk *w, struct state *out,
                     struct err *err)
{
        CLEANUP_FREE uint8_t *vmdesc = NULL;
        struct read_item item;
        size_t len = 0;

        out->manifest = json_incref((json_t *)reader_manifest(r));
        if (!reader_is_pipe(r))
                TRY(reader_get(r, VMDESC, LIMIT_VMDESC_BYTES, &vmdesc, &len,
                               err));
        do {
                TRY(reader_next(r, &item, err));
                TRY(one(w, &item, err));
        } while (item.kind != READ_END);
        TRY(end_item(w, err));
        if (vmdesc)
                TRY(devices_vmdesc(w->builder, vmdesc, len, err));
        out->state = json_incref((json_t *)reader_state(r));
        return devices_finish(w->builder, &out->devices, err);
}

bool state_read(int fd, const char *name, struct state *out, struct err *err)
{
        struct reader_options how = {.only = "stream/"};
        struct reader *r = NULL;
        struct walk w = {0};
        bool ok;

        *out = (struct state){0};
        ok = devices_new(&w.builder, err) &&
             reader_open(fd, name, &how, &r, err) && read_all(r, &w, out, err);
        devices_builder_free(w.builder);
        reader_close(r);
        return ok || err_in_file(err, name);
}

void state_fini(struct state *s)
{
        devices_fini(&s->devices);
        json_decref(s->manifest);
        json_decref(s->state);
        *s = (struct state){0};
}
