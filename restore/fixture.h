/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: a snapshot of a machine with two small RAMBlocks and one device,
 * in memory, and how to spoil it.
 */
#ifndef STASIS_RESTORE_FIXTURE_H
#define STASIS_RESTORE_FIXTURE_H

#include "base/test.h"

#include "base/limits.h"
#include "format/name.h"
#include "format/writer.h"

#include <sys/mman.h>

#define RAM_SIZE (CHUNK_SIZE + 8192)
#define ROM_SIZE 4096

struct fixture {
        bool plain;           /* not compressed                            */
        unsigned again;       /* the RAM's first chunk comes so many times
                                 more                                      */
        const char *no_item;  /* the item of that kind is left out         */
        bool no_vmdesc;       /* there is none                             */
        const char *vmdesc;   /* instead of the right one                  */
        const char *machine;  /* the manifest's, instead of the stream's   */
        uint64_t rom_size;    /* the manifest's, instead of the stream's   */
        const char *ram_dir;  /* of an additional chunk                    */
        uint64_t ram_address; /* of it                                     */
        size_t ram_len;       /* of it; 0: none                            */
        unsigned items;       /* additional members, so that there are
                                 index segments                            */
        bool mixed;           /* one chunk is stored plain                 */
        bool gap;             /* an item's bytes do not begin at 0         */
        bool bad_footer;      /* of the device                             */
        bool disks;           /* block migration, of two disks             */
        bool disk_moved;      /* one of its chunks is not at whole MiB     */
};

/* A stream item: "full" and what it holds. */
struct fixture_item {
        const char *kind, *idstr;
        const char *bytes;
        size_t len;
};

#define ITEM(kind, idstr, text)                                                \
        {                                                                      \
                kind, idstr, text, sizeof(text) - 1                            \
        }

static const struct fixture_item fixture_before[] = {
        ITEM("header", "", "QEVM\0\0\0\3"),
        ITEM("configuration", "", "\7\0\0\0\13pc-i440fx-1"),
        ITEM("start", "block",
             "\1\0\0\0\1\5block\0\0\0\0\0\0\0\1"
             "\0\0\0\0\0\0\0\2"
             "\x7e\0\0\0\1"),
        ITEM("start", "ram",
             "\1\0\0\0\2\3ram\0\0\0\0\0\0\0\4"
             "\0\0\0\0\0\x10\x30\4"
             "\6pc.ram\0\0\0\0\0\x10\x20\0"
             "\3rom\0\0\0\0\0\0\x10\0"
             "\0\0\0\0\0\0\0\x10"
             "\x7e\0\0\0\2"),
};

static const struct fixture_item fixture_after[] = {
        ITEM("end", "block",
             "\3\0\0\0\1"
             "\0\0\0\0\0\0\0\2"
             "\x7e\0\0\0\1"),
        ITEM("end", "ram",
             "\3\0\0\0\2"
             "\0\0\0\0\0\0\0\x10"
             "\x7e\0\0\0\2"),
        ITEM("full", "timer",
             "\4\0\0\0\0\5timer\0\0\0\0\0\0\0\2"
             "\x12\x34\x56\x78\x9a\xbc\xde\xf0"
             "\x7e\0\0\0\0"),
        ITEM("eof", "", "\0"),
};

#define FIXTURE_VMDESC                                                         \
        "{\"page_size\":4096,\"devices\":[{\"name\":\"timer\","                \
        "\"instance_id\":0,\"version\":2,\"fields\":[{\"name\":\"t\","         \
        "\"type\":\"int64\",\"size\":8}]}]}"

static inline void fixture_chunk(struct writer *w, const char *dir,
                                 uint64_t address, const void *bytes,
                                 size_t len)
{
        struct err err = ERR_INIT;
        struct chunk *c;

        assert_done(writer_borrow(w, &c, &err), &err);
        if (bytes)
                memcpy(c->bytes, bytes, len);
        else
                for (size_t i = 0; i < len; i++)
                        c->bytes[i] = (uint8_t)(i / 512 + address / CHUNK_SIZE);
        c->len = len;
        c->address = address;
        c->drop_zero = false;
        c->tag = 0;
        snprintf(c->dir, sizeof c->dir, "%s", dir);
        assert_done(writer_submit(w, c, &err), &err);
}

static inline void fixture_items(struct writer *w, const struct fixture *f,
                                 const struct fixture_item *items, size_t count,
                                 unsigned *number)
{
        char dir[512], bytes[512];

        for (size_t i = 0; i < count; i++) {
                const struct fixture_item *it = &items[i];
                bool full = !strcmp(it->kind, "full");

                if (f->no_item && !strcmp(f->no_item, it->kind))
                        continue;
                if (!f->disks && !strcmp(it->idstr, "block"))
                        continue;
                memcpy(bytes, it->bytes, it->len);
                if (full && f->bad_footer)
                        bytes[it->len - 1] ^= 1;
                name_stream_dir((*number)++, it->kind, it->idstr, dir);
                fixture_chunk(w, dir, full && f->gap ? 8 : 0, bytes, it->len);
        }
}

