/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images that nobody should make are refused, saying where. */
#include "qcow/fixture.h"

#include <time.h>

struct edit {
        size_t at;
        unsigned width;
        uint64_t value;
};

static const struct {
        enum status status;
        const char *part;
        struct edit edits[3];
} bad_headers[] = {
        {ERR_CORRUPT, "magic: not a qcow2 image", {{0, 4, 0x514649fa}}},
        {ERR_UNSUPPORTED, "version", {{4, 4, 4}}},
        {ERR_UNSUPPORTED, "version", {{4, 4, 1}}},
        {ERR_CORRUPT, "cluster_bits", {{20, 4, 8}}},
        {ERR_CORRUPT, "cluster_bits", {{20, 4, 22}}},
        {ERR_CORRUPT, "cluster_bits", {{20, 4, 0x80000009}}},
        {ERR_CORRUPT, "no disk's size", {{24, 8, DISK + 1}}},
        {ERR_CORRUPT, "no disk's size", {{24, 8, 1ull << 63}}},
        {ERR_UNSUPPORTED, "encrypted", {{32, 4, 1}}},
        {ERR_UNSUPPORTED, "encrypted", {{32, 4, 2}}},
        {ERR_LIMIT, "l1_size", {{36, 4, (4 << 20) + 1}}},
        {ERR_CORRUPT, "too small for the disk", {{36, 4, 1}}},
        {ERR_CORRUPT, "too small for the disk", {{24, 8, 1ull << 62}}},
        {ERR_TRUNCATED, "l1_table_offset", {{36, 4, 4 << 20}}},
        {ERR_CORRUPT, "l1_table_offset", {{40, 8, L1 + 8}}},
        {ERR_TRUNCATED, "l1_table_offset", {{40, 8, 0}}},
        {ERR_TRUNCATED, "l1_table_offset", {{40, 8, 1ull << 62}}},
        {ERR_TRUNCATED, "l1_table_offset", {{40, 8, 0xfffffffffffffe00}}},
        {ERR_CORRUPT, "over each other", {{40, 8, 2 * C}}},
        {ERR_CORRUPT, "refcount_table", {{48, 8, 2 * C + 1}}},
        {ERR_TRUNCATED, "refcount_table", {{48, 8, FREE}}},
        {ERR_LIMIT, "refcount_table_clusters", {{56, 4, 16385}}},
        {ERR_LIMIT, "nb_snapshots", {{60, 4, 65537}}},
        {ERR_TRUNCATED, "snapshots_offset", {{60, 4, 1}, {64, 8, FREE}}},
        {ERR_TRUNCATED, "snapshots", {{60, 4, 65536}, {64, 8, 7 * C}}},
        {ERR_UNSUPPORTED, "marked corrupt", {{72, 8, 2}}},
        {ERR_UNSUPPORTED, "external file", {{72, 8, 4}}},
        {ERR_UNSUPPORTED,
         "unknown incompatible feature 20",
         {{72, 8, 1 << 20}}},
        /* Features may change what comes before them. */
        {ERR_UNSUPPORTED,
         "unknown incompatible feature 63",
         {{72, 8, 1ull << 63}, {40, 8, 7}}},
        {ERR_CORRUPT, "extended L2 entries", {{72, 8, 16}}},
        {ERR_CORRUPT, "compression_type", {{72, 8, 8}}},
        {ERR_CORRUPT, "compression_type", {{104, 1, 1}}},
        {ERR_UNSUPPORTED, "compression_type", {{72, 8, 8}, {104, 1, 2}}},
        {ERR_CORRUPT, "refcount_order", {{96, 4, 7}}},
        {ERR_CORRUPT, "header_length", {{100, 4, 96}}},
        {ERR_CORRUPT, "header_length", {{100, 4, 108}}},
        {ERR_CORRUPT, "header_length", {{100, 4, 1024}}},
        {ERR_TRUNCATED, "backing_file_offset", {{8, 8, 513}, {16, 4, 1}}},
        {ERR_TRUNCATED, "backing_file_offset", {{8, 8, 1ull << 63}}},
        {ERR_TRUNCATED, "backing file name", {{8, 8, 510}, {16, 4, 3}}},
        {ERR_CORRUPT, "1024 bytes", {{8, 8, 200}, {16, 4, 1024}}},
        {ERR_CORRUPT, "a NUL", {{8, 8, 200}, {16, 4, 3}}},
        {ERR_TRUNCATED, "extension", {{112, 4, 1}, {116, 4, 500}}},
        {ERR_TRUNCATED, "extension", {{112, 4, 1}, {116, 4, 0xffffffff}}},
        {ERR_CORRUPT, "backing format", {{112, 4, 0xe2792aca}, {116, 4, 16}}},
        /* Bitmaps: how many, how long their directory is, where. */
        {ERR_LIMIT,
         "nb_bitmaps",
         {{112, 4, 0x23852875}, {116, 4, 24}, {120, 4, 65536}}},
        {ERR_LIMIT,
         "bitmap_directory_size",
         {{112, 4, 0x23852875}, {116, 4, 24}, {128, 8, 1ull << 60}}},
        {ERR_TRUNCATED, "bitmap", {{112, 4, 0x23852875}, {116, 4, 8}}},
};

