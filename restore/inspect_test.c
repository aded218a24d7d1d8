/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/inspect.h"

#include "restore/fixture.h"

static void open_fixture(const struct fixture *f, int *fd, struct reader **r)
{
        struct err err = ERR_INIT;

        *fd = fixture_new(f);
        assert_done(reader_open(*fd, "snapshot", &(struct reader_options){0}, r,
                                &err),
                    &err);
}

static void ram_is_counted_by_block_and_the_rest_by_item(void **state)
{
        struct inspection in;
        struct err err = ERR_INIT;
        struct reader *r;
        int fd;

        (void)state;
        open_fixture(&(struct fixture){.plain = true}, &fd, &r);
        assert_done(inspect_run(r, NULL, NULL, &in, &err), &err);
        assert_int_equal(in.blocks.count, 2);
        assert_string_equal(in.blocks.list[0].name, "pc.ram");
        assert_int_equal(in.blocks.list[0].chunks, 2);
        assert_int_equal(in.blocks.list[0].raw_bytes, RAM_SIZE);
        assert_int_equal(in.blocks.list[0].stored_bytes, RAM_SIZE);
        assert_int_equal(in.blocks.list[1].chunks, 0);
        assert_int_equal(in.count, 6);
        assert_string_equal(in.groups[4].dir, "stream/000004.full.timer");
        assert_int_equal(in.groups[4].class, NAME_STREAM);
        assert_int_equal(in.groups[4].raw_bytes, 32);
        assert_int_equal(in.chunks, 8);
        /* manifest, vmdesc, state */
        assert_int_equal(in.members, in.chunks + 3);
        assert_int_equal(in.waste_bytes, 0);
        inspection_fini(&in);
        reader_close(r);
        close(fd);
}

/* The stored bytes of what was replaced, not of what replaced it. */
static void chunks_that_came_again_are_waste(void **state)
{
        struct inspection in;
        struct err err = ERR_INIT;
        struct reader *r;
        int fd;

        (void)state;
        open_fixture(&(struct fixture){.plain = true, .again = 2}, &fd, &r);
        assert_done(inspect_run(r, NULL, NULL, &in, &err), &err);
        assert_int_equal(in.waste_bytes, 2 * CHUNK_SIZE);
        assert_int_equal(in.blocks.list[0].chunks, 2);
        assert_int_equal(in.blocks.list[0].replaced, 2);
        assert_int_equal(in.blocks.list[0].stored_bytes, RAM_SIZE);
        assert_int_equal(in.raw_bytes - in.waste_bytes - RAM_SIZE,
                         in.stored_bytes - 2 * CHUNK_SIZE - RAM_SIZE);
        inspection_fini(&in);
        reader_close(r);
        close(fd);
}

struct seen {
        unsigned count;
        uint64_t last_offset;
        bool ascending;
};

static bool see(void *arg, const struct index_entry *e, const struct name *n,
                struct err *err)
{
        struct seen *s = arg;

        (void)err;
        s->ascending &= e->data_offset > s->last_offset;
        s->last_offset = e->data_offset;
        s->count += n->class == NAME_RAM || n->class == NAME_STREAM;
        return true;
}

static void each_chunk_is_told_in_the_order_of_the_file(void **state)
{
        struct seen seen = {.ascending = true};
        struct inspection in;
        struct err err = ERR_INIT;
        struct reader *r;
        int fd;

        (void)state;
        open_fixture(&(struct fixture){.items = 1100}, &fd, &r);
        assert_done(inspect_run(r, see, &seen, &in, &err), &err);
        assert_true(seen.ascending);
        assert_int_equal(seen.count, 1108);
        assert_int_equal(seen.count, in.chunks);
        inspection_fini(&in);
        reader_close(r);
        close(fd);
}

static void a_chunk_outside_of_its_block_is_refused(void **state)
{
        struct inspection in;
        struct err err = ERR_INIT;
        struct reader *r;
        int fd;

        (void)state;
        open_fixture(&(struct fixture){.ram_dir = "ram/rom",
                                       .ram_address = CHUNK_SIZE,
                                       .ram_len = 1},
                     &fd, &r);
        assert_false(inspect_run(r, NULL, NULL, &in, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_string_equal(err.section, "ram/rom/0000000000100000.zst");
        inspection_fini(&in);
        reader_close(r);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ram_is_counted_by_block_and_the_rest_by_item),
                cmocka_unit_test(chunks_that_came_again_are_waste),
                cmocka_unit_test(each_chunk_is_told_in_the_order_of_the_file),
                cmocka_unit_test(a_chunk_outside_of_its_block_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
