/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/archive.h"
#include "format/stasis_format.h"
#include "format/tar_check.h"

#define NAME "ram/pc.ram/0000000000000000.zst"
#define SIZE 1000

static uint8_t gap[GAP_MAX];
static size_t gap_len;

/* A header block, made here: sum included. */
static void header(size_t at, char type, const char *name, unsigned size)
{
        uint8_t *h = gap + at;
        unsigned sum = 0;

        memset(h, 0, TAR_BLOCK);
        snprintf((char *)h, 100, "%s", name);
        snprintf((char *)h + 124, 12, "%011o", size);
        memset(h + 148, ' ', 8);
        h[156] = (uint8_t)type;
        memcpy(h + 257,
               "ustar\0"
               "00",
               8);
        for (unsigned i = 0; i < TAR_BLOCK; i++)
                sum += h[i];
        snprintf((char *)h + 148, 8, "%06o", sum);
}

static enum status check(size_t len, uint64_t offset, const char *name,
                         uint64_t size)
{
        struct err err = ERR_INIT;
        bool ok = tar_check(gap, len, offset, name, size, &err);

        assert_int_equal(ok, err.status == ERR_NONE);
        if (!ok)
                assert_in_range(err.offset, offset, offset + len);
        return err.status;
}

static bool keep_frame(void *arg, const void *bytes, size_t len, bool frame,
                       struct err *err)
{
        (void)arg;
        (void)err;
        if (frame) {
                assert_in_range(len, 0, sizeof gap - gap_len);
                memcpy(gap + gap_len, bytes, len);
                gap_len += len;
        }
        return true;
}

static void written(const char *name, uint64_t size, int64_t mtime)
{
        struct err err = ERR_INIT;
        struct archive_out *a;

        gap_len = 0;
        assert_done(archive_out_new(keep_frame, NULL, mtime, &a, &err), &err);
        assert_done(archive_out_begin(a, name, size, &err), &err);
        archive_out_free(a);
}

/* Short names, names for the prefix field, for a pax record; late times. */
static void what_libarchive_writes_is_accepted(void **state)
{
        static const size_t lens[] = {10, 99, 100, 101, 180, 256, 300, 600};

        (void)state;
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
                char name[700] = "";

                memset(name, 'x', lens[i]);
                if (lens[i] > 100)
                        name[lens[i] - 60] = '/';
                written(name, SIZE, i % 2 ? 0 : 1LL << 40);
                assert_int_equal(check(gap_len, 0, name, SIZE), ERR_NONE);
                assert_int_equal(check(gap_len, 0, name, SIZE + 1),
                                 ERR_CORRUPT);
                name[lens[i] - 1] = 'y';
                assert_int_equal(check(gap_len, 0, name, SIZE), ERR_CORRUPT);
        }
}

/* The index of a machine of many TiB is larger than ustar can say. */
static void large_members_are_accepted(void **state)
{
        uint64_t size = 9ULL << 30;

        (void)state;
        written(MEMBER_INDEX, size, 0);
        assert_int_equal(check(gap_len, 0, MEMBER_INDEX, size), ERR_NONE);
        assert_int_equal(check(gap_len, 0, MEMBER_INDEX, size - 1),
                         ERR_CORRUPT);
}

