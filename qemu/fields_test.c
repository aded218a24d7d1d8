/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/fields.h"

#include "base/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was told, as "PATH=VALUE PATH=VALUE ...", and of it all that the bytes
 * follow each other without a gap. */
struct told {
        char text[4096];
        size_t end;
};

static bool tell(void *arg, const struct field *f, struct err *err)
{
        struct told *t = arg;
        size_t used = strlen(t->text);
        json_t *value = field_value(f);
        char *text = json_dumps(value, JSON_ENCODE_ANY);

        (void)err;
        assert_non_null(text);
        assert_int_equal(f->offset, t->end);
        t->end = f->offset + f->size;
        snprintf(t->text + used, sizeof t->text - used, "%s%s=%s",
                 used ? " " : "", f->path, text);
        free(text);
        json_decref(value);
        return true;
}

static bool decode(const char *device, const char *bytes, size_t len,
                   struct told *out, struct err *err)
{
        json_t *root = NULL;
        bool ok;

        *out = (struct told){0};
        *err = (struct err)ERR_INIT;
        ok = fields_parse((const uint8_t *)device, strlen(device), &root,
                          err) &&
             fields_decode(root, (const uint8_t *)bytes, len, tell, out, err);
        json_decref(root);
        return ok;
}

#define TELLS(device, bytes, want)                                             \
        do {                                                                   \
                struct told told_;                                             \
                struct err err_;                                               \
                assert_done(decode(device, bytes, sizeof(bytes) - 1, &told_,   \
                                   &err_),                                     \
                            &err_);                                            \
                assert_string_equal(told_.text, want);                         \
                assert_int_equal(told_.end, sizeof(bytes) - 1);                \
        } while (0)

#define FAILS(device, bytes, pattern)                                          \
        do {                                                                   \
                struct told told_;                                             \
                struct err err_;                                               \
                assert_false(decode(device, bytes, sizeof(bytes) - 1, &told_,  \
                                    &err_));                                   \
                assert_int_equal(err_.status, ERR_CORRUPT);                    \
                if (!strstr(err_.why, pattern))                                \
                        fail_msg("'%s' is not in '%s'", pattern, err_.why);    \
        } while (0)

#define FIELD(name, type, size)                                                \
        "{\"name\":\"" name "\",\"type\":\"" type "\",\"size\":" size "}"
#define ARRAY(name, count, type, size)                                         \
        "{\"name\":\"" name "\",\"array_len\":" count ",\"type\":\"" type      \
        "\",\"size\":" size "}"
#define VMSD(name, fields)                                                     \
        "\"vmsd_name\":\"" name "\",\"version\":1,\"fields\":[" fields "]"
#define STRUCT(name, more, fields, size)                                       \
        "{\"name\":\"" name "\"," more                                         \
        "\"type\":\"struct\",\"struct\":{" VMSD("s",                           \
                                                fields) "},\"size\":" size "}"
#define DEVICE(fields) "{" VMSD("d", fields) "}"

static void numbers_have_their_type_s_sign(void **state)
{
        (void)state;
        TELLS(DEVICE(FIELD("a", "int8", "1") "," FIELD(
                      "b", "uint8",
                      "1") "," FIELD("c", "int32 equal",
                                     "4") "," FIELD("d", "timer",
                                                    "8") "," FIELD("e", "bool",
                                                                   "1")),
              "\xff\xff\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1",
              "a=-1 b=255 c=-2 d=-1 e=true");
        TELLS(DEVICE(FIELD("a", "uint64", "8")),
              "\xff\xff\xff\xff\xff\xff\xff\xff", "a=\"0xffffffffffffffff\"");
        TELLS(DEVICE(FIELD("a", "CPU_Double_U", "8")), "\0\0\0\0\0\0\1\0",
              "a=256");
}

static void unknown_types_are_bytes(void **state)
{
        (void)state;
        TELLS(DEVICE(FIELD("a", "buffer", "3") "," FIELD("b", "psw", "2")),
              "\1\2\3\4\5", "a=\"010203\" b=\"0405\"");
        /* A number of a size that no number has. */
        TELLS(DEVICE(FIELD("a", "uint32", "9")), "123456789",
              "a=\"313233343536373839\"");
}

