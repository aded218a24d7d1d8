/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/block_spool.h"

#include "base/limits.h"
#include "base/test.h"
#include "format/manifest.h"
#include "format/reader.h"

#include <sys/mman.h>

static void add(struct block_spool *s, const char *device, uint64_t mib,
                uint8_t fill, struct err *err)
{
        static uint8_t bytes[MiB];

        memset(bytes, fill, sizeof bytes);
        assert_done(block_spool_add(s, device, mib * MiB, bytes, err), err);
}

/* The snapshot that comes of it; state as it was before, or NULL. */
static struct reader *snapshot(struct block_spool *s, const char *before,
                               int *fd)
{
        struct writer_options options = {.compress = true, .level = 1};
        struct reader_options how = {.threads = 0};
        struct err err = ERR_INIT;
        json_t *manifest, *state;
        struct writer *w;
        struct reader *r;

        manifest = json_pack("{s:i, s:[{s:s, s:s, s:i}]}", "target_page_size",
                             4096, "ram_blocks", "name", "ram", "dir",
                             "ram/ram", "size", 4096);
        state = before ? json_loads(before, 0, NULL)
                       : json_pack("{s:[], s:[]}", "absent", "devices");
        assert_non_null(state);
        *fd = memfd_create("snapshot", MFD_CLOEXEC);
        assert_done(writer_new(*fd, "snapshot", false, &options, &w, &err),
                    &err);
        assert_done(writer_manifest(w, manifest, &err), &err);
        assert_done(block_spool_store(s, w, state, UINT64_MAX, NULL, &err),
                    &err);
        assert_done(writer_state(w, state, &err), &err);
        assert_done(writer_finish(w, &err), &err);
        writer_free(w);
        json_decref(manifest);
        json_decref(state);
        assert_done(reader_open(*fd, "snapshot", &how, &r, &err), &err);
        return r;
}

/* What it holds of disks, a line a member. */
static void tell(struct reader *r, char *out, size_t size)
{
        struct err err = ERR_INIT;
        struct read_item item;
        size_t at = 0;

        out[0] = '\0';
        do {
                assert_done(reader_next(r, &item, &err), &err);
                if (item.kind == READ_CHUNK)
                        at += (size_t)snprintf(
                                out + at, size - at, "%s %llu %zu %02x\n",
                                item.dir,
                                (unsigned long long)(item.address / MiB),
                                item.len, item.bytes[item.len - 1]);
                if (item.kind == READ_MEMBER)
                        at += (size_t)snprintf(out + at, size - at, "%.*s",
                                               (int)item.len,
                                               (const char *)item.bytes);
                assert_true(at < size);
        } while (item.kind != READ_END);
}

static void last_of_each_place_is_kept_in_order(void **state)
{
        struct block_spool *s;
        struct err err = ERR_INIT;
        struct disk_info info;
        struct reader *r;
        char told[1000];
        int fd;

        (void)state;
        assert_done(block_spool_new(NULL, &s, &err), &err);
        add(s, "b", 7, 0x17, &err);
        add(s, "a/1", 5, 0x25, &err);
        add(s, "b", 3, 0x13, &err);
        add(s, "b", 7, 0x27, &err);
        add(s, "b", 4, 0x14, &err);
        add(s, "b", 4, 0, &err);
        assert_done(block_spool_add(s, "b", 5 * MiB, NULL, &err), &err);
        r = snapshot(s, NULL, &fd);
        tell(r, told, sizeof told);
        assert_string_equal(told, "0000000000400000 0000000000200000\n"
                                  "disk/b 3 1048576 13\n"
                                  "disk/b 7 1048576 27\n"
                                  "disk/a%2F1 5 1048576 25\n");
        assert_int_equal(state_disks(reader_state(r)), 2);
        info = state_disk(reader_state(r), 0);
        assert_string_equal(info.name, "b");
        assert_string_equal(info.dir, "disk/b");
        assert_int_equal(info.size, 8 * MiB);
        assert_false(info.size_known);
        assert_int_equal(info.granularity, MiB);
        assert_true(info.overlay);
        info = state_disk(reader_state(r), 1);
        assert_string_equal(info.name, "a/1");
        assert_int_equal(info.size, 6 * MiB);
        reader_close(r);
        block_spool_free(s);
        close(fd);
}