static void bad_headers_are_refused_by_field(void **state)
{
        (void)state;
        for (size_t n = 0; n < sizeof bad_headers / sizeof *bad_headers; n++) {
                begin();
                for (int e = 0; e < 3; e++)
                        put(bad_headers[n].edits[e].at,
                            bad_headers[n].edits[e].width,
                            bad_headers[n].edits[e].value);
                refused(bad_headers[n].status, bad_headers[n].part);
        }
}

static void an_unknown_feature_is_named_as_the_image_names_it(void **state)
{
        (void)state;
        begin();
        put(72, 8, 1 << 7);
        put(112, 4, 0x6803f857);
        put(116, 4, 48);
        put(120, 2, 7);
        memcpy(file + 122, "hologram\033", 9);
        refused(ERR_UNSUPPORTED, "feature 7 (hologram\\x1b)");
}

static void every_truncation_is_refused_or_whole(void **state)
{
        (void)state;
        for (size_t len = 0; len < FREE; len++) {
                struct err err = ERR_INIT;
                struct image *i = NULL;
                bool ok;
                int fd;

                begin();
                file_len = len;
                fd = make();
                ok = image_open(fd, "image", IMAGE_QCOW2, &i, &err) &&
                     read_all(i, &err);
                assert_false(ok);
                assert_int_equal(err_exit_code(&err), 3);
                closed(i, fd);
        }
}

static const struct {
        enum status status;
        const char *part;
        struct edit edits[2];
} bad_tables[] = {
        {ERR_CORRUPT, "L1 table at 0x208: reserved", {{L1 + 8, 8, 1}}},
        {ERR_CORRUPT, "L1 table at 0x208: reserved", {{L1 + 8, 8, 1ull << 56}}},
        {ERR_TRUNCATED, "behind the file's end", {{L1 + 8, 8, FREE}}},
        {ERR_TRUNCATED, "behind the file's end", {{L1 + 8, 8, 1ull << 55}}},
        {ERR_CORRUPT, "it is used twice", {{L1 + 8, 8, L2}}},
        {ERR_CORRUPT, "in other metadata", {{L1 + 8, 8, L1}}},
        {ERR_CORRUPT, "in other metadata", {{L1 + 8, 8, 2 * C}}},
        {ERR_CORRUPT, "L2 table at 0x800: reserved", {{L2, 8, 2}}},
        {ERR_CORRUPT, "L2 table at 0x800: reserved", {{L2, 8, 1ull << 61}}},
        {ERR_CORRUPT, "reserved", {{L2, 8, 1}, {4, 4, 2}}},
        {ERR_TRUNCATED, "behind the file's end", {{L2 + 8, 8, FREE}}},
        {ERR_TRUNCATED, "behind the file's end", {{L2 + 8, 8, 1ull << 55}}},
        {ERR_CORRUPT, "data at 0x200: it lies in metadata", {{L2, 8, L1}}},
        {ERR_CORRUPT, "it lies in metadata", {{L2 + 8, 8, L2}}},
        {ERR_CORRUPT, "it lies in metadata", {{L2 + 8, 8, 2 * C}}},
        {ERR_CORRUPT, "it lies in metadata", {{L2 + 8, 8, COMPRESSED | 100}}},
        {ERR_CORRUPT,
         "it lies in metadata",
         {{L2 + 8, 8, COMPRESSED | (L2 + 100)}}},
        /* The second of two sectors. */
        {ERR_CORRUPT,
         "it lies in metadata",
         {{L2 + 8, 8, COMPRESSED | 1ull << 61 | (L2 - 100)}}},
        {ERR_TRUNCATED,
         "a compressed cluster behind",
         {{L2 + 8, 8, COMPRESSED | FREE}}},
        {ERR_CORRUPT,
         "compressed cluster at 0xa00",
         {{L2 + 8, 8, COMPRESSED | DATA}}},
};

