/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/io.h"
#include "base/limits.h"
#include "format/name.h"
#include "format/reader.h"
#include "format/stasis_format.h"
#include "format/writer.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define CHUNKS 9

/* Where written() said that chunks are, by tag. */
struct places {
        uint64_t offset[CHUNKS];
        uint32_t len[CHUNKS];
        unsigned told;
};

static void on_written(void *arg, uint64_t tag, uint64_t data_offset,
                       uint32_t stored_len)
{
        struct places *p = arg;

        assert_int_equal(tag, p->told); /* in order */
        p->offset[tag] = data_offset;
        p->len[tag] = stored_len;
        p->told++;
}

static size_t chunk_len(unsigned i)
{
        return i == CHUNKS - 1 ? 4096 : CHUNK_SIZE;
}

/* Every third is zero; others shrink, or do not. */
static void fill(uint8_t *bytes, unsigned i)
{
        uint32_t x = i + 1;

        for (size_t at = 0; at < chunk_len(i); at++) {
                x = x * 1664525 + 1013904223;
                bytes[at] = i % 3 == 1   ? 0
                            : i % 3 == 0 ? (uint8_t)(x >> 24)
                                         : (uint8_t)(at / 500 + i);
        }
}

static struct writer *open_writer(int fd, bool compress, unsigned threads,
                                  bool read_back, struct places *places)
{
        struct writer_options options = {
                .compress = compress,
                .level = 1,
                .threads = threads,
                .mtime = 1700000000,
                .written = on_written,
                .arg = places,
        };
        struct err err = ERR_INIT;
        struct writer *w;

        *places = (struct places){.told = 0};
        assert_done(writer_new(fd, "test", read_back, &options, &w, &err),
                    &err);
        return w;
}

static bool begin(struct writer *w, struct err *err)
{
        json_t *m = json_pack("{s:i, s:[{s:s, s:s, s:i}]}", "target_page_size",
                              4096, "ram_blocks", "name", "a", "dir", "ram/a",
                              "size", (int)(CHUNKS * CHUNK_SIZE));
        bool ok = writer_manifest(w, m, err);

        json_decref(m);
        return ok;
}

static bool put(struct writer *w, const char *dir, unsigned i, struct err *err)
{
        struct chunk *c;

        TRY(writer_borrow(w, &c, err));
        assert_int_equal((uintptr_t)c->bytes % 64, 0);
        snprintf(c->dir, sizeof c->dir, "%s", dir);
        c->address = i * CHUNK_SIZE;
        c->len = chunk_len(i);
        c->drop_zero = true;
        c->tag = i;
        fill(c->bytes, i);
        return writer_submit(w, c, err);
}

static bool end(struct writer *w, struct err *err)
{
        json_t *s = json_pack("{s:[]}", "absent");
        bool ok = writer_state(w, s, err) && writer_finish(w, err);

        json_decref(s);
        return ok;
}

static bool write_all(struct writer *w, struct err *err)
{
        TRY(begin(w, err));
        for (unsigned i = 0; i < CHUNKS; i++)
                TRY(put(w, "ram/a", i, err));
        return end(w, err);
}

static int create(const char *path)
{
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        return fd;
}

static char *save(bool compress, unsigned threads, size_t *len)
{
        struct places places;
        struct err err = ERR_INIT;
        int fd = create("s");
        struct writer *w = open_writer(fd, compress, threads, false, &places);
        char *bytes;

        assert_done(write_all(w, &err), &err);
        assert_int_equal(places.told, CHUNKS);
        writer_free(w);
        close(fd);
        assert_done(io_read_file("s", SIZE_MAX / 2, &bytes, len, &err), &err);
        return bytes;
}

static void the_same_bytes_come_at_any_thread_count(void **state)
{
        (void)state;
        for (int compress = 0; compress < 2; compress++) {
                size_t len, other_len;
                char *bytes = save(compress, 0, &len);

                for (unsigned threads = 1; threads < 5; threads += 3) {
                        char *other = save(compress, threads, &other_len);

                        assert_int_equal(other_len, len);
                        assert_memory_equal(other, bytes, len);
                        free(other);
                }
                free(bytes);
        }
}

