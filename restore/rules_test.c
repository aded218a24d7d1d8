/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/rules.h"

#include "base/test.h"

#include <stdio.h>
#include <string.h>

#define SECTION(idstr, fields)                                                 \
        "{\"name\":\"" idstr "\",\"vmsd_name\":\"d\",\"version\":1,"           \
        "\"fields\":[" fields "]}"
#define BYTE(name)  "{\"name\":\"" name "\",\"type\":\"uint8\",\"size\":1}"
#define INT32(name) "{\"name\":\"" name "\",\"type\":\"int32\",\"size\":4}"

struct fixture {
        struct check c;
        struct devices d;
        struct device_section section;
        json_t *vmdesc, *rules;
};

/* One device whose state is these bytes. */
static void make(struct fixture *f, const char *idstr, const char *vmdesc,
                 const void *bytes, size_t len)
{
        struct err err = ERR_INIT;

        *f = (struct fixture){0};
        assert_done(check_init(&f->c, NULL, 0, NULL, &err), &err);
        f->vmdesc = json_loads(vmdesc, 0, NULL);
        assert_non_null(f->vmdesc);
        snprintf(f->section.idstr, sizeof f->section.idstr, "%s", idstr);
        f->section.payload = bytes;
        f->section.len = len;
        f->section.vmdesc = f->vmdesc;
        f->d.list = &f->section;
        f->d.count = 1;
}

static void drop(struct fixture *f)
{
        check_fini(&f->c);
        json_decref(f->vmdesc);
        json_decref(f->rules);
}

/* Runs it with the rule; how many reasons there are then. */
static size_t run(struct fixture *f, const char *rule)
{
        struct err err = ERR_INIT;

        json_decref(f->rules);
        f->rules = json_pack("{s:[o]}", "rules", json_loads(rule, 0, NULL));
        assert_non_null(f->rules);
        check_fini(&f->c);
        assert_done(rules_check(&f->c, &f->d, f->rules, REASON_WARNING, &err),
                    &err);
        return f->c.count;
}

static void bounds_are_kept(void **state)
{
        struct fixture f;

        (void)state;
        make(&f, "0000:00:03.0/dev", SECTION("x", BYTE("a") "," INT32("b")),
             "\5\xff\xff\xff\xfe", 5);
        assert_int_equal(
                run(&f, "{\"device\":\"dev\",\"field\":\"a\",\"max\":5}"), 0);
        assert_int_equal(
                run(&f, "{\"device\":\"dev\",\"field\":\"a\",\"max\":4}"), 1);
        assert_string_equal(f.c.list[0].code, "value");
        assert_string_equal(f.c.list[0].section, "0000:00:03.0/dev");
        assert_string_equal(f.c.list[0].snapshot, "5");
        assert_non_null(strstr(f.c.list[0].message, "a is 5, more than 4"));
        assert_int_equal(
                run(&f, "{\"device\":\"*\",\"field\":\"b\",\"min\":-2}"), 0);
        assert_int_equal(
                run(&f, "{\"device\":\"*\",\"field\":\"b\",\"min\":-1}"), 1);
        assert_non_null(strstr(f.c.list[0].message, "b is -2, less than -1"));
        assert_int_equal(run(&f,
                             "{\"device\":\"0000:00:03.0/dev\",\"field\":\"a\","
                             "\"equals\":6}"),
                         1);
        assert_int_equal(run(&f, "{\"device\":\"*\",\"field\":\"a\","
                                 "\"one_of\":[1,5]}"),
                         0);
        assert_int_equal(run(&f, "{\"device\":\"*\",\"field\":\"a\","
                                 "\"one_of\":[1,4]}"),
                         1);
        /* Another device, or no such field: no rule is broken. */
        assert_int_equal(
                run(&f, "{\"device\":\"other\",\"field\":\"a\",\"max\":1}"), 0);
        assert_int_equal(
                run(&f, "{\"device\":\"dev\",\"field\":\"aa\",\"max\":1}"), 0);
        drop(&f);
}

static void another_field_bounds_the_same_element(void **state)
{
        static const char vmdesc[] = SECTION(
                "x", "{\"name\":\"q\",\"array_len\":2,\"type\":\"struct\","
                     "\"struct\":{\"vmsd_name\":\"q\",\"fields\":[" BYTE(
                             "at") "," BYTE("num") "]},\"size\":2}," BYTE("n"));
        static const char rule[] = "{\"device\":\"*\",\"field\":\"q[*].at\","
                                   "\"less_than\":\"q[*].num\"}";
        struct fixture f;

        (void)state;
        make(&f, "dev", vmdesc, "\1\2\3\4\3", 5);
        assert_int_equal(run(&f, rule), 0);
        f.section.payload = (const uint8_t *)"\1\2\4\4\3";
        assert_int_equal(run(&f, rule), 1);
        assert_non_null(
                strstr(f.c.list[0].message, "q[1].at is 4, not less than"));
        /* A bound of zero is a queue that is not there. */
        f.section.payload = (const uint8_t *)"\1\2\4\0\3";
        assert_int_equal(run(&f, rule), 0);
        /* One field bounds all elements. */
        f.section.payload = (const uint8_t *)"\1\2\4\0\3";
        assert_int_equal(run(&f, "{\"device\":\"*\",\"field\":\"q[*].at\","
                                 "\"less_than\":\"n\"}"),
                         1);
        drop(&f);
}

static void a_pci_header_must_make_sense(void **state)
{
        static const char vmdesc[] =
                SECTION("x", "{\"name\":\"config\",\"type\":\"pci config\","
                             "\"size\":256}");
        static const char rule[] =
                "{\"device\":\"none\",\"field\":\"x\",\"max\":1}";
        uint8_t config[256] = {0};
        struct fixture f;

        (void)state;
        make(&f, "dev", vmdesc, config, sizeof config);
        config[0x06] = 0x10;
        config[0x34] = 0x40;
        config[0x41] = 0x50;
        assert_int_equal(run(&f, rule), 0);
        config[0x51] = 0x40;
        assert_int_equal(run(&f, rule), 1);
        assert_non_null(strstr(f.c.list[0].message, "ring"));
        config[0x51] = 0x10;
        assert_int_equal(run(&f, rule), 1);
        config[0x51] = 0;
        config[0x0e] = 3;
        assert_int_equal(run(&f, rule), 1);
        drop(&f);
}

static void rules_of_the_wrong_form_are_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "[]",
                "{\"rules\":{}}",
                "{\"rules\":[1]}",
                "{\"rules\":[{\"device\":\"d\",\"max\":1}]}",
                "{\"rules\":[{\"device\":\"d\",\"field\":\"f\"}]}",
                "{\"rules\":[{\"device\":\"d\",\"field\":\"f\",\"max\":\"1\"}]"
                "}",
                "{\"rules\":[{\"device\":\"d\",\"field\":\"f\",\"one_of\":[]}]"
                "}",
                "{\"rules\":[{\"device\":\"d\",\"field\":\"f\",\"less_than\":1}"
                "]}",
                "{\"rules\":[{\"device\":\"d\",\"field\":\"f\",\"max\":1,"
                "\"mix\":2}]}",
        };
        json_t *rules = NULL;

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;
                FILE *file = fopen("rules.json", "w");

                assert_non_null(file);
                fputs(bad[i], file);
                fclose(file);
                assert_false(rules_read("rules.json", &rules, &err));
                assert_int_equal(err.status, ERR_USAGE);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bounds_are_kept),
                cmocka_unit_test(another_field_bounds_the_same_element),
                cmocka_unit_test(a_pci_header_must_make_sense),
                IN_DIR(rules_of_the_wrong_form_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
