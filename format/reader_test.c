/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/io.h"
#include "base/limits.h"
#include "format/digest.h"
#include "format/name.h"
#include "format/reader.h"
#include "format/stasis_format.h"
#include "format/trailer.h"
#include "format/writer.h"

#include <sys/mman.h>

#define MANIFEST                                                               \
        "{\"target_page_size\": 4096, \"ram_blocks\": ["                       \
        "{\"name\": \"pc.ram\", \"dir\": \"ram/pc.ram\", \"size\": "           \
        "268435456}]}"

/* A snapshot to be made: so many RAM chunks of so many bytes. */
struct shape {
        bool compress;
        unsigned threads;
        unsigned chunks;
        size_t chunk_len;
};

static const struct shape tiny = {true, 0, 2, 3000};

static void put_chunk(struct writer *w, const char *dir, uint64_t address,
                      size_t len, unsigned seed)
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

static void build(const char *path, const struct shape *s)
{
        struct writer_options options = {.compress = s->compress,
                                         .level = 1,
                                         .threads = s->threads,
                                         .mtime = 1700000000};
        json_t *manifest = json_loads(MANIFEST, 0, NULL);
        json_t *state = json_pack("{s:[]}", "absent");
        struct err err = ERR_INIT;
        struct writer *w;
        char dir[512];
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

        assert_done(writer_new(fd, path, false, &options, &w, &err), &err);
        assert_done(writer_manifest(w, manifest, &err), &err);
        put_chunk(w, name_stream_dir(0, "header", "", dir), 0, 8, 1);
        for (unsigned i = 0; i < s->chunks; i++)
                put_chunk(w, "ram/pc.ram", i * CHUNK_SIZE, s->chunk_len, i);
        put_chunk(w, name_stream_dir(1, "full", "timer", dir), 0, 100, 7);
        assert_done(writer_member(w, "stasis/vmdesc.json", "{}", 2, &err),
                    &err);
        assert_done(writer_state(w, state, &err), &err);
        assert_done(writer_finish(w, &err), &err);
        assert_int_equal(writer_size(w), lseek(fd, 0, SEEK_END));
        writer_free(w);
        json_decref(state);
        json_decref(manifest);
        close(fd);
}

static uint8_t *load(const char *path, size_t *len_out)
{
        struct err err = ERR_INIT;
        char *bytes;

        assert_done(io_read_file(path, SIZE_MAX / 2, &bytes, len_out, &err),
                    &err);
        return (uint8_t *)bytes;
}

/* What a whole read told. */
struct told {
        struct err err;
        unsigned chunks, members;
        bool proven, had_bytes;
        uint8_t digest[DIGEST_SIZE]; /* of names and raw bytes, in order */
};

static void take(struct told *t, struct digest *d, const struct read_item *item)
{
        t->chunks += item->kind == READ_CHUNK;
        t->members += item->kind == READ_MEMBER;
        t->proven |= item->kind == READ_PROVEN;
        t->had_bytes |= item->kind == READ_CHUNK && item->bytes;
        digest_update(d, item->name, strlen(item->name));
        if (item->bytes)
                digest_update(d, item->bytes, item->len);
}

static void read_fd(int fd, const struct reader_options *options,
                    struct told *t)
{
        struct digest *d = digest_new();
        struct read_item item = {.kind = READ_CHUNK};
        struct reader *r = NULL;

        *t = (struct told){.err = ERR_INIT};
        if (reader_open(fd, "test", options, &r, &t->err)) {
                while (item.kind != READ_END && reader_next(r, &item, &t->err))
                        take(t, d, &item);
                if (t->err.status == ERR_NONE) {
                        assert_non_null(reader_manifest(r));
                        assert_non_null(reader_state(r));
                }
        }
        digest_result(d, t->digest);
        digest_free(d);
        reader_close(r);
}

static void read_path(const char *path, unsigned threads, struct told *t)
{
        struct reader_options options = {.threads = threads};
        int fd = open(path, O_RDONLY);

        read_fd(fd, &options, t);
        close(fd);
}

/* len: less than a pipe holds. */
static void read_piped(const uint8_t *bytes, size_t len, struct told *t)
{
        struct reader_options options = {.threads = 0};
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        if (len > 65536)
                assert_true(fcntl(fds[1], F_SETPIPE_SZ, len) >= 0);
        assert_int_equal(write(fds[1], bytes, len), len);
        close(fds[1]);
        read_fd(fds[0], &options, t);
        close(fds[0]);
}

