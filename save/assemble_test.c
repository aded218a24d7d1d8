/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages in every order, again, as deltas: the chunks must be what memory was.
 */
#include "save/assemble.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "format/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGE   4096U
#define BLOCKS 2U

static const uint64_t sizes[BLOCKS] = {3 * CHUNK_SIZE + 5 * PAGE, 2 * PAGE};

struct bench {
        struct ram_block list[BLOCKS];
        struct ram_blocks blocks;
        uint8_t *model[BLOCKS]; /* what memory is */
        struct writer *w;
        struct assembler *a;
        int fd;
        unsigned seed;
};

static void written(void *arg, uint64_t tag, uint64_t offset, uint32_t len)
{
        struct bench *b = arg;

        assembler_written(b->a, tag, offset, len);
}

static unsigned roll(struct bench *b, unsigned below)
{
        b->seed = b->seed * 1103515245 + 12345;
        return (b->seed >> 8) % below;
}

static struct writer *open_writer(struct bench *b, unsigned threads,
                                  int *fd_out)
{
        struct writer_options options = {
                .compress = true,
                .level = 1,
                .threads = threads,
                .written = written,
                .arg = b,
        };
        struct err err = ERR_INIT;
        json_t *manifest;
        struct writer *w;

        manifest = json_pack("{s:i, s:[]}", "target_page_size", PAGE,
                             "ram_blocks");
        assert_true(io_open_unlinked(NULL, fd_out, &err));
        assert_true(writer_new(*fd_out, "test", true, &options, &w, &err));
        assert_true(writer_manifest(w, manifest, &err));
        json_decref(manifest);
        return w;
}

static void begin(struct bench *b, unsigned threads, unsigned seed)
{
        struct err err = ERR_INIT;

        memset(b, 0, sizeof *b);
        b->seed = seed;
        strcpy(b->list[0].name, "ram0");
        strcpy(b->list[1].name, "rom");
        b->blocks.blocks = b->list;
        b->blocks.count = BLOCKS;
        for (unsigned i = 0; i < BLOCKS; i++) {
                b->list[i].size = sizes[i];
                b->model[i] = calloc(1, sizes[i]);
        }
        b->w = open_writer(b, threads, &b->fd);
        assert_true(assembler_new(b->w, &b->blocks, NULL, &b->a, &err));
}

static void put(struct bench *b, unsigned block, unsigned page,
                enum page_kind kind, const uint8_t *bytes, size_t len)
{
        uint8_t *at = b->model[block] + (size_t)page * PAGE;
        struct err err = ERR_INIT;

        if (kind == PAGE_RAW)
                memcpy(at, bytes, len);
        else if (kind == PAGE_FILL)
                memset(at, bytes[0], PAGE);
        else
                assert_true(xbzrle_apply(at, PAGE, bytes, len, &err));
        assert_true(assembler_page(b->a, PAGE, block, (uint64_t)page * PAGE,
                                   kind, bytes, len, &err));
}

static void put_some(struct bench *b, unsigned block, unsigned page,
                     bool delta_too)
{
        uint8_t bytes[PAGE];
        unsigned what = roll(b, delta_too ? 4 : 3);

        memset(bytes, (int)roll(b, 256), sizeof bytes);
        bytes[roll(b, PAGE)] = 7;
        if (what == 0) {
                put(b, block, page, PAGE_FILL, (const uint8_t *)"", 1);
        } else if (what == 3) {
                uint8_t delta[] = {(uint8_t)roll(b, 100), 2,
                                   (uint8_t)roll(b, 256), 9};

                put(b, block, page, PAGE_DELTA, delta, sizeof delta);
        } else {
                put(b, block, page, PAGE_RAW, bytes, PAGE);
        }
}

static unsigned pages(unsigned block)
{
        return (unsigned)(sizes[block] / PAGE);
}

static void first_pass(struct bench *b)
{
        for (unsigned block = 0; block < BLOCKS; block++)
                for (unsigned i = 0; i < pages(block); i++)
                        put_some(b, block, i, false);
}