static void arrays_have_indices_however_they_are_told(void **state)
{
        (void)state;
        TELLS(DEVICE(ARRAY("a", "3", "uint8", "1")), "\1\2\3",
              "a[0]=1 a[1]=2 a[2]=3");
        /* QEMU 5.2 and 7.2, 10.0, 11.1. */
        TELLS(DEVICE(STRUCT("a", "\"index\":0,", FIELD("x", "uint8", "1"),
                            "1") "," STRUCT("a", "\"index\":1,",
                                            FIELD("x", "uint8", "1"), "1")),
              "\1\2", "a[0].x=1 a[1].x=2");
        TELLS(DEVICE(STRUCT("a", "\"index\":0,", FIELD("x", "uint8", "1"),
                            "1") "," STRUCT("a", "", FIELD("x", "uint8", "1"),
                                            "1")),
              "\1\2", "a[0].x=1 a[1].x=2");
        TELLS(DEVICE(STRUCT("a", "", FIELD("x", "uint8", "1"), "1") "," STRUCT(
                      "a", "", FIELD("x", "uint8", "1"), "1")),
              "\1\2", "a[0].x=1 a[1].x=2");
        TELLS(DEVICE(STRUCT(
                      "a", "\"array_len\":2,",
                      FIELD("x", "uint8", "1") "," FIELD("y", "uint8", "1"),
                      "2")),
              "\1\2\3\4", "a[0].x=1 a[0].y=2 a[1].x=3 a[1].y=4");
        TELLS(DEVICE(FIELD("a", "uint8", "1") "," FIELD("b", "uint8", "1")),
              "\1\2", "a=1 b=2");
}

static void null_pointers_are_told(void **state)
{
        (void)state;
        /* Before 10.0: an empty struct of one byte. */
        TELLS(DEVICE(STRUCT("a", "\"index\":0,", "", "1") "," STRUCT(
                      "a", "\"index\":1,", FIELD("x", "uint8", "1"), "1")),
              "0\2", "a[0]=null a[1].x=2");
        /* From 10.0 on: runs. */
        TELLS(DEVICE("{\"name\":\"a\",\"array_len\":2,\"type\":\"nullptr\","
                     "\"size\":1}," FIELD("a", "uint8", "1")),
              "00\2", "a[0]=null a[1]=null a[2]=2");
        FAILS(DEVICE(FIELD("a", "nullptr", "1")), "1", "no null pointer");
        FAILS(DEVICE("{\"name\":\"a\",\"array_len\":2,\"type\":\"nullptr\","
                     "\"size\":1}"),
              "01", "no null pointer");
}

/* QEMU before 10.0 describes an array's first element for all. */
static void pointers_described_as_null_are_not_known(void **state)
{
        static const char device[] =
                DEVICE(STRUCT("a", "\"array_len\":3,", "", "1"));
        struct told told;
        struct err err;

        (void)state;
        TELLS(device, "000", "a[0]=null a[1]=null a[2]=null");
        assert_false(decode(device, "0017", 4, &told, &err));
        assert_int_equal(err.status, ERR_UNSUPPORTED);
        assert_non_null(strstr(err.why, "field a[2]"));
        FAILS(device, "100", "a[0]");
        FAILS(device, "00", "a[2]");
}

#define PART(name, version, fields)                                            \
        "{\"vmsd_name\":\"" name "\",\"version\":" version                     \
        ",\"fields\":[" fields "]}"

static void subsections_follow_their_struct(void **state)
{
        static const char inner[] =
                "{\"vmsd_name\":\"d\",\"version\":1,\"fields\":[{\"name\":"
                "\"a\","
                "\"type\":\"struct\",\"struct\":{\"vmsd_name\":\"s\","
                "\"version\":1,\"fields\":[" FIELD(
                        "x", "uint8",
                        "1") "],"
                             "\"subsections\":[" PART(
                                     "s/t", "2",
                                     FIELD("y", "uint8",
                                           "1")) "]},\"size\":11}],"
                                                 "\"subsections\":[" PART(
                                                         "d/u", "1",
                                                         FIELD("z", "uint8",
                                                               "1")) "]}";

        (void)state;
        TELLS(inner, "\1\5\3s/t\0\0\0\2\7\5\3d/u\0\0\0\1\x9",
              "a.x=1 a.s/t=2 a.s/t.y=7 d/u=1 d/u.z=9");
        FAILS(inner, "\1\5\3s/t\0\0\0\3\7\5\3d/u\0\0\0\1\x9",
              "a.s/t, byte 1: version 3 is not described");
        FAILS(inner, "\1\5\3s/t\0\0\0\2\7\5\3d/v\0\0\0\1\x9",
              "d/u is not there");
        FAILS(inner, "\1\5\3s/t\0\0\0\2\7\5\3d/u\0\0\0", "d/u is not there");
}