static void the_archive_is_framed_as_the_spec_says(void **state)
{
        size_t len;
        char *bytes = save(true, 0, &len);

        (void)state;
        assert_string_equal(bytes, MEMBER_MANIFEST);
        assert_string_equal(bytes + 100, "000600 ");         /* mode */
        assert_string_equal(bytes + 108, "000000 ");         /* uid  */
        assert_memory_equal(bytes + 136, "14524770400", 11); /* mtime */
        assert_memory_equal(bytes + 257,
                            "ustar\0"
                            "00",
                            8);
        assert_string_equal(bytes + 265, ""); /* user  */
        assert_string_equal(bytes + 297, ""); /* group */
        assert_memory_equal(bytes + len - TRAILER_FROM_END, TRAILER_MAGIC,
                            TRAILER_MAGIC_LEN);
        for (size_t i = len - TAR_END_SIZE; i < len; i++)
                assert_int_equal(bytes[i], 0);
        free(bytes);
}

static void written_chunks_read_back(struct writer *w, struct places *places)
{
        static uint8_t want[CHUNK_SIZE], got[CHUNK_SIZE];
        struct err err = ERR_INIT;

        assert_done(begin(w, &err), &err);
        for (unsigned i = 0; i < CHUNKS; i++)
                assert_done(put(w, "ram/a", i, &err), &err);
        assert_done(writer_flush(w, &err), &err);
        assert_int_equal(places->told, CHUNKS);
        for (unsigned i = CHUNKS; i-- > 0;) {
                if (i % 3 == 1) {
                        assert_int_equal(places->len[i], 0);
                        continue;
                }
                fill(want, i);
                assert_done(writer_read_back(w, places->offset[i],
                                             places->len[i], got, chunk_len(i),
                                             &err),
                            &err);
                assert_memory_equal(want, got, chunk_len(i));
        }
        assert_done(end(w, &err), &err);
}

static void chunks_are_read_back_from_a_file(void **state)
{
        (void)state;
        for (int compress = 0; compress < 2; compress++) {
                struct places places;
                int fd = create("s");
                struct writer *w = open_writer(fd, compress, 2, true, &places);

                written_chunks_read_back(w, &places);
                writer_free(w);
                close(fd);
        }
}

/* Ours of a pipe whose other end is read by a child, into the file "piped". */
static int piped(pid_t *child)
{
        char block[65536];
        int fds[2], fd;
        ssize_t n;

        assert_int_equal(pipe(fds), 0);
        *child = fork();
        if (*child == 0) {
                close(fds[1]);
                fd = create("piped");
                while ((n = read(fds[0], block, sizeof block)) > 0)
                        if (write(fd, block, (size_t)n) != n)
                                _exit(1);
                _exit(0);
        }
        close(fds[0]);
        return fds[1];
}

static void a_pipe_gets_the_bytes_of_a_file_and_is_read_back(void **state)
{
        struct err err = ERR_INIT;
        size_t len, piped_len;
        char *file = save(true, 0, &len), *through;
        struct places places;
        struct writer *w;
        pid_t child;
        int fd, status;

        (void)state;
        fd = piped(&child);
        w = open_writer(fd, true, 2, true, &places);
        written_chunks_read_back(w, &places);
        writer_free(w);
        close(fd);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_done(
                io_read_file("piped", SIZE_MAX / 2, &through, &piped_len, &err),
                &err);
        assert_int_equal(piped_len, len);
        assert_memory_equal(through, file, len);
        free(through);
        free(file);
}