static void read_written(const uint8_t *bytes, size_t len, struct told *t)
{
        struct reader_options options = {.threads = 0};
        int fd = memfd_create("changed", MFD_CLOEXEC);

        assert_int_equal(write(fd, bytes, len), len);
        read_fd(fd, &options, t);
        close(fd);
}

static void file_and_pipe_tell_the_same(void **state)
{
        static const struct shape shapes[] = {
                {true, 0, 2, 3000},
                {false, 0, 2, 3000},
                {true, 2, 40, 5000},
                {false, 0, 40, 5000},
        };

        (void)state;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
                struct told file, threaded, piped;
                uint8_t *bytes;
                size_t len;

                build("s", &shapes[i]);
                bytes = load("s", &len);
                read_path("s", 0, &file);
                read_path("s", 3, &threaded);
                read_piped(bytes, len, &piped);
                assert_done(file.err.status == ERR_NONE, &file.err);
                assert_done(threaded.err.status == ERR_NONE, &threaded.err);
                assert_done(piped.err.status == ERR_NONE, &piped.err);
                assert_int_equal(file.chunks, shapes[i].chunks + 2);
                assert_int_equal(file.members, 1);
                assert_false(file.proven);
                assert_true(piped.proven);
                assert_memory_equal(file.digest, threaded.digest, DIGEST_SIZE);
                assert_memory_equal(file.digest, piped.digest, DIGEST_SIZE);
                free(bytes);
        }
}

static void stored_only_checks_without_decoding(void **state)
{
        struct reader_options options = {.stored_only = true};
        struct told t;
        uint8_t *bytes;
        size_t len;
        int fds[2], fd;

        (void)state;
        build("s", &tiny);
        fd = open("s", O_RDONLY);
        read_fd(fd, &options, &t);
        close(fd);
        assert_done(t.err.status == ERR_NONE, &t.err);
        assert_int_equal(t.chunks, 4);
        assert_false(t.had_bytes);
        /* From a pipe there are no digests to trust: all is decoded. */
        bytes = load("s", &len);
        assert_int_equal(pipe(fds), 0);
        assert_int_equal(write(fds[1], bytes, len), len);
        close(fds[1]);
        read_fd(fds[0], &options, &t);
        close(fds[0]);
        assert_done(t.err.status == ERR_NONE, &t.err);
        assert_int_equal(t.chunks, 4);
        free(bytes);
}

static void damaged(const struct told *t, size_t at, const char *how)
{
        if (t->err.status == ERR_NONE)
                fail_msg("%s: change at %zu not found", how, at);
        if (err_exit_code(&t->err) != 3)
                fail_msg("%s: change at %zu: %s", how, at, t->err.why);
        assert_string_equal(t->err.file, "test");
}

/* No byte can change unnoticed, wherever it is: a bit of each is flipped. */
static void a_flipped_bit_in_any_byte_is_found(void **state)
{
        uint8_t *bytes;
        size_t len;

        (void)state;
        build("s", &tiny);
        bytes = load("s", &len);
        assert_in_range(len, 10000, 40000);
        for (size_t at = 0; at < len; at++) {
                struct told file, piped;

                bytes[at] ^= (uint8_t)(1U << (at * 5 + at / 512) % 8);
                read_written(bytes, len, &file);
                damaged(&file, at, "file");
                if (file.err.offset == NO_OFFSET && !file.err.section[0])
                        fail_msg("byte %zu: no place: %s", at, file.err.why);
                read_piped(bytes, len, &piped);
                /* Not proven yet, a manifest may ask for what is unknown. */
                if (piped.err.status == ERR_UNSUPPORTED ||
                    piped.err.status == ERR_LIMIT)
                        assert_in_range(at, 512, 2047);
                else
                        damaged(&piped, at, "pipe");
                if (piped.proven && at < len - TAR_END_SIZE)
                        fail_msg("byte %zu: proven from a pipe", at);
                bytes[at] ^= (uint8_t)(1U << (at * 5 + at / 512) % 8);
        }
        free(bytes);
}