static void lists_have_a_description_for_each_element(void **state)
{
        (void)state;
        TELLS(DEVICE("{\"name\":\"q\",\"type\":\"qtailq\"," VMSD(
                      "e", FIELD("x", "uint8",
                                 "1")) "," VMSD("e", FIELD("x", "uint16",
                                                           "2")) ","
                                                                 "\"size\":6}"),
              "\1\7\1\1\2\0",
              "q[0].more=1 q[0].x=7 q[1].more=1 q[1].x=258 q[2].more=0");
        TELLS(DEVICE("{\"name\":\"q\",\"type\":\"qlist\",\"size\":1}"), "\0",
              "q[0].more=0");
        FAILS(DEVICE("{\"name\":\"q\",\"type\":\"qtailq\"," VMSD(
                      "e", FIELD("x", "uint8", "1")) ",\"size\":5}"),
              "\1\7\1\7\0", "fewer elements");
        FAILS(DEVICE("{\"name\":\"q\",\"type\":\"qtailq\"," VMSD(
                      "e", FIELD("x", "uint8", "1")) ",\"size\":3}"),
              "\1\7\2", "no mark");
}

static void trees_have_numbers_or_structs_as_keys(void **state)
{
        (void)state;
        TELLS(DEVICE("{\"name\":\"t\",\"type\":\"gtree\"," VMSD(
                      "v", FIELD("x", "uint8", "1")) ",\"size\":15}"),
              "\0\0\0\1\1\0\0\0\0\0\0\0\5\7\0",
              "t.count=1 t[0].more=1 t[0].key=5 t[0].x=7 t[1].more=0");
        TELLS(DEVICE("{\"name\":\"t\",\"type\":\"gtree\"," VMSD(
                      "k", FIELD("k", "uint8",
                                 "1")) "," VMSD("v", FIELD("x", "uint8",
                                                           "1")) ","
                                                                 "\"size\":8}"),
              "\0\0\0\1\1\3\7\0",
              "t.count=1 t[0].more=1 t[0].k=3 t[0].x=7 t[1].more=0");
        FAILS(DEVICE("{\"name\":\"t\",\"type\":\"gtree\"," VMSD(
                      "v", FIELD("x", "uint8", "1")) ",\"size\":15}"),
              "\0\0\0\2\1\0\0\0\0\0\0\0\5\7\0", "not 2 nodes");
}

static void every_byte_must_be_described(void **state)
{
        (void)state;
        FAILS(DEVICE(FIELD("a", "uint8", "1")), "\1\2", "1 bytes that vmdesc");
        FAILS(DEVICE(FIELD("a", "uint32", "4")), "\1\2", "2 are left");
        FAILS(DEVICE(STRUCT("a", "", FIELD("x", "uint8", "1"), "2")), "\1\2",
              "vmdesc says 2");
}

static void hostile_descriptions_end(void **state)
{
        char deep[8192] = "", path[4096];
        struct told told;
        struct err err;

        (void)state;
        /* Four thousand million times nothing. */
        FAILS(DEVICE(ARRAY("a", "4294967295", "buffer", "0")), "\1",
              "1 bytes that vmdesc");
        FAILS(DEVICE(ARRAY("a", "9223372036854775807", "uint8", "1")), "\1\2",
              "0 are left");
        FAILS(DEVICE(FIELD("a", "uint8", "-1")), "\1", "no sane number");
        FAILS(DEVICE(FIELD("a", "uint8", "\"1\"")), "\1", "no sane number");
        FAILS(DEVICE("{\"name\":\"a\",\"size\":1}"), "\1", "no type");
        FAILS(DEVICE("{\"type\":\"uint8\",\"size\":1}"), "\1", "without name");
        for (int i = 0; i < 70; i++)
                strcat(deep, "{\"fields\":[{\"name\":\"a\",\"type\":\"struct\","
                             "\"size\":0,\"struct\":");
        strcat(deep, "{}");
        for (int i = 0; i < 70; i++)
                strcat(deep, "}]}");
        assert_false(decode(deep, "", 0, &told, &err));
        assert_non_null(strstr(err.why, "too deeply"));
        memset(path, 'x', sizeof path);
        path[sizeof path - 1] = '\0';
        snprintf(deep, sizeof deep, DEVICE(FIELD("%s", "uint8", "1")), path);
        assert_false(decode(deep, "\1", 1, &told, &err));
        assert_int_equal(err.status, ERR_LIMIT);
}

