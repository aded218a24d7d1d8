/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/strict.h"

#include "base/test.h"

#include <string.h>

#define BYTE(name) "{\"name\":\"" name "\",\"type\":\"uint8\",\"size\":1}"
#define PLAIN                                                                  \
        "{\"vmsd_name\":\"d\",\"version\":1,\"fields\":[" BYTE("a") "," BYTE(  \
                "b") "]}"
/* A subsection on the wire: type 5, counted name, version. */
#define PARTED                                                                 \
        "{\"vmsd_name\":\"d\",\"version\":1,\"fields\":[" BYTE(                \
                "a") "],"                                                      \
                     "\"subsections\":[{\"vmsd_name\":\"d/"                    \
                     "more\",\"version\":2,"                                   \
                     "\"fields\":[" BYTE("x") "]}]}"

struct fixture {
        struct devices d;
        struct device_section list[4];
        json_t *owned[4];
};

/* number: of the item; RAM's END is item 10. */
static struct device_section *add(struct fixture *f, const char *idstr,
                                  unsigned number, const char *vmdesc,
                                  const void *bytes, size_t len)
{
        struct device_section *s = &f->list[f->d.count];

        *s = (struct device_section){.number = number,
                                     .version_id = 1,
                                     .payload = bytes,
                                     .len = len};
        snprintf(s->idstr, sizeof s->idstr, "%s", idstr);
        if (vmdesc) {
                s->vmdesc = f->owned[f->d.count] = json_loads(vmdesc, 0, NULL);
                assert_non_null(s->vmdesc);
        }
        f->d.count++;
        return s;
}

static void make(struct fixture *f)
{
        *f = (struct fixture){.d = {.ram_ended = true, .ram_end = 10}};
        f->d.list = f->list;
}

static bool check(struct fixture *f, struct strict_report *out, struct err *err)
{
        bool ok;

        *err = (struct err)ERR_INIT;
        ok = strict_check(&f->d, out, err);
        for (size_t i = 0; i < 4; i++)
                json_decref(f->owned[i]);
        return ok;
}

#define FAILS(f, where, pattern)                                               \
        do {                                                                   \
                struct strict_report r_;                                       \
                struct err e_;                                                 \
                assert_false(check(f, &r_, &e_));                              \
                assert_int_equal(e_.status, ERR_CORRUPT);                      \
                assert_string_equal(e_.section, where);                        \
                if (!strstr(e_.why, pattern))                                  \
                        fail_msg("'%s' is not in '%s'", pattern, e_.why);      \
        } while (0)

static void all_bytes_are_accounted_for(void **state)
{
        struct strict_report r;
        struct fixture f;
        struct err err;

        (void)state;
        make(&f);
        add(&f, "early", 3, PLAIN, "12", 2)->early = true;
        add(&f, "vfio", 4, NULL, NULL, 0)->live = true;
        add(&f, "one", 11, PLAIN, "12", 2);
        add(&f, "two", 12, PARTED, "1\5\6d/more\0\0\0\2x", 14);
        assert_done(check(&f, &r, &err), &err);
        assert_int_equal(r.sections, 3);
        assert_int_equal(r.fields, 2 + 2 + 3);
        assert_int_equal(r.undescribed, 0);
}

static void what_is_not_described_is_counted(void **state)
{
        struct strict_report r;
        struct fixture f;
        struct err err;

        (void)state;
        make(&f);
        add(&f, "one", 11, NULL, "12", 2);
        add(&f, "two", 12, "{\"name\":\"two\",\"size\":3}", "123", 3);
        add(&f, "three", 13, PLAIN, "12", 2);
        assert_done(check(&f, &r, &err), &err);
        assert_int_equal(r.sections, 3);
        assert_int_equal(r.fields, 2);
        assert_int_equal(r.undescribed, 2);
}

/* As QEMU before 10.0 does it to an array that begins with a null pointer. */
static void what_qemu_misdescribes_is_not_described(void **state)
{
        static const char vmdesc[] =
                "{\"vmsd_name\":\"css\",\"version\":1,\"fields\":[{\"name\":"
                "\"a\",\"array_len\":2,\"type\":\"struct\",\"struct\":{"
                "\"fields\":[]},\"size\":1}]}";
        struct strict_report r;
        struct fixture f;
        struct err err;

        (void)state;
        make(&f);
        add(&f, "css", 11, vmdesc, "0123", 4);
        assert_done(check(&f, &r, &err), &err);
        assert_int_equal(r.undescribed, 1);
}

