/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/trailer.h"

static void make(struct trailer *t, uint8_t bytes[TRAILER_SIZE])
{
        *t = (struct trailer){
                .file_size = 0x0102030405060708,
                .index_offset = 0x1112131415161718,
                .index_size = 0x2122232425262728,
                .members = 0x3132333435363738,
        };
        digest_of("index", 5, t->index_digest);
        digest_of("frame", 5, t->frame_digest);
        trailer_encode(t, bytes);
}

/* Offsets as in the spec's table. */
static void fields_stand_where_the_spec_says(void **state)
{
        uint8_t bytes[TRAILER_SIZE], digest[DIGEST_SIZE];
        struct trailer t;

        (void)state;
        make(&t, bytes);
        assert_memory_equal(bytes, "stasis-trailer-1", 16);
        assert_memory_equal(bytes + 16, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
        assert_memory_equal(bytes + 24, "\x18\x17\x16\x15\x14\x13\x12\x11", 8);
        assert_memory_equal(bytes + 32, "\x28\x27\x26\x25\x24\x23\x22\x21", 8);
        assert_memory_equal(bytes + 40, "\x38\x37\x36\x35\x34\x33\x32\x31", 8);
        assert_memory_equal(bytes + 48, t.index_digest, 16);
        assert_memory_equal(bytes + 64, t.frame_digest, 16);
        for (size_t i = 80; i < 496; i++)
                assert_int_equal(bytes[i], 0);
        digest_of(bytes, 496, digest);
        assert_memory_equal(bytes + 496, digest, 16);
}

static void what_was_encoded_decodes(void **state)
{
        uint8_t bytes[TRAILER_SIZE];
        struct trailer t, back;
        struct err err = ERR_INIT;

        (void)state;
        make(&t, bytes);
        assert_done(trailer_decode(bytes, 0, &back, &err), &err);
        assert_true(back.file_size == t.file_size);
        assert_true(back.index_offset == t.index_offset);
        assert_true(back.index_size == t.index_size);
        assert_true(back.members == t.members);
        assert_memory_equal(back.index_digest, t.index_digest, DIGEST_SIZE);
        assert_memory_equal(back.frame_digest, t.frame_digest, DIGEST_SIZE);
}

static void every_flipped_bit_is_found(void **state)
{
        uint8_t bytes[TRAILER_SIZE];
        struct trailer t, back;

        (void)state;
        make(&t, bytes);
        for (size_t bit = 0; bit < 8 * TRAILER_SIZE; bit++) {
                struct err err = ERR_INIT;

                bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                assert_false(trailer_decode(bytes, 1000, &back, &err));
                assert_int_equal(err_exit_code(&err), 3);
                assert_in_range(err.offset, 1000, 1000 + TRAILER_SIZE);
                assert_string_equal(err.section, "stasis/trailer");
                bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
}

/* Reserved bytes may get a meaning that must not be overlooked. */
static void
reserved_bytes_must_be_zero_even_if_the_digest_is_right(void **state)
{
        uint8_t bytes[TRAILER_SIZE];
        struct trailer t, back;
        struct err err = ERR_INIT;

        (void)state;
        make(&t, bytes);
        bytes[300] = 1;
        digest_of(bytes, 496, bytes + 496);
        assert_false(trailer_decode(bytes, 0, &back, &err));
        assert_string_equal(err.field, "reserved");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fields_stand_where_the_spec_says),
                cmocka_unit_test(what_was_encoded_decodes),
                cmocka_unit_test(every_flipped_bit_is_found),
                cmocka_unit_test(
                        reserved_bytes_must_be_zero_even_if_the_digest_is_right),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
