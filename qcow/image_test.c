/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images made byte by byte are read as the specification says.  What QEMU makes
 * is read in tests/qcow/. */
#include "qcow/fixture.h"

static void clusters_are_absent_zero_or_data(void **state)
{
        struct err err = ERR_INIT;
        uint8_t bytes[6 * C], want[6 * C] = {0};
        struct image *i;
        int fd;

        (void)state;
        begin();
        i = opened(&fd);
        assert_int_equal(image_size(i), DISK);
        assert_int_equal(image_granularity(i), C);
        assert_int_equal(image_cluster_size(i), C);
        extent_is(i, 0, C, EXTENT_ABSENT);
        extent_is(i, C, C, EXTENT_DATA);
        extent_is(i, 2 * C, C, EXTENT_ZERO);
        extent_is(i, 3 * C, 2 * C, EXTENT_DATA);
        extent_is(i, 4 * C + 100, C - 100, EXTENT_DATA);
        /* The rest of one L2 table, and all of one that is not there. */
        extent_is(i, 5 * C, DISK - 5 * C, EXTENT_ABSENT);
        memcpy(want + C, file + DATA, C);
        memcpy(want + 3 * C, file + DATA + C, 2 * C);
        assert_done(image_read(i, 0, bytes, sizeof bytes, &err), &err);
        assert_memory_equal(bytes, want, sizeof bytes);
        closed(i, fd);
}

static void data_may_end_with_the_disk(void **state)
{
        struct image *i;
        int fd;

        (void)state;
        begin();
        put(20, 4, 10); /* clusters of 1 KiB, of a disk of 2.5 */
        put(24, 8, 2560);
        put(40, 8, 4 * C);
        memset(file + 4 * C, 0, 4 * C);
        put(4 * C, 8, 6 * C);
        put(6 * C + 16, 8, 8 * C);
        file_len = 8 * C + 512;
        i = opened(&fd);
        extent_is(i, 2048, 512, EXTENT_DATA);
        closed(i, fd);
        file_len--;
        refused(ERR_TRUNCATED, "behind the file's end");
}

/* Refcounts need repair, but not for reading. */
static void a_dirty_image_is_read(void **state)
{
        struct image *i;
        int fd;

        (void)state;
        begin();
        put(72, 8, 1);
        i = opened(&fd);
        extent_is(i, C, C, EXTENT_DATA);
        closed(i, fd);
}

static void a_name_and_a_format_are_told_as_they_stand(void **state)
{
        struct image *i;
        int fd;

        (void)state;
        begin();
        put(112, 4, 0xe2792aca);
        put(116, 4, 3);
        memcpy(file + 120, "raw", 3);
        put(8, 8, 136);
        put(16, 4, 9);
        memcpy(file + 136, "base.img\n", 9);
        i = opened(&fd);
        assert_string_equal(image_backing_name(i), "base.img\n");
        assert_string_equal(image_backing_format(i), "raw");
        closed(i, fd);
        begin();
        i = opened(&fd);
        assert_null(image_backing_name(i));
        assert_null(image_backing_format(i));
        closed(i, fd);
}

static void subclusters_are_of_three_kinds(void **state)
{
        /* 0, 1: data; 2: zeros; 3 to 30: absent; 31: data. */
        int fd = extended(5 * X | COPIED, 0x0000000480000003);
        struct err err = ERR_INIT;
        uint8_t bytes[1024];
        struct image *i;

        (void)state;
        memset(bytes, 'd', sizeof bytes);
        assert_int_equal(pwrite(fd, bytes, 512, 5 * X + 512), 512);
        assert_int_equal(pwrite(fd, bytes, 512, 6 * X - 512), 512);
        assert_done(image_open(fd, "image", IMAGE_QCOW2, &i, &err), &err);
        assert_int_equal(image_granularity(i), 512);
        assert_int_equal(image_cluster_size(i), X);
        extent_is(i, 0, 1024, EXTENT_DATA);
        extent_is(i, 1024, 512, EXTENT_ZERO);
        extent_is(i, 1536, X - 2048, EXTENT_ABSENT);
        extent_is(i, X - 512, 512, EXTENT_DATA);
        extent_is(i, X, MiB - X, EXTENT_ABSENT);
        assert_done(image_read(i, 256, bytes, 1024, &err), &err);
        assert_int_equal(bytes[255], 0);
        assert_int_equal(bytes[256], 'd');
        assert_int_equal(bytes[767], 'd');
        assert_int_equal(bytes[768], 0);
        closed(i, fd);
}

static void deflated_clusters_are_read_at_any_offset(void **state)
{
        struct err err = ERR_INIT;
        uint8_t bytes[3 * C], want[C];
        struct image *i;
        int fd;

        (void)state;
        begin();
        file_len = put_stored(FREE + 77, C); /* cut off in its last sector */
        compress_at(2, FREE + 77, 2);
        i = opened(&fd);
        memset(want, 's', C);
        extent_is(i, C, 4 * C, EXTENT_DATA);
        assert_done(image_read(i, C, bytes, sizeof bytes, &err), &err);
        assert_memory_equal(bytes, file + DATA, C);
        assert_memory_equal(bytes + C, want, C);
        assert_memory_equal(bytes + 2 * C, file + DATA + C, C);
        assert_done(image_read(i, 2 * C + 500, bytes, 24, &err), &err);
        assert_memory_equal(bytes, want, 12);
        assert_memory_equal(bytes + 12, file + DATA + C, 12);
        closed(i, fd);
}

