/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/inflate.h"

#include "base/test.h"

#include <zlib.h>

#define RAW 4096u

static void make(uint8_t raw[RAW])
{
        for (size_t i = 0; i < RAW; i++)
                raw[i] = (uint8_t)(i * 7);
}

static void a_zlib_stream_must_make_its_length_and_end(void **state)
{
        uint8_t raw[RAW], packed[5000], out[RAW];
        struct err err = ERR_INIT;
        uLongf len = sizeof packed;

        (void)state;
        make(raw);
        assert_int_equal(compress(packed, &len, raw, sizeof raw), Z_OK);
        assert_true(inflate_zlib(out, sizeof out, packed, len, &err));
        assert_memory_equal(out, raw, sizeof raw);
        assert_false(inflate_zlib(out, RAW - 1, packed, len, &err));
        err_clear(&err);
        assert_false(inflate_zlib(out, sizeof out, packed, len - 1, &err));
        err_clear(&err);
        packed[len] = 0;
        assert_false(inflate_zlib(out, sizeof out, packed, len + 1, &err));
}

static void a_raw_stream_must_make_its_length_whatever_follows(void **state)
{
        uint8_t raw[RAW], packed[5000] = {0}, out[RAW];
        struct err err = ERR_INIT;
        z_stream z = {0};
        size_t len;

        (void)state;
        make(raw);
        assert_int_equal(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                      -12, 9, Z_DEFAULT_STRATEGY),
                         Z_OK);
        z.next_in = raw;
        z.avail_in = sizeof raw;
        z.next_out = packed;
        z.avail_out = sizeof packed;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        len = sizeof packed - z.avail_out;
        deflateEnd(&z);
        assert_true(inflate_raw(out, sizeof out, packed, len, &err));
        assert_memory_equal(out, raw, sizeof raw);
        assert_true(inflate_raw(out, sizeof out, packed, len + 300, &err));
        assert_false(inflate_raw(out, sizeof out, packed, len / 2, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_zlib_stream_must_make_its_length_and_end),
                cmocka_unit_test(
                        a_raw_stream_must_make_its_length_whatever_follows),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