static void what_is_no_json_is_refused(void **state)
{
        static const char *const bad[] = {"",   "{",        "}",  "\"",
                                          "{]", "{\"a\":1", "\\", "{\"a\\"};
        json_t *root = NULL;
        char *deep = test_calloc(1, 100001);

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;

                assert_false(fields_parse((const uint8_t *)bad[i],
                                          strlen(bad[i]), &root, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
        }
        memset(deep, '[', 100000);
        assert_false(fields_parse((const uint8_t *)deep, 100000, &root,
                                  &(struct err)ERR_INIT));
        test_free(deep);
}

/* A virtio-pci device without MSI-X: one queue, a byte of its own, one
 * subsection. */
static size_t make_virtio(uint8_t *p)
{
        static const uint8_t tail[] = {
                1,    0,   0,   0,                       /* status, isr, sel */
                0,    0,   0,   1,                       /* features         */
                0,    0,   0,   2,   0xaa, 0xbb,         /* config           */
                0,    0,   0,   1,                       /* queues           */
                0,    0,   1,   0,   0,    0,    0,   0, /* num, desc        */
                0,    0,   0,   0,   0,    5,            /* last_avail_idx   */
                0xcc,                                    /* its own          */
                5,    14,  'v', 'i', 'r',  't',  'i', 'o', '/', 's', 't',
                'a',  'r', 't', 'e', 'd',  0,    0,   0,   1,   1,
        };

        memset(p, 0, 4 + 256 + 16);
        p[3] = 2;
        p[4] = 0xf4;
        p[5] = 0x1a;
        p += 4 + 256 + 16;
        memcpy(p, tail, sizeof tail);
        p[sizeof tail - 20] = 14;
        return 4 + 256 + 16 + sizeof tail;
}

static void virtio_is_told_in_parts(void **state)
{
        uint8_t bytes[512];
        size_t len = make_virtio(bytes);
        char device[200];
        struct told told;
        struct err err;

        (void)state;
        snprintf(device, sizeof device,
                 DEVICE(FIELD("virtio", "virtio", "%zu")), len);
        assert_done(decode(device, (char *)bytes, len, &told, &err), &err);
        assert_int_equal(told.end, len);
        assert_non_null(strstr(told.text, "virtio.status=1 "));
        assert_non_null(strstr(told.text, "virtio.config=\"aabb\" "));
        assert_non_null(strstr(told.text, "virtio.vq[0].vring.num=256 "));
        assert_non_null(strstr(told.text, "virtio.vq[0].last_avail_idx=5 "));
        assert_non_null(strstr(told.text, "virtio.device=\"cc\" "));
        assert_non_null(strstr(told.text, "virtio.virtio/started=1 "));
        assert_non_null(strstr(told.text, "virtio.virtio/started.data=1"));
        /* Sizes that cannot be: then it is bytes. */
        bytes[4 + 256 + 16 + 8] = 0xff;
        assert_done(decode(device, (char *)bytes, len, &told, &err), &err);
        assert_memory_equal(told.text, "virtio=\"", 8);
        assert_int_equal(told.end, len);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(numbers_have_their_type_s_sign),
                cmocka_unit_test(unknown_types_are_bytes),
                cmocka_unit_test(arrays_have_indices_however_they_are_told),
                cmocka_unit_test(null_pointers_are_told),
                cmocka_unit_test(pointers_described_as_null_are_not_known),
                cmocka_unit_test(subsections_follow_their_struct),
                cmocka_unit_test(lists_have_a_description_for_each_element),
                cmocka_unit_test(trees_have_numbers_or_structs_as_keys),
                cmocka_unit_test(every_byte_must_be_described),
                cmocka_unit_test(hostile_descriptions_end),
                cmocka_unit_test(what_is_no_json_is_refused),
                cmocka_unit_test(virtio_is_told_in_parts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