static void every_flipped_bit_of_a_header_that_matters_is_found(void **state)
{
        (void)state;
        written(NAME, SIZE, 0);
        assert_int_equal(gap_len, TAR_BLOCK);
        for (size_t bit = 0; bit < 8 * TAR_BLOCK; bit++) {
                gap[bit / 8] ^= (uint8_t)(1U << bit % 8);
                /* The sum's own last byte may be a NUL or a blank. */
                if (bit / 8 != 154 && bit / 8 != 155)
                        assert_int_equal(check(gap_len, 0, NAME, SIZE),
                                         ERR_CORRUPT);
                gap[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
}

static void padding_must_be_zero_and_of_the_right_length(void **state)
{
        (void)state;
        memset(gap, 0, 212);
        header(212, '0', NAME, SIZE);
        assert_int_equal(check(212 + 512, 300, NAME, SIZE), ERR_NONE);
        assert_int_equal(check(212 + 512, 301, NAME, SIZE), ERR_CORRUPT);
        assert_int_equal(check(212 + 511, 300, NAME, SIZE), ERR_CORRUPT);
        assert_int_equal(check(212, 300, NAME, SIZE), ERR_CORRUPT);
        assert_int_equal(check(0, 512, NAME, SIZE), ERR_CORRUPT);
        gap[211] = 1;
        assert_int_equal(check(212 + 512, 300, NAME, SIZE), ERR_CORRUPT);
}

static void only_regular_files_are_accepted(void **state)
{
        (void)state;
        for (int type = 0; type < 256; type++) {
                header(0, (char)type, NAME, SIZE);
                assert_int_equal(check(512, 0, NAME, SIZE),
                                 type == '0' || type == 0 ? ERR_NONE
                                                          : ERR_CORRUPT);
        }
}

/* records in a pax header before a member called "short". */
static enum status with_records(const char *records, const char *name,
                                uint64_t size)
{
        size_t len = strlen(records);

        memset(gap, 0, 4 * TAR_BLOCK);
        header(0, 'x', "PaxHeader/x", (unsigned)len);
        memcpy(gap + 512, records, len);
        header(1024, '0', "short", SIZE);
        return check(1536, 0, name, size);
}

static void pax_records_count_before_the_header(void **state)
{
        (void)state;
        /* Other tars write times, and no path. */
        assert_int_equal(with_records("20 mtime=1700000000\n", "short", SIZE),
                         ERR_NONE);
        assert_int_equal(with_records("12 path=a/b\n", "a/b", SIZE), ERR_NONE);
        assert_int_equal(with_records("12 path=a/b\n", "short", SIZE),
                         ERR_CORRUPT);
        assert_int_equal(
                with_records("20 mtime=1700000000\n12 path=a/b\n", "a/b", SIZE),
                ERR_NONE);
        assert_int_equal(
                with_records("19 size=8589934592\n", "short", 8589934592),
                ERR_NONE);
        assert_int_equal(with_records("19 size=8589934592\n", "short", SIZE),
                         ERR_CORRUPT);
}

static void damaged_pax_records_are_refused(void **state)
{
        static const char *const records[] = {
                "11 path=a/b\n",
                "13 path=a/b\n",
                "12 path=a/b ",
                "12path=a/b\n",
                " 12 path=a/b\n",
                "-2 path=a/b\n",
                "0 path=a/b\n",
                "99999999999 path=a/b\n",
                "x",
                "12 path=a/b\nx",
                "2 \n",
                "9 size=x\n",
                "8 size=\n1",
        };

        (void)state;
        for (size_t i = 0; i < sizeof records / sizeof *records; i++)
                if (with_records(records[i], "a/b", SIZE) != ERR_CORRUPT)
                        fail_msg("accepted: %s", records[i]);
}

/* A member of no bytes before the one that is meant: tar would list both. */
static void a_hidden_member_is_refused(void **state)
{
        (void)state;
        header(0, '0', "hidden", 0);
        header(512, '0', NAME, SIZE);
        assert_int_equal(check(1024, 0, NAME, SIZE), ERR_CORRUPT);
        memset(gap, 0, 4 * TAR_BLOCK);
        header(0, 'x', "PaxHeader/x", 12);
        memcpy(gap + 512, "12 path=a/b\n", 12);
        header(1024, '0', "hidden", 0);
        header(1536, '0', "a/b", SIZE);
        assert_int_equal(check(2048, 0, "a/b", SIZE), ERR_CORRUPT);
        header(0, 'g', "PaxHeader/x", 12);
        header(1024, '0', "a/b", SIZE);
        assert_int_equal(check(1536, 0, "a/b", SIZE), ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_libarchive_writes_is_accepted),
                cmocka_unit_test(large_members_are_accepted),
                cmocka_unit_test(
                        every_flipped_bit_of_a_header_that_matters_is_found),
                cmocka_unit_test(padding_must_be_zero_and_of_the_right_length),
                cmocka_unit_test(only_regular_files_are_accepted),
                cmocka_unit_test(pax_records_count_before_the_header),
                cmocka_unit_test(damaged_pax_records_are_refused),
                cmocka_unit_test(a_hidden_member_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
