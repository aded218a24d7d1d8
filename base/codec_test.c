/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/limits.h"
#include "base/codec.h"

static uint8_t raw[CHUNK_SIZE], back[CHUNK_SIZE + 1];
static uint8_t stored[2 * CHUNK_SIZE];

static void fill(bool random)
{
        uint64_t x = 88172645463325252ULL;

        for (size_t i = 0; i < sizeof raw; i++) {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                raw[i] = random ? (uint8_t)(x >> 32) : (uint8_t)(i / 100);
        }
}

static size_t pack(struct codec *c, size_t len)
{
        struct err err = ERR_INIT;
        size_t n;

        assert_done(codec_pack(c, raw, len, stored, codec_bound(len), &n, &err),
                    &err);
        return n;
}

static void what_was_packed_comes_back(void **state)
{
        static const size_t lens[] = {1, 4096, CHUNK_SIZE - 1, CHUNK_SIZE};
        static const int levels[] = {-7, 1, 19};

        (void)state;
        for (size_t i = 0; i < 24; i++) {
                struct codec *c = codec_new(levels[i % 3]);
                struct err err = ERR_INIT;
                size_t len = lens[i / 3 % 4], n;
                uint64_t size;

                fill(i / 12 == 1);
                n = pack(c, len);
                assert_done(codec_raw_size(stored, n, &size, &err), &err);
                assert_int_equal(size, len);
                assert_done(codec_unpack(c, stored, n, back, len, &err), &err);
                assert_memory_equal(raw, back, len);
                codec_free(c);
        }
}

/* The spec's limit for what is stored. */
static void what_does_not_shrink_stays_within_the_limit(void **state)
{
        struct codec *c = codec_new(1);

        (void)state;
        assert_int_equal(codec_bound(CHUNK_SIZE), CHUNK_SIZE + 4 * KiB);
        fill(true);
        assert_in_range(pack(c, CHUNK_SIZE), CHUNK_SIZE,
                        codec_bound(CHUNK_SIZE));
        codec_free(c);
}

static void refused(struct codec *c, size_t stored_len, size_t raw_len)
{
        struct err err = ERR_INIT;

        assert_false(codec_unpack(c, stored, stored_len, back, raw_len, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
}

static void anything_but_exactly_one_frame_is_refused(void **state)
{
        struct codec *c = codec_new(1);
        size_t n, second;

        (void)state;
        fill(false);
        n = pack(c, 5000);
        refused(c, n, 4999);
        refused(c, n, 5001);
        for (size_t cut = 0; cut < n; cut++)
                refused(c, cut, 5000);
        /* A byte behind it; a second frame; a skippable frame. */
        stored[n] = 0;
        refused(c, n + 1, 5000);
        memcpy(stored + n, stored, n);
        refused(c, 2 * n, 5000);
        memcpy(stored + n, "\x50\x2a\x4d\x18\0\0\0\0", 8);
        refused(c, n + 8, 5000);
        memmove(stored + 8, stored, n);
        memcpy(stored, "\x50\x2a\x4d\x18\0\0\0\0", 8);
        refused(c, n + 8, 5000);
        second = pack(c, 1);
        refused(c, second, 0);
        codec_free(c);
}

static void
frames_larger_than_a_chunk_or_of_unknown_size_are_refused(void **state)
{
        /* Single segment, content size 1 MiB + 1; no content size at all. */
        static const uint8_t large[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x01,
                                        0x00, 0x10, 0x00, 0x01, 0x00, 0x00};
        static const uint8_t unknown[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00,
                                          0x58, 0x01, 0x00, 0x00};
        static const uint8_t magicless[] = {0x27, 0xb5, 0x2f, 0xfd, 0x20, 0x00};
        struct err err = ERR_INIT;
        uint64_t size;

        (void)state;
        assert_false(codec_raw_size(large, sizeof large, &size, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        err_clear(&err);
        assert_false(codec_raw_size(unknown, sizeof unknown, &size, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        err_clear(&err);
        assert_false(codec_raw_size(magicless, sizeof magicless, &size, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
}

/* Every flip, also those that still are a frame: never a byte too many. */
static void flipped_frames_do_no_harm(void **state)
{
        struct codec *c = codec_new(1);
        size_t n;

        (void)state;
        fill(false);
        n = pack(c, 20000);
        for (size_t bit = 0; bit < 8 * n; bit++) {
                struct err err = ERR_INIT;

                stored[bit / 8] ^= (uint8_t)(1U << bit % 8);
                back[20000] = 0x5a;
                codec_unpack(c, stored, n, back, 20000, &err);
                assert_int_equal(back[20000], 0x5a);
                stored[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        codec_free(c);
}

static void levels_have_bounds(void **state)
{
        (void)state;
        assert_true(codec_level_ok(1));
        assert_true(codec_level_ok(-7));
        assert_true(codec_level_ok(19));
        assert_false(codec_level_ok(1000));
        assert_false(codec_level_ok(INT32_MIN));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_was_packed_comes_back),
                cmocka_unit_test(what_does_not_shrink_stays_within_the_limit),
                cmocka_unit_test(anything_but_exactly_one_frame_is_refused),
                cmocka_unit_test(
                        frames_larger_than_a_chunk_or_of_unknown_size_are_refused),
                cmocka_unit_test(flipped_frames_do_no_harm),
                cmocka_unit_test(levels_have_bounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
