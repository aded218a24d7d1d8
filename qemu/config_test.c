/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BARE "\7\0\0\0\015pc-i440fx-7.2"
#define CAPS "\5\032configuration/capabilities\0\0\0\1"
#define UUID "\5\022configuration/uuid\0\0\0\1"
#define BITS "\5\036configuration/target-page-bits\0\0\0\1"

static enum status parse(const char *bytes, size_t len,
                         struct stream_config *out)
{
        struct err err = ERR_INIT;
        struct cursor c;

        memset(out, 0, sizeof *out);
        cursor_init(&c, bytes, len, 0, "configuration", &err);
        if (stream_config_parse(&c, out))
                assert_int_equal(cursor_left(&c), 1); /* the next item's */
        return err.status;
}

#define PARSE(s, out) parse(s, sizeof(s) - 1, out)

static void machine_type_alone(void **state)
{
        struct stream_config c;

        (void)state;
        assert_int_equal(PARSE(BARE "\1", &c), ERR_NONE);
        assert_string_equal(c.machine, "pc-i440fx-7.2");
        assert_int_equal(c.page_bits, 0);
        assert_false(c.ignore_shared || c.mapped_ram || c.has_uuid);
}

static void subsections_are_read(void **state)
{
        struct stream_config c;

        (void)state;
        assert_int_equal(PARSE(BARE BITS "\0\0\0\014" CAPS
                                         "\0\0\0\1\017x-ignore-shared" UUID
                                         "0123456789abcdef\1",
                               &c),
                         ERR_NONE);
        assert_int_equal(c.page_bits, 12);
        assert_true(c.ignore_shared);
        assert_true(c.has_uuid);
        assert_memory_equal(c.uuid, "0123456789abcdef", 16);
}

static void unknown_is_refused_by_name(void **state)
{
        struct stream_config c;

        (void)state;
        assert_int_equal(PARSE(BARE CAPS "\0\0\0\1\3new\1", &c),
                         ERR_UNSUPPORTED);
        assert_int_equal(PARSE(BARE "\5\3xyz\0\0\0\1\1", &c), ERR_UNSUPPORTED);
        assert_int_equal(PARSE(BARE BITS "\0\0\0\040\1", &c), ERR_CORRUPT);
        assert_int_equal(PARSE(BARE CAPS "\377\0\0\1\3new\1", &c), ERR_CORRUPT);
        assert_int_equal(PARSE("\7\0\0\0\0\1", &c), ERR_CORRUPT);
        assert_int_equal(PARSE("\7\377\377\377\377\1", &c), ERR_CORRUPT);
}

static void every_cut_is_truncated(void **state)
{
        static const char whole[] = BARE CAPS "\0\0\0\1\017x-ignore-shared";
        struct stream_config c;

        (void)state;
        for (size_t len = 0; len < sizeof whole - 1; len++)
                if (len != sizeof BARE - 1) /* whole without the capability */
                        assert_int_equal(parse(whole, len, &c), ERR_TRUNCATED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(machine_type_alone),
                cmocka_unit_test(subsections_are_read),
                cmocka_unit_test(unknown_is_refused_by_name),
                cmocka_unit_test(every_cut_is_truncated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