static void every_truncation_is_found(void **state)
{
        uint8_t *bytes;
        size_t len;

        (void)state;
        build("s", &tiny);
        bytes = load("s", &len);
        for (size_t cut = 0; cut < len; cut++) {
                struct told file, piped;

                read_written(bytes, cut, &file);
                damaged(&file, cut, "file");
                read_piped(bytes, cut, &piped);
                damaged(&piped, cut, "pipe");
                if (piped.err.status != ERR_TRUNCATED)
                        fail_msg("cut at %zu: %s", cut, piped.err.why);
        }
        free(bytes);
}

static void appended_bytes_are_found(void **state)
{
        static const size_t counts[] = {1, 511, 512, 1024, 10240};
        struct told t;
        uint8_t *bytes;
        size_t len;

        (void)state;
        build("s", &tiny);
        bytes = load("s", &len);
        bytes = realloc(bytes, len + 10240);
        for (int fill = 0; fill < 2; fill++) {
                memset(bytes + len, fill, 10240);
                for (size_t i = 0; i < 5; i++) {
                        read_written(bytes, len + counts[i], &t);
                        damaged(&t, len + counts[i], "file");
                        read_piped(bytes, len + counts[i], &t);
                        damaged(&t, len + counts[i], "pipe");
                }
        }
        free(bytes);
}

/* Whoever can make digests fit. */
static void sign(uint8_t *bytes, size_t len, struct trailer *t)
{
        uint8_t *at = bytes + len - TRAILER_FROM_END;

        digest_of(bytes + t->index_offset, t->index_size, t->index_digest);
        trailer_encode(t, at);
}

static void find_trailer(const uint8_t *bytes, size_t len, struct trailer *t)
{
        size_t at = len - TRAILER_FROM_END;
        struct err err = ERR_INIT;

        assert_done(trailer_decode(bytes + at, at, t, &err), &err);
}

/* The index must tell the truth, not only have the right digest. */
static void a_forged_index_is_found(void **state)
{
        static const char with[] = {'0', '1', '8', 'f', '\n', ' ', '\0', 'z'};
        struct trailer t;
        struct told told;
        uint8_t *bytes;
        size_t len;

        (void)state;
        build("s", &tiny);
        bytes = load("s", &len);
        find_trailer(bytes, len, &t);
        for (size_t i = 0; i < t.index_size; i++) {
                uint8_t *at = bytes + t.index_offset + i, was = *at;

                for (size_t n = 0; n < sizeof with; n++) {
                        if ((uint8_t)with[n] == was)
                                continue;
                        *at = (uint8_t)with[n];
                        sign(bytes, len, &t);
                        read_written(bytes, len, &told);
                        if (told.err.status != ERR_LIMIT)
                                damaged(&told, i, "file");
                }
                read_piped(bytes, len, &told);
                damaged(&told, i, "pipe");
                *at = was;
        }
        free(bytes);
}

static void a_forged_trailer_is_found(void **state)
{
        static const uint64_t values[] = {
                0,         1, 512, 4096, 100000, 1ULL << 40, UINT64_MAX - 511,
                UINT64_MAX};
        struct trailer t, good;
        struct told told;
        uint8_t *bytes;
        size_t len;

        (void)state;
        build("s", &tiny);
        bytes = load("s", &len);
        find_trailer(bytes, len, &good);
        for (size_t i = 0; i < 4 * sizeof values / sizeof *values; i++) {
                t = good;
                *(i % 4 == 0   ? &t.file_size
                  : i % 4 == 1 ? &t.index_offset
                  : i % 4 == 2 ? &t.index_size
                               : &t.members) = values[i / 4];
                trailer_encode(&t, bytes + len - TRAILER_FROM_END);
                read_written(bytes, len, &told);
                damaged(&told, i, "file");
                read_piped(bytes, len, &told);
                damaged(&told, i, "pipe");
        }
        free(bytes);
}

/* Two members of one size, exchanged with their headers: each byte is where a
 * sound one could be. */