static void bytes_too_many_or_too_few_are_named_by_field(void **state)
{
        struct fixture f;

        (void)state;
        make(&f);
        add(&f, "good", 11, PLAIN, "12", 2);
        add(&f, "bad", 12, PLAIN, "1", 1);
        FAILS(&f, "bad", "field b");
        make(&f);
        add(&f, "bad", 11, PLAIN, "123", 3);
        FAILS(&f, "bad", "1 byte");
        make(&f);
        add(&f, "b\033ad", 11, PLAIN, "", 0);
        FAILS(&f, "b\\x1bad", "field a");
}

static void subsections_are_those_described(void **state)
{
        struct fixture f;

        (void)state;
        make(&f); /* another name */
        add(&f, "bad", 11, PARTED, "1\5\6d/mora\0\0\0\2x", 14);
        FAILS(&f, "bad", "d/more");
        make(&f); /* another version */
        add(&f, "bad", 11, PARTED, "1\5\6d/more\0\0\0\3x", 14);
        FAILS(&f, "bad", "d/more");
        make(&f); /* it ends early */
        add(&f, "bad", 11, PARTED, "1\5\6d/more\0\0\0\2", 13);
        FAILS(&f, "bad", "d/more.x");
        make(&f); /* one that is described is not there */
        add(&f, "bad", 11, PARTED, "1", 1);
        FAILS(&f, "bad", "d/more");
        make(&f); /* one that is not described is */
        add(&f, "bad", 11, PLAIN, "12\5\6d/more\0\0\0\2x", 15);
        FAILS(&f, "bad", "byte");
}

static void versions_are_those_described(void **state)
{
        struct strict_report r;
        struct fixture f;
        struct err err;

        (void)state;
        make(&f);
        add(&f, "serial", 11, PLAIN, "12", 2)->version_id = 2;
        FAILS(&f, "serial", "version 2");
        make(&f); /* old devices' descriptions have none */
        add(&f, "old", 11, "{\"vmsd_name\":\"d\",\"fields\":[" BYTE("a") "]}",
            "1", 1)
                ->version_id = 7;
        assert_done(check(&f, &r, &err), &err);
}

static void a_section_comes_once(void **state)
{
        struct strict_report r;
        struct fixture f;
        struct err err;

        (void)state;
        make(&f);
        add(&f, "serial", 11, PLAIN, "12", 2);
        add(&f, "serial", 12, PLAIN, "12", 2)->instance_id = 1;
        assert_done(check(&f, &r, &err), &err);
        make(&f);
        add(&f, "serial", 11, PLAIN, "12", 2);
        add(&f, "timer", 12, PLAIN, "12", 2);
        add(&f, "serial", 13, PLAIN, "12", 2);
        FAILS(&f, "serial", "second time");
        /* What began while the guest ran may be followed by a state. */
        make(&f);
        add(&f, "vfio", 3, NULL, NULL, 0)->live = true;
        add(&f, "vfio", 11, PLAIN, "12", 2);
        assert_done(check(&f, &r, &err), &err);
}

static void device_state_follows_ram(void **state)
{
        struct strict_report r;
        struct fixture f;
        struct err err;

        (void)state;
        make(&f);
        add(&f, "serial", 9, PLAIN, "12", 2);
        FAILS(&f, "serial", "before the end of RAM");
        make(&f); /* a background snapshot has no END of RAM */
        f.d.ram_ended = false;
        f.d.ram_end = 0;
        add(&f, "serial", 9, PLAIN, "12", 2);
        assert_done(check(&f, &r, &err), &err);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_bytes_are_accounted_for),
                cmocka_unit_test(what_is_not_described_is_counted),
                cmocka_unit_test(what_qemu_misdescribes_is_not_described),
                cmocka_unit_test(bytes_too_many_or_too_few_are_named_by_field),
                cmocka_unit_test(subsections_are_those_described),
                cmocka_unit_test(versions_are_those_described),
                cmocka_unit_test(a_section_comes_once),
                cmocka_unit_test(device_state_follows_ram),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