static void disk_that_came_whole_is_full(void **state)
{
        struct block_spool *s;
        struct err err = ERR_INIT;
        struct disk_info info;
        struct reader *r;
        char told[1000];
        int fd;

        (void)state;
        assert_done(block_spool_new(NULL, &s, &err), &err);
        add(s, "b", 0, 0x10, &err);
        add(s, "b", 1, 0, &err);
        add(s, "b", 2, 0x12, &err);
        r = snapshot(s, NULL, &fd);
        tell(r, told, sizeof told);
        assert_string_equal(told, "disk/b 0 1048576 10\n"
                                  "disk/b 2 1048576 12\n");
        info = state_disk(reader_state(r), 0);
        assert_false(info.overlay);
        assert_int_equal(info.size, 3 * MiB);
        reader_close(r);
        block_spool_free(s);
        close(fd);
}

static void disk_that_is_stored_already_is_left(void **state)
{
        static const char before[] =
                "{\"absent\": [], \"disks\": [{\"name\": \"b\", \"stored\": "
                "\"full\", \"dir\": \"disk/b\", \"virtual_size\": 512, "
                "\"granularity\": 512}]}";
        struct block_spool *s;
        struct err err = ERR_INIT;
        struct reader *r;
        char told[1000];
        int fd;

        (void)state;
        assert_done(block_spool_new(NULL, &s, &err), &err);
        add(s, "b", 0, 0x10, &err);
        add(s, "c", 0, 0x20, &err);
        r = snapshot(s, before, &fd);
        tell(r, told, sizeof told);
        assert_string_equal(told, "disk/c 0 1048576 20\n");
        assert_int_equal(state_disks(reader_state(r)), 2);
        assert_int_equal(state_disk(reader_state(r), 0).size, 512);
        reader_close(r);
        block_spool_free(s);
        close(fd);
}

/* A disk of 10 TiB of which hardly anything came, and runs of zeros longer than
 * what is told at once. */
static void far_apart_costs_little(void **state)
{
        struct block_spool *s;
        struct err err = ERR_INIT;
        struct reader *r;
        char told[1000];
        int fd;

        (void)state;
        assert_done(block_spool_new(NULL, &s, &err), &err);
        add(s, "b", 10 * TiB / MiB - 1, 0x77, &err);
        for (uint64_t i = 0; i < 70000; i++)
                assert_done(
                        block_spool_add(s, "b", (1000 + i) * MiB, NULL, &err),
                        &err);
        r = snapshot(s, NULL, &fd);
        tell(r, told, sizeof told);
        assert_string_equal(told, "000000003e800000 0000001117000000\n"
                                  "disk/b 10485759 1048576 77\n");
        reader_close(r);
        block_spool_free(s);
        close(fd);
}

static void limits_hold(void **state)
{
        struct block_spool *s;
        struct err err = ERR_INIT;
        char name[16];

        (void)state;
        assert_done(block_spool_new(NULL, &s, &err), &err);
        add(s, "a", 1000, 1, &err);
        assert_false(
                block_spool_add(s, "b", 1024 * TiB - 1000 * MiB, NULL, &err));
        assert_int_equal(err.status, ERR_LIMIT);
        err_clear(&err);
        assert_false(
                block_spool_add(s, "a", LIMIT_DISK_BYTES - MiB, NULL, &err));
        assert_int_equal(err.status, ERR_LIMIT);
        err_clear(&err);
        for (int i = 0; i < LIMIT_DISKS - 2; i++) {
                snprintf(name, sizeof name, "n%d", i);
                assert_done(block_spool_add(s, name, 0, NULL, &err), &err);
        }
        assert_false(block_spool_add(s, "one more", 0, NULL, &err));
        assert_int_equal(err.status, ERR_LIMIT);
        block_spool_free(s);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(last_of_each_place_is_kept_in_order),
                cmocka_unit_test(disk_that_came_whole_is_full),
                cmocka_unit_test(disk_that_is_stored_already_is_left),
                cmocka_unit_test(far_apart_costs_little),
                cmocka_unit_test(limits_hold),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
