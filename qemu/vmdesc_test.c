/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/vmdesc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static enum status parse(const char *json, struct vmdesc *v)
{
        struct err err = ERR_INIT;

        memset(v, 0, sizeof *v);
        vmdesc_parse((const uint8_t *)json, strlen(json), v, &err);
        return err.status;
}

static void fields_arrays_and_subsections_add_up(void **state)
{
        struct vmdesc v;

        (void)state;
        assert_int_equal(
                parse("{\"page_size\": 8192, \"devices\": ["
                      "{\"name\": \"timer\", \"instance_id\": 3, \"fields\": ["
                      "{\"name\": \"a\", \"size\": 8},"
                      "{\"name\": \"b\", \"size\": 4, \"array_len\": 10}],"
                      "\"subsections\": [{\"vmsd_name\": \"timer/x\","
                      "\"version\": 1, \"fields\": [{\"size\": 2}]}]},"
                      "{\"name\": \"empty\"}]}",
                      &v),
                ERR_NONE);
        assert_int_equal(v.count, 2);
        assert_int_equal(v.page_size, 8192);
        assert_int_equal(v.devices[0].bytes, 8 + 40 + (1 + 1 + 7 + 4 + 2));
        assert_int_equal(v.devices[0].instance_id, 3);
        assert_int_equal(v.devices[1].bytes, 0);
        vmdesc_fini(&v);
}

/* QEMU repeats keys in lists of elements; sizes are told beside them. */
static void repeated_keys_do_no_harm(void **state)
{
        struct vmdesc v;

        (void)state;
        assert_int_equal(parse("{\"devices\": [{\"name\": \"q\", \"fields\": ["
                               "{\"type\": \"qtailq\", \"fields\": [], "
                               "\"fields\": [], \"size\": 31}]}]}",
                               &v),
                         ERR_NONE);
        assert_int_equal(v.devices[0].bytes, 31);
        vmdesc_fini(&v);
}

static void hostile_descriptions_are_refused(void **state)
{
        static const char *const cases[] = {
                "",
                "[]",
                "{}",
                "{\"devices\": {}}",
                "{\"devices\": [{}]}",
                "{\"devices\": [{\"name\": \"a\", \"instance_id\": -1}]}",
                "{\"devices\": [{\"name\": \"a\", \"fields\": "
                "[{\"size\": 4294967296, \"array_len\": 4294967295}]}]}",
                "{\"devices\": [{\"name\": \"a\", \"fields\": "
                "[{\"size\": \"8\"}]}]}",
                "{\"devices\": [{\"name\": \"a\", \"subsections\": [{}]}]}",
                "{\"page_size\": 99999999999, \"devices\": []}",
        };
        struct vmdesc v;

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                assert_int_equal(parse(cases[i], &v), ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(fields_arrays_and_subsections_add_up),
                cmocka_unit_test(repeated_keys_do_no_harm),
                cmocka_unit_test(hostile_descriptions_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
