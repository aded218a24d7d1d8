/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * edit IN OUT DEVICE[:INSTANCE] FIELD VALUE: a snapshot with one field of a
 * device's state changed, and sealed again: all its digests are right.
 *
 * FIELD is a path as `show` prints it, or @version for the section's version.
 * VALUE is a whole number, or x and bytes in hexadecimal.
 */
#include "base/cleanup.h"
#include "base/io.h"
#include "format/name.h"
#include "format/reader.h"
#include "format/writer.h"
#include "qemu/fields.h"
#include "restore/state.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct edit {
        const char *field;
        unsigned item;       /* the stream item's number                  */
        size_t offset, size; /* in the item                               */
        uint8_t bytes[4096];
};

struct search {
        const char *field;
        size_t offset, size;
};

static void die(const char *why, const struct err *err)
{
        fprintf(stderr, "edit: %s%s%s\n", why, err ? ": " : "",
                err ? err->why : "");
        exit(1);
}

static bool look(void *arg, const struct field *f, struct err *err)
{
        struct search *s = arg;

        (void)err;
        if (strcmp(f->path, s->field) == 0) {
                s->offset = f->offset;
                s->size = f->size;
        }
        return true;
}

/* Of the device's section, the bytes to change. */
static void find(const struct devices *d, const char *device, struct edit *e)
{
        const char *colon = strrchr(device, ':');
        unsigned instance = 0;
        char idstr[256];
        struct search s = {.field = e->field};
        const struct device_section *section;
        struct err err = ERR_INIT;

        snprintf(idstr, sizeof idstr, "%s", device);
        section = devices_find(d, idstr, 0);
        if (!section && colon && sscanf(colon, ":%u", &instance) == 1) {
                idstr[colon - device] = '\0';
                section = devices_find(d, idstr, instance);
        }
        if (!section || !section->item)
                die("no such device", NULL);
        e->item = section->number;
        if (strcmp(e->field, "@version") == 0) {
                e->offset = (size_t)(section->payload - section->item) - 4;
                e->size = 4;
                return;
        }
        if (!fields_decode(section->vmdesc, section->payload, section->len,
                           look, &s, &err))
                die(device, &err);
        if (!s.size)
                die("no such field", NULL);
        e->offset = (size_t)(section->payload - section->item) + s.offset;
        e->size = s.size;
}

static void parse(const char *value, struct edit *e)
{
        if (value[0] == 'x') {
                if (strlen(value + 1) != 2 * e->size || e->size > 4096)
                        die("not as many bytes as the field has", NULL);
                for (size_t i = 0; i < e->size; i++)
                        if (sscanf(value + 1 + 2 * i, "%2hhx", &e->bytes[i]) !=
                            1)
                                die("not hexadecimal", NULL);
                return;
        }
        if (e->size > 8)
                die("the field is no number", NULL);
        for (size_t i = 0; i < e->size; i++)
                e->bytes[i] = (uint8_t)((uint64_t)strtoll(value, NULL, 0) >>
                                        (8 * (e->size - 1 - i)));
}

static bool copy_chunk(const struct read_item *item, const struct edit *e,
                       struct writer *w, struct err *err)
{
        struct chunk *c;
        struct name n;

        TRY(name_parse(item->name, &n, err));
        TRY(writer_borrow(w, &c, err));
        memcpy(c->bytes, item->bytes, item->len);
        c->len = item->len;
        snprintf(c->dir, sizeof c->dir, "%s", item->dir);
        c->address = item->address;
        c->drop_zero = false;
        if (n.class == NAME_STREAM && n.item == e->item)
                for (size_t i = 0; i < e->size; i++) {
                        uint64_t at = e->offset + i;

                        if (at >= item->address &&
                            at < item->address + item->len)
                                c->bytes[at - item->address] = e->bytes[i];
                }
        return writer_submit(w, c, err);
}

static bool copy(struct reader *r, const struct edit *e, struct writer *w,
                 struct err *err)
{
        struct read_item item;

        TRY(writer_manifest(w, reader_manifest(r), err));
        do {
                TRY(reader_next(r, &item, err));
                if (item.kind == READ_CHUNK)
                        TRY(copy_chunk(&item, e, w, err));
                else if (item.kind == READ_MEMBER)
                        TRY(writer_member(w, item.name, item.bytes, item.len,
                                          err));
        } while (item.kind != READ_END);
        return writer_state(w, reader_state(r), err) && writer_finish(w, err);
}

int main(int argc, char **argv)
{
        struct reader_options how = {.threads = 0};
        struct writer_options options = {.compress = true, .level = 1};
        CLEANUP_FD int in = -1;
        CLEANUP_FD int out = -1;
        struct err err = ERR_INIT;
        struct reader *r = NULL;
        struct writer *w = NULL;
        struct state s;
        struct edit e;

        if (argc != 6)
                die("usage: edit IN OUT DEVICE[:INSTANCE] FIELD VALUE", NULL);
        e = (struct edit){.field = argv[4]};
        if (!io_open_read(argv[1], &in, &err) ||
            !state_read(in, argv[1], &s, &err))
                die(argv[1], &err);
        find(&s.devices, argv[3], &e);
        parse(argv[5], &e);
        out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (out < 0)
                die(argv[2], NULL);
        if (!reader_open(in, argv[1], &how, &r, &err) ||
            !writer_new(out, argv[2], false, &options, &w, &err) ||
            !copy(r, &e, w, &err))
                die(argv[1], &err);
        writer_free(w);
        reader_close(r);
        state_fini(&s);
        return 0;
}