static void bad_tables_are_refused_by_place(void **state)
{
        (void)state;
        for (size_t n = 0; n < sizeof bad_tables / sizeof *bad_tables; n++) {
                begin();
                for (int e = 0; e < 2; e++)
                        put(bad_tables[n].edits[e].at,
                            bad_tables[n].edits[e].width,
                            bad_tables[n].edits[e].value);
                refused(bad_tables[n].status, bad_tables[n].part);
        }
}

/* With clusters of 1 KiB an L2 table, or data, can begin in the middle. */
static void tables_and_data_begin_at_clusters(void **state)
{
        (void)state;
        begin();
        put(20, 4, 10);
        put(24, 8, DISK);
        put(40, 8, 4 * C);
        memset(file + 4 * C, 0, 4 * C);
        put(4 * C, 8, 6 * C + 512);
        file_len = 12 * C;
        refused(ERR_CORRUPT, "L2 table at 0xe00: it does not begin");
        put(4 * C, 8, 6 * C);
        put(6 * C, 8, 8 * C + 512);
        refused(ERR_CORRUPT, "data that does not begin at a cluster");
}

/* 2 EiB in 32 MiB of holes; and the same in a file that has none of it. */
static void a_huge_empty_disk_takes_no_time(void **state)
{
        uint64_t size = (4ull << 20) << 39;
        clock_t begun = clock();
        struct err err = ERR_INIT;
        struct image *i = NULL;
        int fd;

        (void)state;
        memset(file, 0, 4 * C);
        begin();
        put(20, 4, 21);
        put(24, 8, size);
        put(36, 4, 4 << 20);
        put(40, 8, 2 * MiB);
        put(48, 8, 34 * MiB);
        file_len = 112;
        refused(ERR_TRUNCATED, "l1_table_offset");
        fd = make();
        assert_int_equal(ftruncate(fd, (off_t)(36 * MiB)), 0);
        assert_done(image_open(fd, "image", IMAGE_QCOW2, &i, &err), &err);
        extent_is(i, 0, size, EXTENT_ABSENT);
        assert_done(read_all(i, &err), &err);
        closed(i, fd);
        assert_true(clock() - begun < 2 * CLOCKS_PER_SEC);
}

