/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images made byte by byte from the specification: good ones are read as it
 * says, hostile ones refused.  What QEMU makes is read in tests/qcow/.
 *
 * The image that most begin with has clusters of 512 bytes, a disk of 64 KiB
 * (two L2 tables of 64 entries each) and, by cluster of the file:
 *
 *   0 header   1 L1   2 refcount table   3 refcount block   4 L2   5, 6, 7 data
 */
#include "base/test.h"

#include <sys/mman.h>
#include <time.h>

#include "base/limits.h"
#include "qcow/image.h"

#define C    512u
#define DISK (64 * KiB)
#define L1   (1 * C)
#define L2   (4 * C)
#define DATA (5 * C)
#define FREE (8 * C) /* where tests put more */
#define ROOM (64 * C)

#define COPIED     (1ull << 63)
#define COMPRESSED (1ull << 62)

static uint8_t file[ROOM];
static size_t file_len;

static void put(size_t at, unsigned width, uint64_t value)
{
        for (unsigned i = 0; i < width; i++)
                file[at + i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

static void begin(void)
{
        memset(file, 0, sizeof file);
        file_len = FREE;
        put(0, 4, 0x514649fb);
        put(4, 4, 3);
        put(20, 4, 9);
        put(24, 8, DISK);
        put(36, 4, 2);
        put(40, 8, L1);
        put(48, 8, 2 * C);
        put(56, 4, 1);
        put(96, 4, 4);
        put(100, 4, 112);
        put(2 * C, 8, 3 * C);
        put(L1, 8, L2 | COPIED);
        /* Data at 512, zeros at 1024, data at 1536 and 2048. */
        put(L2 + 8, 8, DATA | COPIED);
        put(L2 + 16, 8, 1);
        put(L2 + 24, 8, (DATA + C) | COPIED);
        put(L2 + 32, 8, (DATA + 2 * C) | COPIED);
        for (size_t i = DATA; i < FREE; i++)
                file[i] = (uint8_t)(i * 31 >> 3);
}

static int make(void)
{
        int fd = memfd_create("image", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, file, file_len), file_len);
        return fd;
}

static struct image *opened(int *fd)
{
        struct err err = ERR_INIT;
        struct image *i;

        *fd = make();
        assert_done(image_open(*fd, "image", IMAGE_QCOW2, &i, &err), &err);
        return i;
}

static void closed(struct image *i, int fd)
{
        image_close(i);
        close(fd);
}

static bool read_all(struct image *i, struct err *err)
{
        static uint8_t buffer[DISK];
        uint64_t len;
        enum extent_kind kind;

        for (uint64_t at = 0; at < image_size(i); at += len) {
                TRY(image_extent(i, at, &len, &kind, err));
                if (kind == EXTENT_DATA)
                        TRY(image_read(i, at, buffer,
                                       len < DISK ? (size_t)len : DISK, err));
        }
        return true;
}

/* The image is refused, when it is opened or when it is read. */
static void refused(enum status status, const char *part)
{
        struct err err = ERR_INIT;
        struct image *i = NULL;
        char line[1536];
        int fd = make();

        if (image_open(fd, "image", IMAGE_QCOW2, &i, &err) && read_all(i, &err))
                fail_msg("not refused: %s", part);
        image_close(i);
        close(fd);
        err_line(&err, line, sizeof line);
        if (err.status != status || !strstr(line, part))
                fail_msg("\"%s\" (%s), not \"%s\" (%s)", line,
                         err_status_name(err.status), part,
                         err_status_name(status));
        assert_string_equal(err.file, "image");
}

static void extent_is(struct image *i, uint64_t at, uint64_t len,
                      enum extent_kind kind)
{
        struct err err = ERR_INIT;
        enum extent_kind got;
        uint64_t reach;

        assert_done(image_extent(i, at, &reach, &got, &err), &err);
        assert_int_equal(got, kind);
        assert_int_equal(reach, len);
}

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

/* ---- the header ------------------------------------------------------------
 */

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

/* ---- tables ----------------------------------------------------------------
 */

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

/* ---- extended L2 entries ---------------------------------------------------
 */

#define X 16384u /* clusters; subclusters are of 512 bytes */

/* Header, L1, refcount table, refcount block, L2 and data as above, in
 * clusters of 16 KiB; entry 0 is made of the two words. */
static int extended(uint64_t word, uint64_t subclusters)
{
        uint64_t l1 = 4 * X;
        int fd;

        begin();
        put(20, 4, 14);
        put(24, 8, MiB);
        put(36, 4, 1);
        put(40, 8, X);
        put(48, 8, 2 * X);
        put(72, 8, 16);
        file_len = C;
        fd = make();
        put(0, 8, l1);
        put(8, 8, word);
        put(16, 8, subclusters);
        assert_int_equal(pwrite(fd, file, 8, X), 8);
        assert_int_equal(pwrite(fd, file + 8, 16, 4 * X), 16);
        assert_int_equal(ftruncate(fd, 6 * X), 0);
        return fd;
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

/* ---- compressed clusters ---------------------------------------------------
 */

/* Entry n of the L2 table: a cluster compressed at host, in so many sectors. */
static void compress_at(unsigned n, uint64_t host, unsigned sectors)
{
        put(L2 + 8 * n, 8, COMPRESSED | (uint64_t)(sectors - 1) << 61 | host);
}

/* A stored block of RFC 1951, last, of len bytes; its bytes follow. */
static size_t put_stored(size_t at, unsigned len)
{
        file[at] = 1;
        file[at + 1] = (uint8_t)len;
        file[at + 2] = (uint8_t)(len >> 8);
        file[at + 3] = (uint8_t)~len;
        file[at + 4] = (uint8_t)(~len >> 8);
        memset(file + at + 5, 's', len);
        return at + 5 + len;
}

/* A frame of RFC 8878: one segment, one block that repeats a byte. */
static size_t put_frame(size_t at, unsigned len, uint8_t byte)
{
        unsigned header = len << 3 | 1 << 1 | 1;

        put(at, 4, 0x28b52ffd);
        file[at + 4] = 0x60;
        file[at + 5] = (uint8_t)(len - 256);
        file[at + 6] = (uint8_t)((len - 256) >> 8);
        file[at + 7] = (uint8_t)header;
        file[at + 8] = (uint8_t)(header >> 8);
        file[at + 9] = (uint8_t)(header >> 16);
        file[at + 10] = byte;
        return at + 11;
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

static void a_cluster_that_inflates_to_less_is_refused(void **state)
{
        (void)state;
        begin();
        put_stored(FREE, C - 1);
        file_len = FREE + 2 * C;
        compress_at(2, FREE, 2);
        refused(ERR_CORRUPT, "compressed cluster at 0x1000");
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

/* ---- internal snapshots and bitmaps ----------------------------------------
 */

/* A snapshot of the disk: its table, L1 and L2 table, and 700 bytes of VM state
 * behind the disk, in the third L2 table. */
static void put_snapshot(void)
{
        size_t at = FREE;

        put(60, 4, 1);
        put(64, 8, FREE);
        put(at, 8, FREE + C);
        put(at + 8, 4, 3);
        put(at + 12, 2, 1);
        put(at + 14, 2, 5);
        put(at + 16, 4, 1700000000);
        put(at + 20, 4, 5);
        put(at + 24, 8, 123456789);
        put(at + 36, 4, 24);
        put(at + 40, 8, 700);
        put(at + 48, 8, DISK);
        put(at + 56, 8, UINT64_MAX);
        memcpy(file + at + 64, "1first", 6);
        put(FREE + C + 16, 8, FREE + 2 * C);
        put(FREE + 2 * C, 8, FREE + 3 * C);
        put(FREE + 2 * C + 8, 8, FREE + 4 * C);
        memset(file + FREE + 3 * C, 'v', C);
        memset(file + FREE + 4 * C, 'w', C);
        file_len = FREE + 5 * C;
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

/* ---- raw -------------------------------------------------------------------
 */

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
                cmocka_unit_test(clusters_are_absent_zero_or_data),
                cmocka_unit_test(data_may_end_with_the_disk),
                cmocka_unit_test(bad_headers_are_refused_by_field),
                cmocka_unit_test(
                        an_unknown_feature_is_named_as_the_image_names_it),
                cmocka_unit_test(a_dirty_image_is_read),
                cmocka_unit_test(a_name_and_a_format_are_told_as_they_stand),
                cmocka_unit_test(every_truncation_is_refused_or_whole),
                cmocka_unit_test(bad_tables_are_refused_by_place),
                cmocka_unit_test(tables_and_data_begin_at_clusters),
                cmocka_unit_test(a_huge_empty_disk_takes_no_time),
                cmocka_unit_test(subclusters_are_of_three_kinds),
                cmocka_unit_test(subclusters_that_cannot_be_are_refused),
                cmocka_unit_test(deflated_clusters_are_read_at_any_offset),
                cmocka_unit_test(a_cluster_that_inflates_to_less_is_refused),
                cmocka_unit_test(a_cluster_may_be_of_several_zstd_frames),
                cmocka_unit_test(zstd_frames_of_another_length_are_refused),
                cmocka_unit_test(vm_state_is_read_through_the_snapshot),
                cmocka_unit_test(bad_snapshots_are_refused),
                cmocka_unit_test(bitmaps_that_are_whole_are_named),
                cmocka_unit_test(any_flipped_bit_is_refused_or_read),
                cmocka_unit_test(a_raw_files_holes_are_zeros),
                cmocka_unit_test(what_is_no_file_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
