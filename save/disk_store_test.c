/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks of any pattern, alone and with what was kept of a temporary overlay
 * over them: what a reader finds in the snapshot is what the disk was. */
#include "save/disk_store.h"

#include "base/io.h"
#include "base/limits.h"
#include "base/test.h"
#include "format/reader.h"
#include "format/zeros.h"
#include "qcow/writer.h"
#include "save/kept.h"

#include <string.h>

#define GRAIN  4096u
#define GRAINS 1100u /* more than four chunks */
#define SIZE   ((uint64_t)GRAINS * GRAIN - 512)

/* A disk in memory: the kind of each grain, and its bytes. */
struct disk {
        enum extent_kind kinds[GRAINS];
        uint8_t bytes[GRAINS * GRAIN];
};

static bool extent(void *arg, uint64_t offset, uint64_t *len_out,
                   enum extent_kind *kind_out, struct err *err)
{
        const struct disk *d = arg;
        size_t i = (size_t)(offset / GRAIN), end = i;

        (void)err;
        *kind_out = d->kinds[i];
        while (end < GRAINS && d->kinds[end] == d->kinds[i])
                end++;
        *len_out = (end < GRAINS ? end * GRAIN : SIZE) - offset;
        return true;
}

static bool read_disk(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                      struct err *err)
{
        const struct disk *d = arg;

        (void)err;
        /* Nobody asks for what is not there. */
        for (size_t i = (size_t)(offset / GRAIN); i * GRAIN < offset + len; i++)
                assert_int_equal(d->kinds[i], EXTENT_DATA);
        memcpy(bytes, d->bytes + offset, len);
        return true;
}

static struct disk_source source_of(struct disk *d)
{
        return (struct disk_source){
                .arg = d,
                .size = SIZE,
                .granularity = GRAIN,
                .extent = extent,
                .read = read_disk,
        };
}

/* Runs of one to forty grains of one kind. */
static void scatter(struct disk *d, unsigned seed, bool absent)
{
        memset(d, 0, sizeof *d);
        for (size_t i = 0; i < GRAINS;) {
                enum extent_kind kind;
                size_t run;

                seed = seed * 1103515245 + 12345;
                run = 1 + (seed >> 8) % 40;
                kind = (enum extent_kind)((seed >> 20) % 3);
                if (kind == EXTENT_ABSENT && !absent)
                        kind = EXTENT_DATA;
                for (; run > 0 && i < GRAINS; run--, i++) {
                        d->kinds[i] = kind;
                        if (kind == EXTENT_DATA)
                                memset(d->bytes + i * GRAIN, (int)(i % 250) + 1,
                                       GRAIN);
                }
        }
}

static void store(int fd, const struct disk_source *s, bool overlay,
                  struct disk_totals *totals)
{
        struct writer_options options = {
                .compress = true, .level = 1, .threads = 2};
        json_t *m = json_pack("{s:i, s:[]}", "target_page_size", 4096,
                              "ram_blocks");
        json_t *state = json_pack(
                "{s:[], s:[{s:s, s:s, s:s, s:I, s:i}]}", "absent", "disks",
                "name", "d", "dir", "disk/d", "stored",
                overlay ? "overlay" : "full", "virtual_size",
                (json_int_t)s->size, "granularity", (int)s->granularity);
        struct err err = ERR_INIT;
        struct writer *w;

        assert_done(writer_new(fd, "test", false, &options, &w, &err), &err);
        assert_done(writer_manifest(w, m, &err), &err);
        assert_done(disk_store(w, "disk/d", s, overlay, 0, NULL, totals, &err),
                    &err);
        assert_done(writer_state(w, state, &err), &err);
        assert_done(writer_finish(w, &err), &err);
        writer_free(w);
        json_decref(m);
        json_decref(state);
}

static void take_zeros(struct disk *d, const uint8_t *text, size_t len)
{
        uint64_t offset, length, end = 0;
        struct err err = ERR_INIT;
        size_t pos = 0;

        for (;;) {
                assert_done(zeros_next(text, len, &pos, &end, &offset, &length,
                                       &err),
                            &err);
                if (!length)
                        return;
                for (; length > 0; length -= length < GRAIN ? length : GRAIN) {
                        d->kinds[offset / GRAIN] = EXTENT_ZERO;
                        offset += GRAIN;
                }
        }
}

/* What the snapshot says of the disk. */
static void load(int fd, struct disk *d)
{
        struct reader_options options = {.threads = 0, .only = "disk/d/"};
        struct err err = ERR_INIT;
        struct read_item item;
        struct reader *r;

        memset(d, 0, sizeof *d);
        assert_done(reader_open(fd, "test", &options, &r, &err), &err);
        for (;;) {
                assert_done(reader_next(r, &item, &err), &err);
                if (item.kind == READ_END)
                        break;
                if (item.kind == READ_MEMBER) {
                        take_zeros(d, item.bytes, item.len);
                        continue;
                }
                assert_int_equal(item.address % GRAIN, 0);
                assert_true(item.address / CHUNK_SIZE ==
                            (item.address + item.len - 1) / CHUNK_SIZE);
                memcpy(d->bytes + item.address, item.bytes, item.len);
                for (size_t at = 0; at < item.len; at += GRAIN) {
                        size_t i = (size_t)((item.address + at) / GRAIN);

                        assert_int_equal(d->kinds[i], EXTENT_ABSENT);
                        d->kinds[i] = EXTENT_DATA;
                }
        }
        reader_close(r);
}

