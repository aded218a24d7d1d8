/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/limits.h"
#include "format/places.h"
#include "format/writer.h"

#define LAST_LEN 8192 /* of the RAMBlock's second chunk */

static const char *const dirs[] = {"ram/pc.bios", "ram/pc.ram"};
static const uint64_t sizes[] = {4096, 4 * CHUNK_SIZE + LAST_LEN};

static void put(struct writer *w, const char *dir, uint64_t address, size_t len,
                unsigned seed)
{
        struct err err = ERR_INIT;
        struct chunk *c;

        assert_done(writer_borrow(w, &c, &err), &err);
        snprintf(c->dir, sizeof c->dir, "%s", dir);
        c->address = address;
        c->len = len;
        c->drop_zero = false;
        for (size_t i = 0; i < len; i++)
                c->bytes[i] = (uint8_t)(seed + i * i / 64);
        assert_done(writer_submit(w, c, &err), &err);
}

/* Chunks 0, 1, 4 and a ROM; chunk 1 comes twice.  odd: a chunk that does not
 * belong there. */
static void build(bool compress, const char *odd, uint64_t address, size_t len)
{
        struct writer_options options = {.compress = compress, .level = 1};
        json_t *manifest = json_loads(
                "{\"target_page_size\": 4096, \"ram_blocks\": ["
                "{\"name\": \"pc.ram\", \"dir\": \"ram/pc.ram\", \"size\": "
                "4202496}]}",
                0, NULL);
        json_t *state = json_pack("{s:[]}", "absent");
        int fd = open("s", O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct err err = ERR_INIT;
        struct writer *w;

        assert_done(writer_new(fd, "s", false, &options, &w, &err), &err);
        assert_done(writer_manifest(w, manifest, &err), &err);
        put(w, "ram/pc.ram", 0, CHUNK_SIZE, 1);
        put(w, "ram/pc.ram", CHUNK_SIZE, CHUNK_SIZE, 2);
        put(w, "ram/pc.bios", 0, 4096, 3);
        put(w, "ram/pc.ram", 4 * CHUNK_SIZE, LAST_LEN, 4);
        put(w, "ram/pc.ram", CHUNK_SIZE, CHUNK_SIZE, 5);
        if (odd)
                put(w, odd, address, len, 6);
        assert_done(writer_state(w, state, &err), &err);
        assert_done(writer_finish(w, &err), &err);
        writer_free(w);
        json_decref(state);
        json_decref(manifest);
        close(fd);
}

static bool open_places(struct reader **r, struct places **p, struct err *err)
{
        struct reader_options options = {.threads = 0};
        int fd = open("s", O_RDWR);

        assert_done(reader_open(fd, "s", &options, r, err), err);
        return places_new(*r, dirs, sizes, 2, p, err);
}

static void holds(const struct places *p, struct place_buffer *b, unsigned dir,
                  uint64_t chunk, size_t len, unsigned seed)
{
        uint8_t *raw = malloc(CHUNK_SIZE);
        struct err err = ERR_INIT;
        size_t got;

        assert_true(places_has(p, dir, chunk));
        assert_done(places_read(p, b, dir, chunk, raw, &got, &err), &err);
        assert_int_equal(got, len);
        for (size_t i = 0; i < len; i++)
                if (raw[i] != (uint8_t)(seed + i * i / 64))
                        fail_msg("chunk %u byte %zu", (unsigned)chunk, i);
        free(raw);
}

static void chunks_are_found_in_any_order(void **state)
{
        uint8_t *raw = malloc(CHUNK_SIZE);
        struct err err = ERR_INIT;
        struct place_buffer *b = place_buffer_new();
        struct reader *r;
        struct places *p;
        size_t len;

        (void)state;
        for (int compress = 0; compress < 2; compress++) {
                build(compress, NULL, 0, 0);
                assert_done(open_places(&r, &p, &err), &err);
                holds(p, b, 1, 4, LAST_LEN, 4);
                holds(p, b, 0, 0, 4096, 3);
                holds(p, b, 1, 1, CHUNK_SIZE, 5); /* the later one */
                holds(p, b, 1, 0, CHUNK_SIZE, 1);
                assert_false(places_has(p, 1, 2));
                memset(raw, 1, CHUNK_SIZE);
                assert_done(places_read(p, b, 1, 3, raw, &len, &err), &err);
                assert_int_equal(len, CHUNK_SIZE);
                assert_true(raw[0] == 0 && raw[CHUNK_SIZE - 1] == 0);
                if (!compress)
                        assert_int_equal(places_stored_bytes(p),
                                         2 * CHUNK_SIZE + LAST_LEN + 4096);
                places_free(p);
                reader_close(r);
        }
        place_buffer_free(b);
        free(raw);
}

/* Where in the file the stored bytes of a chunk begin: behind its header. */
static off_t find(const char *name)
{
        char block[512];
        int fd = open("s", O_RDONLY);
        off_t at = 0;

        while (pread(fd, block, sizeof block, at) == sizeof block &&
               strncmp(block, name, strlen(name)) != 0)
                at += 512;
        close(fd);
        return at + 512;
}

static void flip(off_t at)
{
        int fd = open("s", O_RDWR);
        uint8_t byte;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 4;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        close(fd);
}

/* Also when the file changes while it is open. */
static void a_damaged_chunk_is_not_read(void **state)
{
        const char *name = "ram/pc.ram/0000000000400000";
        uint8_t *raw = malloc(CHUNK_SIZE);
        struct place_buffer *b = place_buffer_new();
        struct err err = ERR_INIT;
        struct reader *r;
        struct places *p;
        size_t len;
        off_t at;

        (void)state;
        for (int compress = 0; compress < 2; compress++) {
                build(compress, NULL, 0, 0);
                assert_done(open_places(&r, &p, &err), &err);
                at = find(name);
                for (int i = 0; i < 3; i++) {
                        /* its data, its header's checksum, its name */
                        off_t where = at + (const off_t[]){5, -362, -510}[i];

                        flip(where);
                        assert_false(places_read(p, b, 1, 4, raw, &len, &err));
                        assert_int_equal(err.status, ERR_CORRUPT);
                        assert_int_equal(
                                strncmp(err.section, name, strlen(name)), 0);
                        assert_string_equal(err.file, "s");
                        err_clear(&err);
                        flip(where);
                }
                holds(p, b, 1, 4, LAST_LEN, 4);
                places_free(p);
                reader_close(r);
        }
        place_buffer_free(b);
        free(raw);
}

static void chunks_that_cannot_be_are_refused(void **state)
{
        static const struct {
                const char *dir;
                uint64_t address;
                size_t len;
        } odd[] = {
                {"ram/other", 0, CHUNK_SIZE},
                {"ram/pc.ram", 5 * CHUNK_SIZE, CHUNK_SIZE},
                {"ram/pc.ram", 4096, CHUNK_SIZE},
                {"ram/pc.ram", 0, 4096},
                {"ram/pc.bios", 0, 8192},
        };

        (void)state;
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                struct err err = ERR_INIT;
                struct reader *r;
                struct places *p;

                build(true, odd[i].dir, odd[i].address, odd[i].len);
                assert_false(open_places(&r, &p, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                reader_close(r);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(chunks_are_found_in_any_order),
                IN_DIR(a_damaged_chunk_is_not_read),
                IN_DIR(chunks_that_cannot_be_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