static void exchanged_members_are_found(void **state)
{
        const struct shape plain = {false, 0, 2, 4096};
        size_t len, a = 0, b = 0, block = 512 + 4096;
        uint8_t *bytes, *keep = malloc(block);
        struct told t;

        (void)state;
        build("s", &plain);
        bytes = load("s", &len);
        for (size_t at = 0; at + 512 <= len; at += 512) {
                if (!strncmp((char *)bytes + at, "ram/pc.ram/", 11)) {
                        a = a ? a : at;
                        b = at;
                }
        }
        assert_true(a > 0 && b == a + block);
        memcpy(keep, bytes + a, block);
        memmove(bytes + a, bytes + b, block);
        memcpy(bytes + b, keep, block);
        read_written(bytes, len, &t);
        damaged(&t, a, "file");
        assert_string_equal(t.err.section, "ram/pc.ram/0000000000000000");
        read_piped(bytes, len, &t);
        damaged(&t, a, "pipe");
        free(bytes);
        free(keep);
}

/* Damage from a pipe is known at the next segment, and names the member. */
static void an_index_segment_shows_damage_early(void **state)
{
        const struct shape many = {false, 0, SEGMENT_MEMBERS + 5, 16};
        uint8_t *bytes;
        struct told t;
        size_t len, at = 0;

        (void)state;
        build("s", &many);
        bytes = load("s", &len);
        read_path("s", 2, &t);
        assert_done(t.err.status == ERR_NONE, &t.err);
        while (strncmp((char *)bytes + at, "ram/pc.ram/0000000000500000", 27))
                at += 512;
        bytes[at + 512] ^= 1;
        read_piped(bytes, len, &t);
        damaged(&t, at, "pipe");
        assert_int_equal(t.chunks, SEGMENT_MEMBERS - 1);
        assert_string_equal(t.err.section, "ram/pc.ram/0000000000500000");
        assert_int_equal(t.err.offset, at + 512);
        free(bytes);
}

static bool count_entry(void *arg, const struct index_entry *e, struct err *err)
{
        unsigned *n = arg;

        (void)err;
        assert_int_equal(e->data_offset % 512, 0);
        return ++*n < 3;
}

static void the_index_can_be_walked_before_reading(void **state)
{
        struct reader_options options = {.threads = 0};
        struct read_item item = {.kind = READ_CHUNK};
        struct err err = ERR_INIT;
        struct reader *r;
        uint8_t *bytes;
        unsigned n = 0;
        size_t len;
        int fd;

        (void)state;
        build("s", &tiny);
        fd = open("s", O_RDONLY);
        assert_done(reader_open(fd, "s", &options, &r, &err), &err);
        assert_false(reader_index(r, count_entry, &n, &err));
        assert_int_equal(n, 3);
        assert_int_equal(err.status, ERR_NONE);
        assert_done(
                reader_get(r, "stasis/vmdesc.json", 100, &bytes, &len, &err),
                &err);
        assert_int_equal(len, 2);
        assert_memory_equal(bytes, "{}", 2);
        free(bytes);
        assert_done(reader_get(r, "stasis/none", 100, &bytes, &len, &err),
                    &err);
        assert_null(bytes);
        assert_false(
                reader_get(r, "stasis/vmdesc.json", 1, &bytes, &len, &err));
        assert_int_equal(err.status, ERR_LIMIT);
        err_clear(&err);
        while (item.kind != READ_END)
                assert_done(reader_next(r, &item, &err), &err);
        reader_close(r);
        close(fd);
}

static void other_files_are_refused(void **state)
{
        static uint8_t bytes[20000];
        struct told t;

        (void)state;
        for (int fill = 0; fill < 256; fill += 51) {
                memset(bytes, fill, sizeof bytes);
                for (size_t len = 0; len <= sizeof bytes; len += 2500) {
                        read_written(bytes, len, &t);
                        damaged(&t, len, "file");
                        read_piped(bytes, len, &t);
                        damaged(&t, len, "pipe");
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(file_and_pipe_tell_the_same),
                IN_DIR(stored_only_checks_without_decoding),
                IN_DIR(a_flipped_bit_in_any_byte_is_found),
                IN_DIR(every_truncation_is_found),
                IN_DIR(appended_bytes_are_found),
                IN_DIR(a_forged_index_is_found),
                IN_DIR(a_forged_trailer_is_found),
                IN_DIR(exchanged_members_are_found),
                IN_DIR(an_index_segment_shows_damage_early),
                IN_DIR(the_index_can_be_walked_before_reading),
                IN_DIR(other_files_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