static void a_cluster_may_be_of_several_zstd_frames(void **state)
{
        struct err err = ERR_INIT;
        uint8_t bytes[C];
        struct image *i;
        size_t at;
        int fd;

        (void)state;
        begin();
        put(72, 8, 8);
        file[104] = 1;
        at = put_frame(FREE, 256, 'a');
        put_frame(at, 256, 'b');
        file_len = FREE + C;
        compress_at(2, FREE, 1);
        i = opened(&fd);
        assert_done(image_read(i, 2 * C, bytes, C, &err), &err);
        assert_int_equal(bytes[0], 'a');
        assert_int_equal(bytes[255], 'a');
        assert_int_equal(bytes[256], 'b');
        assert_int_equal(bytes[511], 'b');
        closed(i, fd);
}

static void vm_state_is_read_through_the_snapshot(void **state)
{
        struct err err = ERR_INIT;
        struct image_snapshot s;
        uint8_t bytes[700];
        struct image *i;
        int fd;

        (void)state;
        begin();
        put_snapshot();
        i = opened(&fd);
        assert_int_equal(image_snapshots(i), 1);
        s = image_snapshot_at(i, 0);
        assert_string_equal(s.id, "1");
        assert_string_equal(s.name, "first");
        assert_int_equal(s.date_sec, 1700000000);
        assert_int_equal(s.date_nsec, 5);
        assert_int_equal(s.vm_clock_ns, 123456789);
        assert_int_equal(s.vm_state_size, 700);
        assert_int_equal(s.disk_size, DISK);
        assert_done(image_vm_state_read(i, 0, 0, bytes, 700, &err), &err);
        assert_int_equal(bytes[0], 'v');
        assert_int_equal(bytes[511], 'v');
        assert_int_equal(bytes[512], 'w');
        assert_int_equal(bytes[699], 'w');
        assert_done(image_vm_state_read(i, 0, 511, bytes, 2, &err), &err);
        assert_memory_equal(bytes, "vw", 2);
        assert_false(image_vm_state_read(i, 0, 1, bytes, 700, &err));
        assert_int_equal(err.status, ERR_TRUNCATED);
        closed(i, fd);
}

static size_t put_bitmap(size_t at, uint32_t flags, const char *name)
{
        put(at, 8, FREE);
        put(at + 8, 4, 1);
        put(at + 12, 4, flags);
        put(at + 16, 2, 0x0110);
        put(at + 18, 2, strlen(name));
        memcpy(file + at + 24, name, strlen(name));
        return (at + 24 + strlen(name) + 7) / 8 * 8;
}

static void put_bitmaps(unsigned count)
{
        size_t at = FREE;

        put(88, 8, 1);
        put(112, 4, 0x23852875);
        put(116, 4, 24);
        put(120, 4, count);
        at = put_bitmap(at, 2, "daily");
        at = put_bitmap(at, 3, "in use");
        at = put_bitmap(at, 0, "weekly");
        put(128, 8, at - FREE);
        put(136, 8, FREE);
        file_len = FREE + C;
}

static void bitmaps_that_are_whole_are_named(void **state)
{
        struct image *i;
        int fd;

        (void)state;
        begin();
        put_bitmaps(3);
        i = opened(&fd);
        assert_int_equal(image_bitmaps(i), 2);
        assert_string_equal(image_bitmap_name(i, 0), "daily");
        assert_string_equal(image_bitmap_name(i, 1), "weekly");
        closed(i, fd);
        /* Somebody wrote who does not know bitmaps: they are stale. */
        put(88, 8, 0);
        i = opened(&fd);
        assert_int_equal(image_bitmaps(i), 0);
        closed(i, fd);
        begin();
        put_bitmaps(4);
        refused(ERR_TRUNCATED, "bitmap directory");
        put(120, 4, 60000);
        refused(ERR_CORRUPT, "60000 bitmaps");
}

static void a_raw_files_holes_are_zeros(void **state)
{
        int fd = memfd_create("raw", MFD_CLOEXEC);
        struct err err = ERR_INIT;
        uint8_t bytes[8192];
        struct image *i;

        (void)state;
        assert_int_equal(pwrite(fd, "data", 4, 1 << 20), 4);
        assert_int_equal(ftruncate(fd, (4 << 20) + 100), 0);
        assert_done(image_open(fd, "raw", IMAGE_RAW, &i, &err), &err);
        assert_int_equal(image_size(i), (4 << 20) + 512);
        assert_int_equal(image_granularity(i), 512);
        assert_int_equal(image_cluster_size(i), 0);
        extent_is(i, 0, 1 << 20, EXTENT_ZERO);
        extent_is(i, 1 << 20, 4096, EXTENT_DATA);
        extent_is(i, (1 << 20) + 4096, (3 << 20) + 512 - 4096, EXTENT_ZERO);
        assert_done(image_read(i, (1 << 20) - 4, bytes, 12, &err), &err);
        assert_memory_equal(bytes, "\0\0\0\0data\0\0\0\0", 12);
        memset(bytes, 1, 512);
        assert_done(image_read(i, 4 << 20, bytes, 512, &err), &err);
        for (int n = 0; n < 512; n++)
                assert_int_equal(bytes[n], 0);
        closed(i, fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(clusters_are_absent_zero_or_data),
                cmocka_unit_test(data_may_end_with_the_disk),
                cmocka_unit_test(a_dirty_image_is_read),
                cmocka_unit_test(a_name_and_a_format_are_told_as_they_stand),
                cmocka_unit_test(subclusters_are_of_three_kinds),
                cmocka_unit_test(deflated_clusters_are_read_at_any_offset),
                cmocka_unit_test(a_cluster_may_be_of_several_zstd_frames),
                cmocka_unit_test(vm_state_is_read_through_the_snapshot),
                cmocka_unit_test(bitmaps_that_are_whole_are_named),
                cmocka_unit_test(a_raw_files_holes_are_zeros),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