/* In another file: no chunk is in that twice. */
static void end_elsewhere(struct bench *b)
{
        struct err err = ERR_INIT;
        struct writer *w;
        int fd;

        w = open_writer(b, 1, &fd);
        assert_true(assembler_end_in(b->a, w, &err));
        writer_free(b->w);
        close(b->fd);
        b->w = w;
        b->fd = fd;
}

/* Reads the snapshot back and compares it with the model.  Returns how many
 * RAM chunks it has. */
static unsigned finish_as(struct bench *b, bool elsewhere)
{
        unsigned chunks = 0;
        struct reader_options options = {.threads = 1};
        uint8_t *got[BLOCKS];
        struct err err = ERR_INIT;
        struct read_item item;
        struct reader *r;
        json_t *state = json_object();

        assert_true(assembler_flush(b->a, &err));
        if (elsewhere)
                end_elsewhere(b);
        else
                assert_true(assembler_end(b->a, &err));
        assert_true(writer_state(b->w, state, &err));
        assert_true(writer_finish(b->w, &err));
        json_decref(state);
        for (unsigned i = 0; i < BLOCKS; i++)
                got[i] = calloc(1, sizes[i]);
        if (!reader_open(b->fd, "test", &options, &r, &err))
                fail_msg("%s: %s", err.section, err.why);
        do {
                assert_true(reader_next(r, &item, &err));
                chunks += item.kind == READ_CHUNK;
                if (item.kind == READ_CHUNK)
                        memcpy(got[strcmp(item.dir, "ram/rom") == 0] +
                                       item.address,
                               item.bytes, item.len);
        } while (item.kind != READ_END);
        reader_close(r);
        for (unsigned i = 0; i < BLOCKS; i++) {
                assert_memory_equal(got[i], b->model[i], sizes[i]);
                free(got[i]);
                free(b->model[i]);
        }
        assembler_free(b->a);
        writer_free(b->w);
        close(b->fd);
        return chunks;
}

static void finish(struct bench *b)
{
        finish_as(b, false);
}

static bool no_range(void *arg, unsigned block, uint64_t offset, uint64_t len,
                     struct err *err)
{
        (void)arg;
        fail_msg("missing %u %llu %llu", block, (unsigned long long)offset,
                 (unsigned long long)len);
        return err_set(err, ERR_CORRUPT, "missing");
}

static void one_pass_is_what_came(void **state)
{
        struct err err = ERR_INIT;
        struct bench b;

        (void)state;
        begin(&b, 2, 1);
        first_pass(&b);
        assert_true(assembler_missing(b.a, no_range, NULL, &err));
        assert_int_equal(assembler_pages_again(b.a), 0);
        finish(&b);
}

static void pages_that_come_again_win(void **state)
{
        struct bench b;

        (void)state;
        for (unsigned seed = 1; seed < 9; seed++) {
                begin(&b, seed % 3, seed);
                first_pass(&b);
                for (unsigned i = 0; i < 600; i++) {
                        unsigned block = roll(&b, 10) == 0;

                        put_some(&b, block, roll(&b, pages(block)), true);
                }
                assert_int_equal(assembler_pages_again(b.a), 600);
                finish(&b);
        }
}

static void write_all_again(struct bench *b)
{
        uint8_t bytes[PAGE];

        first_pass(b);
        for (unsigned i = 0; i < pages(0); i++) {
                memset(bytes, 1 + (int)roll(b, 200), sizeof bytes);
                put(b, 0, i, PAGE_RAW, bytes, PAGE);
        }
}

/* The block of all that came again has four chunks, the other one. */
static void another_file_has_each_chunk_once(void **state)
{
        struct err err = ERR_INIT;
        struct bench b;
        unsigned twice;

        (void)state;
        begin(&b, 1, 5);
        write_all_again(&b);
        twice = finish_as(&b, false);
        begin(&b, 1, 5);
        write_all_again(&b);
        assert_true(assembler_flush(b.a, &err));
        assert_true(assembler_superseded(b.a) > 0);
        assert_int_equal(finish_as(&b, true) + 4, twice);
        for (unsigned seed = 1; seed < 5; seed++) {
                begin(&b, seed % 3, seed);
                first_pass(&b);
                for (unsigned i = 0; i < 300; i++)
                        put_some(&b, 0, roll(&b, pages(0)), true);
                finish_as(&b, true);
        }
}