/* A disk in full knows no zeros but gaps. */
static void forget_zeros(struct disk *d)
{
        for (size_t i = 0; i < GRAINS; i++)
                if (d->kinds[i] == EXTENT_ZERO)
                        d->kinds[i] = EXTENT_ABSENT;
}

static struct disk want, got, top;

static void expect_same(void)
{
        /* The last grain is not whole. */
        memset(want.bytes + SIZE, 0, sizeof want.bytes - SIZE);
        assert_memory_equal(want.kinds, got.kinds, sizeof want.kinds);
        assert_memory_equal(want.bytes, got.bytes, sizeof want.bytes);
}

static void a_disk_is_read_as_it_was(void **state)
{
        (void)state;
        for (unsigned seed = 1; seed <= 20; seed++) {
                bool overlay = seed % 2;
                struct err err = ERR_INIT;
                struct disk_totals totals;
                struct disk_source s;
                uint64_t data = 0;
                int fd;

                scatter(&want, seed, true);
                s = source_of(&want);
                assert_done(io_open_unlinked(NULL, &fd, &err), &err);
                store(fd, &s, overlay, &totals);
                load(fd, &got);
                close(fd);
                if (!overlay)
                        forget_zeros(&want);
                expect_same();
                for (size_t i = 0; i < GRAINS; i++)
                        data += got.kinds[i] == EXTENT_DATA ? GRAIN : 0;
                if (got.kinds[GRAINS - 1] == EXTENT_DATA)
                        data -= 512;
                assert_int_equal(totals.data_bytes, data);
        }
}

/* A qcow2 image of what scatter made. */
static void make_image(int fd, const struct disk *d)
{
        struct qcow2_writer_options options = {
                .size = SIZE,
                .cluster_size = GRAIN,
                .backing_name = "base",
                .backing_format = "raw",
        };
        struct err err = ERR_INIT;
        struct qcow2_writer *w;

        assert_done(qcow2_writer_new(fd, "test", &options, &w, &err), &err);
        for (size_t i = 0; i < GRAINS; i++) {
                uint64_t at = i * GRAIN;
                size_t len = SIZE - at < GRAIN ? (size_t)(SIZE - at) : GRAIN;

                if (d->kinds[i] == EXTENT_DATA)
                        assert_done(qcow2_writer_data(w, at, d->bytes + at, len,
                                                      &err),
                                    &err);
                if (d->kinds[i] == EXTENT_ZERO)
                        assert_done(qcow2_writer_zero(w, at, len, &err), &err);
        }
        assert_done(qcow2_writer_finish(w, &err), &err);
        qcow2_writer_free(w);
}

static void what_was_kept_lies_over_what_stood_still(void **state)
{
        (void)state;
        for (unsigned seed = 1; seed <= 10; seed++) {
                struct disk_source below, s;
                struct err err = ERR_INIT;
                struct disk_totals totals;
                struct kept *k;
                int fd, image;

                scatter(&want, seed, true);
                scatter(&top, seed + 100, true);
                assert_done(io_open_unlinked(NULL, &image, &err), &err);
                make_image(image, &top);
                assert_done(kept_read(image, "test", NULL, &k, &err), &err);
                /* It may change now. */
                assert_int_equal(ftruncate(image, 0), 0);
                close(image);
                below = source_of(&want);
                kept_over(k, &below, &s);
                assert_int_equal(s.size, SIZE);
                assert_done(io_open_unlinked(NULL, &fd, &err), &err);
                store(fd, &s, true, &totals);
                load(fd, &got);
                close(fd);
                kept_free(k);
                for (size_t i = 0; i < GRAINS; i++) {
                        if (top.kinds[i] == EXTENT_ABSENT)
                                continue;
                        want.kinds[i] = top.kinds[i];
                        memcpy(want.bytes + i * GRAIN, top.bytes + i * GRAIN,
                               GRAIN);
                }
                expect_same();
        }
}

static bool lying(void *arg, uint64_t offset, uint64_t *len_out,
                  enum extent_kind *kind_out, struct err *err)
{
        (void)offset;
        (void)err;
        *len_out = *(uint64_t *)arg;
        *kind_out = EXTENT_DATA;
        return true;
}

static void a_source_that_breaks_its_word_is_refused(void **state)
{
        static uint64_t lens[] = {0, GRAIN / 2, SIZE + GRAIN, UINT64_MAX};

        (void)state;
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                struct writer_options options = {.threads = 0};
                struct disk_source s = source_of(&want);
                struct err err = ERR_INIT;
                struct disk_totals totals;
                struct writer *w;
                int fd;

                s.arg = &lens[i];
                s.extent = lying;
                assert_done(io_open_unlinked(NULL, &fd, &err), &err);
                assert_done(writer_new(fd, "test", false, &options, &w, &err),
                            &err);
                assert_false(disk_store(w, "disk/d", &s, true, 0, NULL, &totals,
                                        &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                writer_free(w);
                close(fd);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_disk_is_read_as_it_was),
                cmocka_unit_test(what_was_kept_lies_over_what_stood_still),
                cmocka_unit_test(a_source_that_breaks_its_word_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