static void subclusters_that_cannot_be_are_refused(void **state)
{
        static const struct {
                uint64_t word, subclusters;
                const char *part;
        } cases[] = {
                {5 * X, 0x0000000100000001, "both of data and of zeros"},
                {0, 1, "without a place"},
                {5 * X | 1, 1, "reserved bits"},
                {COMPRESSED | 5 * X, 1, "with subclusters"},
        };

        (void)state;
        for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
                int fd = extended(cases[n].word, cases[n].subclusters);
                struct err err = ERR_INIT;
                struct image *i;

                assert_done(image_open(fd, "image", IMAGE_QCOW2, &i, &err),
                            &err);
                assert_false(read_all(i, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                assert_non_null(strstr(err.why, cases[n].part));
                assert_int_equal(err.offset, 4 * X);
                closed(i, fd);
        }
}

static void a_cluster_that_inflates_to_less_is_refused(void **state)
{
        (void)state;
        begin();
        put_stored(FREE, C - 1);
        file_len = FREE + 2 * C;
        compress_at(2, FREE, 2);
        refused(ERR_CORRUPT, "compressed cluster at 0x1000");
}

static void zstd_frames_of_another_length_are_refused(void **state)
{
        (void)state;
        begin();
        put(72, 8, 8);
        file[104] = 1;
        file_len = FREE + C;
        compress_at(2, FREE, 1);
        put_frame(FREE, 400, 'a');
        refused(ERR_CORRUPT, "compressed cluster at 0x1000");
        memset(file + FREE, 0, C);
        put_frame(FREE, 600, 'a');
        refused(ERR_CORRUPT, "compressed cluster at 0x1000");
        /* A window of 64 MiB. */
        memset(file + FREE, 0, C);
        put(FREE, 4, 0x28b52ffd);
        file[FREE + 5] = 16 << 3;
        refused(ERR_CORRUPT, "compressed cluster at 0x1000");
}

static void bad_snapshots_are_refused(void **state)
{
        static const struct {
                enum status status;
                const char *part;
                struct edit edit;
        } cases[] = {
                {ERR_CORRUPT, "l1_table_offset", {FREE, 8, FREE + C + 8}},
                {ERR_TRUNCATED, "l1_size", {FREE, 8, 1ull << 60}},
                {ERR_LIMIT, "l1_size", {FREE + 8, 4, 0xffffffff}},
                {ERR_CORRUPT, "over each other", {FREE, 8, L1}},
                {ERR_CORRUPT, "over each other", {FREE, 8, FREE}},
                {ERR_LIMIT, "extra_len", {FREE + 36, 4, 1025}},
                {ERR_CORRUPT, "its L1 table reaches", {FREE + 40, 8, 1 << 20}},
                {ERR_CORRUPT, "L1 table reaches", {FREE + 40, 8, UINT64_MAX}},
                {ERR_CORRUPT, "no disk's size", {FREE + 48, 8, 1ull << 63}},
                {ERR_CORRUPT, "a NUL", {FREE + 65, 1, 0}},
                {ERR_TRUNCATED, "bytes", {FREE + 14, 2, 0xffff}},
                /* The disk's own data in the snapshot's table. */
                {ERR_CORRUPT, "it lies in metadata", {L2 + 8, 8, FREE + C}},
        };

        (void)state;
        for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
                begin();
                put_snapshot();
                put(cases[n].edit.at, cases[n].edit.width, cases[n].edit.value);
                refused(cases[n].status, cases[n].part);
        }
}

/* Every bit of the metadata of an image with a snapshot, and a compressed
 * cluster: wrong, but never more than that. */
static void any_flipped_bit_is_refused_or_read(void **state)
{
        uint8_t bytes[700];
        int fd;

        (void)state;
        begin();
        put_snapshot();
        put_stored(file_len, C);
        compress_at(9, file_len, 2);
        file_len += 2 * C;
        fd = make();
        for (size_t bit = 0; bit < 8 * file_len; bit++) {
                uint8_t flipped = file[bit / 8] ^ (uint8_t)(1u << bit % 8);
                off_t at = (off_t)(bit / 8);
                struct err err = ERR_INIT;
                struct image *i = NULL;
                bool ok;

                assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
                ok = image_open(fd, "image", IMAGE_QCOW2, &i, &err) &&
                     (image_snapshots(i) == 0 ||
                      image_snapshot_at(i, 0).vm_state_size < 700 ||
                      image_vm_state_read(i, 0, 0, bytes, 700, &err)) &&
                     (image_size(i) > GiB || read_all(i, &err));
                assert_true(ok || err_exit_code(&err) >= 3);
                image_close(i);
                assert_int_equal(pwrite(fd, file + at, 1, at), 1);
        }
        close(fd);
}

static void what_is_no_file_is_refused(void **state)
{
        struct err err = ERR_INIT;
        struct image *i = NULL;
        int fd = open("/dev/zero", O_RDONLY);

        (void)state;
        assert_false(image_open(fd, "/dev/\nzero", IMAGE_RAW, &i, &err));
        assert_int_equal(err.status, ERR_UNSUPPORTED);
        assert_string_equal(err.file, "/dev/\\x0azero");
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bad_headers_are_refused_by_field),
                cmocka_unit_test(
                        an_unknown_feature_is_named_as_the_image_names_it),
                cmocka_unit_test(every_truncation_is_refused_or_whole),
                cmocka_unit_test(bad_tables_are_refused_by_place),
                cmocka_unit_test(tables_and_data_begin_at_clusters),
                cmocka_unit_test(a_huge_empty_disk_takes_no_time),
                cmocka_unit_test(subclusters_that_cannot_be_are_refused),
                cmocka_unit_test(a_cluster_that_inflates_to_less_is_refused),
                cmocka_unit_test(zstd_frames_of_another_length_are_refused),
                cmocka_unit_test(bad_snapshots_are_refused),
                cmocka_unit_test(any_flipped_bit_is_refused_or_read),
                cmocka_unit_test(what_is_no_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