static void no_room_is_an_error_wherever_it_runs_out(void **state)
{
        struct places places;
        struct err err = ERR_INIT;
        int fd = open("/dev/full", O_WRONLY);
        struct writer *w = open_writer(fd, true, 2, false, &places);

        (void)state;
        assert_false(write_all(w, &err));
        assert_int_equal(err.status, ERR_IO);
        assert_int_equal(err.os, ENOSPC);
        writer_free(w);
        close(fd);
}

static void a_closed_pipe_is_an_error(void **state)
{
        struct places places;
        struct err err = ERR_INIT;
        struct writer *w;
        int fds[2];

        (void)state;
        signal(SIGPIPE, SIG_IGN);
        assert_int_equal(pipe(fds), 0);
        close(fds[0]);
        w = open_writer(fds[1], true, 0, false, &places);
        assert_false(write_all(w, &err));
        assert_int_equal(err.os, EPIPE);
        writer_free(w);
        close(fds[1]);
}

static void a_writer_can_be_given_up_at_any_moment(void **state)
{
        (void)state;
        for (unsigned stop = 0; stop < 4; stop++) {
                struct places places;
                struct err err = ERR_INIT;
                int fd = create("s");
                struct writer *w = open_writer(fd, true, 2, false, &places);
                struct chunk *c;

                if (stop > 0)
                        assert_done(begin(w, &err), &err);
                for (unsigned i = 0; stop > 1 && i < CHUNKS; i++)
                        assert_done(put(w, "ram/a", i, &err), &err);
                if (stop > 2) {
                        assert_done(writer_borrow(w, &c, &err), &err);
                        writer_return(w, c);
                }
                writer_free(w);
                close(fd);
        }
}

static void expect_totals(const json_t *state, unsigned chunks)
{
        const json_t *t = json_object_get(state, "totals");

        assert_int_equal(json_integer_value(json_object_get(t, "chunks")),
                         chunks);
        assert_int_equal(json_integer_value(json_object_get(t, "raw_bytes")),
                         5 * CHUNK_SIZE + 4096);
        assert_true(json_is_integer(json_object_get(t, "stored_bytes")));
}

/* Names of RAMBlocks and devices can be long: then pax records carry them. */
static void long_names_come_back(void **state)
{
        struct reader_options options = {.threads = 0};
        struct err err = ERR_INIT;
        struct read_item item;
        struct places places;
        struct reader *r;
        char foreign[256], dir[512];
        int fd = create("s");
        struct writer *w = open_writer(fd, true, 0, false, &places);

        (void)state;
        memset(foreign, '/', 255);
        foreign[255] = '\0';
        name_stream_dir(0, "full", foreign, dir);
        assert_done(begin(w, &err) && put(w, dir, 0, &err) && end(w, &err),
                    &err);
        writer_free(w);
        assert_done(reader_open(fd, "s", &options, &r, &err), &err);
        assert_done(reader_next(r, &item, &err), &err);
        assert_string_equal(item.dir, dir);
        assert_done(reader_next(r, &item, &err), &err);
        assert_int_equal(item.kind, READ_END);
        reader_close(r);
        close(fd);
}

static void totals_count_what_was_written(void **state)
{
        struct reader_options options = {.threads = 0};
        struct err err = ERR_INIT;
        struct reader *r;
        size_t len;
        int fd;

        (void)state;
        free(save(true, 0, &len));
        fd = open("s", O_RDONLY);
        assert_done(reader_open(fd, "s", &options, &r, &err), &err);
        expect_totals(reader_state(r), 6);
        reader_close(r);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(the_same_bytes_come_at_any_thread_count),
                IN_DIR(the_archive_is_framed_as_the_spec_says),
                IN_DIR(chunks_are_read_back_from_a_file),
                IN_DIR(a_pipe_gets_the_bytes_of_a_file_and_is_read_back),
                IN_DIR(no_room_is_an_error_wherever_it_runs_out),
                IN_DIR(a_closed_pipe_is_an_error),
                IN_DIR(a_writer_can_be_given_up_at_any_moment),
                IN_DIR(long_names_come_back),
                IN_DIR(totals_count_what_was_written),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