static inline void fixture_ram(struct writer *w, const struct fixture *f)
{
        static const char page[ROM_SIZE];
        struct err err = ERR_INIT;

        for (unsigned i = 0; i <= f->again; i++)
                fixture_chunk(w, "ram/pc.ram", 0, NULL, CHUNK_SIZE);
        fixture_chunk(w, "ram/pc.ram", CHUNK_SIZE, NULL, RAM_SIZE - CHUNK_SIZE);
        if (f->ram_len)
                fixture_chunk(w, f->ram_dir, f->ram_address, NULL, f->ram_len);
        for (unsigned i = 0; i < f->items; i++)
                fixture_chunk(w, "ram/rom", 0, NULL, ROM_SIZE);
        if (f->mixed)
                assert_done(writer_member(w, "ram/rom/0000000000000000", page,
                                          sizeof page, &err),
                            &err);
}

/* An overlay with zeros at 1 MiB and data at 3; one in full of 4 MiB with data
 * at 2. */
static inline void fixture_disks(struct writer *w, const struct fixture *f,
                                 json_t *state)
{
        static const char zeros[] = "0000000000100000 0000000000100000\n";
        struct err err = ERR_INIT;
        json_t *disks;

        disks = json_pack(
                "[{s:s, s:s, s:s, s:i, s:i, s:b}, {s:s, s:s, s:s, s:i, s:i}]",
                "name", "d0", "dir", "disk/d0", "stored", "overlay",
                "virtual_size", 4 << 20, "granularity",
                f->disk_moved ? 512 : 1 << 20, "virtual_size_known", 0, "name",
                "d1", "dir", "disk/d1", "stored", "full", "virtual_size",
                4 << 20, "granularity", 1 << 20);
        assert_int_equal(json_object_set_new(state, "disks", disks), 0);
        assert_done(
                writer_member(w, "disk/d0/zeros", zeros, strlen(zeros), &err),
                &err);
        fixture_chunk(w, "disk/d0", 3 * CHUNK_SIZE + (f->disk_moved ? 512 : 0),
                      NULL, CHUNK_SIZE - (f->disk_moved ? 512 : 0));
        fixture_chunk(w, "disk/d1", 2 * CHUNK_SIZE, NULL, CHUNK_SIZE);
}

static inline void fixture_write(struct writer *w, const struct fixture *f)
{
        const char *vmdesc = f->vmdesc ? f->vmdesc : FIXTURE_VMDESC;
        struct err err = ERR_INIT;
        json_t *manifest, *state;
        unsigned number = 0;

        manifest = json_pack(
                "{s:s, s:{s:s}, s:i, s:[{s:s, s:s, s:I}, {s:s, s:s, s:I}]}",
                "created", "2026-01-02T03:04:05Z", "machine", "type",
                f->machine ? f->machine : "pc-i440fx-1", "target_page_size",
                4096, "ram_blocks", "name", "pc.ram", "dir", "ram/pc.ram",
                "size", (json_int_t)RAM_SIZE, "name", "rom", "dir", "ram/rom",
                "size", (json_int_t)(f->rom_size ? f->rom_size : ROM_SIZE));
        state = json_pack("{s:[], s:[]}", "absent", "devices");
        assert_done(writer_manifest(w, manifest, &err), &err);
        fixture_items(w, f, fixture_before, 4, &number);
        fixture_ram(w, f);
        fixture_items(w, f, fixture_after, 4, &number);
        if (!f->no_vmdesc)
                assert_done(writer_member(w, "stasis/vmdesc.json", vmdesc,
                                          strlen(vmdesc), &err),
                            &err);
        if (f->disks)
                fixture_disks(w, f, state);
        assert_done(writer_state(w, state, &err), &err);
        assert_done(writer_finish(w, &err), &err);
        json_decref(manifest);
        json_decref(state);
}

/* A file in memory that holds the snapshot. */
static inline int fixture_new(const struct fixture *f)
{
        struct writer_options options = {.compress = !f->plain, .level = 1};
        int fd = memfd_create("snapshot", MFD_CLOEXEC);
        struct err err = ERR_INIT;
        struct writer *w;

        assert_true(fd >= 0);
        assert_done(writer_new(fd, "snapshot", false, &options, &w, &err),
                    &err);
        fixture_write(w, f);
        writer_free(w);
        return fd;
}

static inline size_t fixture_size(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (size_t)st.st_size;
}

/* Its bytes; malloc'd. */
static inline uint8_t *fixture_bytes(int fd, size_t *len_out)
{
        size_t len = fixture_size(fd);
        uint8_t *bytes = malloc(len);

        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, len, 0), len);
        *len_out = len;
        return bytes;
}

#endif