/* A background snapshot serves write faults in between; each page once. */
static void pages_out_of_order_are_placed(void **state)
{
        struct err err = ERR_INIT;
        struct bench b;

        (void)state;
        for (unsigned seed = 1; seed < 5; seed++) {
                bool *done = calloc(pages(0), sizeof *done);

                begin(&b, 1, seed);
                if (seed % 2)
                        assembler_expect_any_order(b.a);
                for (unsigned i = 0; i < pages(0); i++) {
                        unsigned far = roll(&b, pages(0));

                        if (roll(&b, 8) == 0 && !done[far]) {
                                put_some(&b, 0, far, false);
                                done[far] = true;
                        }
                        if (!done[i])
                                put_some(&b, 0, i, false);
                        done[i] = true;
                }
                for (unsigned i = 0; i < pages(1); i++)
                        put_some(&b, 1, i, false);
                free(done);
                assert_int_equal(assembler_pages_again(b.a), 0);
                assert_true(assembler_missing(b.a, no_range, NULL, &err));
                finish(&b);
        }
}

/* A guest that writes to page after page, faster than the sender goes on. */
static void a_chunk_left_in_the_middle_is_written_once(void **state)
{
        bool any_order = true;

        (void)state;
        do {
                struct err err = ERR_INIT;
                struct bench b;
                unsigned again;

                begin(&b, 1, 9);
                if (any_order)
                        assembler_expect_any_order(b.a);
                for (unsigned i = 0; i < 40; i++)
                        put_some(&b, 0, i, false);
                for (unsigned i = 300; i < 600; i++)
                        put_some(&b, 0, i, false);
                for (unsigned i = 40; i < pages(0); i++)
                        if (i < 300 || i >= 600)
                                put_some(&b, 0, i, false);
                for (unsigned i = 0; i < pages(1); i++)
                        put_some(&b, 1, i, false);
                assert_true(assembler_flush(b.a, &err));
                again = assembler_superseded(b.a) > 0;
                assert_int_equal(again, !any_order);
                finish(&b);
                any_order = !any_order;
        } while (!any_order);
}

struct ranges {
        unsigned count;
        uint64_t offset[8], len[8];
};

static bool note_range(void *arg, unsigned block, uint64_t offset, uint64_t len,
                       struct err *err)
{
        struct ranges *r = arg;

        (void)err;
        assert_int_equal(block, 0);
        r->offset[r->count] = offset;
        r->len[r->count++] = len;
        return true;
}

static void what_never_came_is_named(void **state)
{
        struct ranges r = {0};
        struct err err = ERR_INIT;
        struct bench b;

        (void)state;
        begin(&b, 1, 3);
        for (unsigned i = 0; i < pages(0); i++)
                if (i != 5 && !(i >= 250 && i < 600))
                        put_some(&b, 0, i, false);
        for (unsigned i = 0; i < pages(1); i++)
                put_some(&b, 1, i, false);
        assert_true(assembler_missing(b.a, note_range, &r, &err));
        assert_int_equal(r.count, 2);
        assert_int_equal(r.offset[0], 5 * PAGE);
        assert_int_equal(r.len[0], PAGE);
        assert_int_equal(r.offset[1], 250 * PAGE);
        assert_int_equal(r.len[1], 350 * PAGE);
        finish(&b);
}

static void delta_without_a_page_is_refused(void **state)
{
        struct err err = ERR_INIT;
        struct bench b;

        (void)state;
        begin(&b, 1, 3);
        put_some(&b, 0, 0, false);
        assert_false(assembler_page(b.a, PAGE, 0, 2 * CHUNK_SIZE, PAGE_DELTA,
                                    (const uint8_t *)"\0\1a", 3, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        finish(&b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_pass_is_what_came),
                cmocka_unit_test(pages_that_come_again_win),
                cmocka_unit_test(another_file_has_each_chunk_once),
                cmocka_unit_test(pages_out_of_order_are_placed),
                cmocka_unit_test(a_chunk_left_in_the_middle_is_written_once),
                cmocka_unit_test(what_never_came_is_named),
                cmocka_unit_test(delta_without_a_page_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
