/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/dump.h"

#include "base/test.h"

/* Single quotes for double ones, so that JSON can be read here. */
static char *json_text(const char *quoted)
{
        char *s = strdup(quoted);

        assert_non_null(s);
        for (char *p = s; *p; p++)
                if (*p == '\'')
                        *p = '"';
        return s;
}

static struct dump *parse(const char *quoted)
{
        struct err err = ERR_INIT;
        char *s = json_text(quoted);
        struct dump *d = NULL;

        assert_done(dump_parse((uint8_t *)s, strlen(s), &d, &err), &err);
        free(s);
        return d;
}

#define FIELD(name, size)                                                      \
        "{'field':'" name "','version_id':0,'field_exists':false,'size':" size \
        "}"
#define STRUCT(field, name, fields)                                            \
        "{'field':'" field "','version_id':0,'field_exists':false,'size':8,"   \
        "'Description':" VMSD(name, "1", "1", fields, "") "}"
#define VMSD(name, version, minimum, fields, subsections)                      \
        "{'name':'" name "','version_id':" version                             \
        ",'minimum_version_id':" minimum ",'Fields':[" fields                  \
        "],'Subsections':[" subsections "]}"
#define TYPE(name, version, minimum, description)                              \
        "'" name "':{'Name':'" name "','version_id':" version                  \
        ",'minimum_version_id':" minimum ",'Description':" description "}"
/* A dump of one type, "dev", whose vmsd is "vm". */
#define DUMP(fields, subsections)                                              \
        "{" TYPE("dev", "2", "1", VMSD("vm", "2", "1", fields, subsections)) "}"

struct told {
        char lines[4096];
};

static void tell(void *arg, const struct dump_finding *f)
{
        struct told *t = arg;
        size_t len = strlen(t->lines);

        snprintf(t->lines + len, sizeof t->lines - len, "%s|%s|%s|%s|%s|%s\n",
                 dump_words(f->kind), f->section, f->vmsd, f->field, f->src,
                 f->dst);
}

struct pair {
        const char *src, *dst, *lines;
};

static void compare(const struct pair *pair)
{
        struct dump *src = parse(pair->src), *dst = parse(pair->dst);
        struct told told = {""};

        dump_compare(src, dst, tell, &told);
        assert_string_equal(told.lines, pair->lines);
        dump_free(src);
        dump_free(dst);
}

static void each_rule_is_told(void **state)
{
        static const struct pair pairs[] = {
                {DUMP(FIELD("a", "4"), ""), DUMP(FIELD("a", "4"), ""), ""},
                {DUMP("", ""), "{}", "device type missing|dev|||dev|\n"},
                {"{'vmschkmachine':{'Name':'pc'}}",
                 "{'vmschkmachine':{'Name':'q35'}}",
                 "other machine type|vmschkmachine|||pc|q35\n"},
                {DUMP(FIELD("a", "4"), ""), DUMP(FIELD("a", "2"), ""),
                 "other size|dev|vm|a|4|2\n"},
                {DUMP(FIELD("a", "4"), ""), DUMP(FIELD("b", "4"), ""),
                 "other field|dev|vm|a|a|b\n"},
                {DUMP(FIELD("a", "4") "," FIELD("b", "4"), ""),
                 DUMP(FIELD("a", "4"), ""), "field missing|dev|vm|b|b|\n"},
                {DUMP("", VMSD("vm/s", "1", "1", "", "")), DUMP("", ""),
                 "subsection missing|dev|vm||vm/s|\n"},
                {DUMP("", ""), DUMP("", VMSD("vm/s", "1", "1", "", "")), ""},
                {DUMP("", VMSD("vm/s", "3", "1", "", "")),
                 DUMP("", VMSD("vm/s", "2", "1", "", "")),
                 "version too new|dev|vm/s||3|2\n"},
                {DUMP(STRUCT("p", "in", FIELD("a", "4")), ""),
                 DUMP(FIELD("p", "8"), ""), "no structure|dev|vm|p|in|\n"},
                {DUMP(STRUCT("p", "in", FIELD("a", "4")), ""),
                 DUMP(STRUCT("p", "in", FIELD("a", "1")), ""),
                 "other size|dev|in|a|4|1\n"},
                {DUMP(STRUCT("p", "in", ""), ""),
                 DUMP(STRUCT("p", "other", ""), ""),
                 "other description|dev|in||in|other\n"},
                {"{" TYPE("dev", "3", "1", VMSD("vm", "3", "1", "", "")) "}",
                 "{" TYPE("dev", "2", "1", VMSD("vm", "2", "1", "", "")) "}",
                 "version too new|dev|||3|2\nversion too new|dev|vm||3|2\n"},
                {"{" TYPE("dev", "1", "1", VMSD("vm", "1", "1", "", "")) "}",
                 "{" TYPE("dev", "3", "2", VMSD("vm", "3", "2", "", "")) "}",
                 "version too old|dev|vm||1|2\n"},
                {DUMP("", ""),
                 "{'dev':{'version_id':2,'minimum_version_id':1}}",
                 "description incomplete|dev|||Description|\n"},
                {DUMP(FIELD("a", "4"), ""),
                 "{'dev':{'version_id':2,'minimum_version_id':1,'Description':"
                 "{'name':'vm','version_id':2,'minimum_version_id':1}}}",
                 "description incomplete|dev|vm||Fields|\n"
                 "description incomplete|dev|vm||Subsections|\n"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
                compare(&pairs[i]);
}

static void renamed_things_are_the_same(void **state)
{
        static const struct pair pairs[] = {
                {"{" TYPE("ICH9 LPC", "1", "1",
                          VMSD("x", "1", "1", "", "")) "}",
                 "{" TYPE("ICH9-LPC", "1", "1",
                          VMSD("x", "1", "1", "", "")) "}",
                 ""},
                {"{" TYPE("e", "1", "1",
                          VMSD("e1000", "1", "1", FIELD("dev", "4"), "")) "}",
                 "{" TYPE("e", "1", "1",
                          VMSD("e1000", "1", "1", FIELD("parent_obj", "4"),
                               "")) "}",
                 ""},
        };

        (void)state;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
                compare(&pairs[i]);
}

/* Structures have no bytes of their own on the wire. */
static void a_structure_around_fields_changes_nothing(void **state)
{
        static const struct pair both_ways[] = {
                {DUMP(FIELD("a", "4") "," FIELD("b", "4") "," FIELD("c", "4"),
                      ""),
                 DUMP(STRUCT("s", "in",
                             FIELD("a", "4") "," FIELD(
                                     "b", "4")) "," FIELD("c", "4"),
                      ""),
                 ""},
                {DUMP(STRUCT("s", "in",
                             FIELD("a", "4") "," FIELD(
                                     "b", "4")) "," FIELD("c", "4"),
                      ""),
                 DUMP(FIELD("a", "4") "," FIELD("b", "4") "," FIELD("c", "4"),
                      ""),
                 ""},
                {DUMP(STRUCT("s", "in", FIELD("a", "4")) "," FIELD("c", "4"),
                      ""),
                 DUMP(FIELD("a", "4") "," FIELD("d", "4"), ""),
                 "other field|dev|vm|c|c|d\n"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof both_ways / sizeof *both_ways; i++)
                compare(&both_ways[i]);
}

static void unused_bytes_balance_fields(void **state)
{
        static const struct pair pairs[] = {
                {DUMP(FIELD("unused", "8") "," FIELD("z", "1"), ""),
                 DUMP(FIELD("a", "4") "," FIELD("b", "4") "," FIELD("z", "1"),
                      ""),
                 ""},
                {DUMP(FIELD("a", "4") "," FIELD("b", "4") "," FIELD("z", "1"),
                      ""),
                 DUMP(FIELD("unused", "8") "," FIELD("z", "1"), ""), ""},
                {DUMP(FIELD("a", "4") "," FIELD("z", "1"), ""),
                 DUMP(FIELD("unused", "4") "," FIELD("z", "1"), ""), ""},
                {DUMP(FIELD("unused", "6") "," FIELD("z", "1"), ""),
                 DUMP(FIELD("a", "4") "," FIELD("b", "4"), ""),
                 "unused bytes do not balance|dev|vm|unused|unused|a\n"},
                {DUMP(FIELD("unused", "6"), ""), DUMP(FIELD("a", "8"), ""),
                 "unused bytes do not balance|dev|vm|unused|unused|a\n"},
                {DUMP(FIELD("a", "4"), ""), DUMP(FIELD("unused", "8"), ""),
                 "unused bytes do not balance|dev|vm|a|a|unused\n"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
                compare(&pairs[i]);
}

static void what_is_no_dump_is_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "[",
                "[]",
                "{'vmschkmachine':{}}",
                "{'dev':{}}",
                "{'dev':{'version_id':'1','minimum_version_id':1}}",
                "{" TYPE("dev", "1", "1", "{}") "}",
                "{" TYPE("dev", "1", "1", "{'name':'x'}") "}",
                "{" TYPE("dev", "1", "1",
                         "{'name':'x','version_id':1,'minimum_version_id':1,"
                         "'Fields':{}}") "}",
                DUMP("{'field':'a'}", ""),
                DUMP("1", ""),
                DUMP("", "{'name':'s'}"),
                DUMP(STRUCT("s", "in", "{}"), ""),
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;
                char *s = json_text(bad[i]);
                struct dump *d = NULL;

                if (dump_parse((uint8_t *)s, strlen(s), &d, &err))
                        fail_msg("accepted: %s", bad[i]);
                assert_int_equal(err.status, ERR_CORRUPT);
                free(s);
        }
}

static void nesting_is_bounded(void **state)
{
        struct err err = ERR_INIT;
        struct dump *d = NULL;
        char text[16384] = "";

        (void)state;
        strcat(text, "{\"dev\":{\"version_id\":1,\"minimum_version_id\":1,"
                     "\"Description\":");
        for (int i = 0; i < 40; i++)
                strcat(text, "{\"name\":\"x\",\"version_id\":1,"
                             "\"minimum_version_id\":1,\"Subsections\":[");
        for (int i = 0; i < 40; i++)
                strcat(text, "]}");
        strcat(text, "}}");
        assert_false(dump_parse((uint8_t *)text, strlen(text), &d, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
}

static void a_vmsd_is_found_by_its_own_name(void **state)
{
        struct dump *d = parse(DUMP(FIELD("a", "4"), ""));
        struct dump_vmsd v;

        (void)state;
        assert_true(dump_find(d, "vm", &v));
        assert_int_equal(v.version, 2);
        assert_int_equal(v.minimum_version, 1);
        assert_int_equal(json_array_size(v.fields), 1);
        assert_false(dump_find(d, "dev", &v));
        assert_string_equal(dump_machine(d), "");
        dump_free(d);
}

/* A device as vmdesc has it against a dump. */
static void check(const char *dump, const char *device, const char *lines)
{
        struct dump *d = parse(dump);
        struct told told = {""};
        char *s = json_text(device);
        json_t *v = json_loads(s, 0, NULL);

        assert_non_null(v);
        assert_true(dump_check(d, "vm", v, tell, &told));
        assert_string_equal(told.lines, lines);
        assert_false(dump_check(d, "none", v, tell, &told));
        json_decref(v);
        free(s);
        dump_free(d);
}

static void a_device_is_checked_against_a_dump(void **state)
{
        const char *dump =
                DUMP(FIELD("a", "4") "," STRUCT(
                             "p", "in", FIELD("x", "1")) "," FIELD("b", "4"),
                     VMSD("vm/s", "2", "2", FIELD("t", "1"), ""));

        (void)state;
        check(dump,
              "{'version':2,'fields':[{'name':'a'},{'name':'p','struct':"
              "{'version':1,'fields':[{'name':'x'}]}},{'name':'b'}],"
              "'subsections':[{'vmsd_name':'vm/s','version':2,"
              "'fields':[{'name':'t'}]}]}",
              "");
        check(dump, "{'version':3}", "version too new|vm|vm||3|2\n");
        check(dump, "{'version':0}", "version too old|vm|vm||0|1\n");
        check(dump, "{'version':2,'subsections':[{'vmsd_name':'vm/new'}]}",
              "subsection missing|vm|vm||vm/new|\n");
        check(dump,
              "{'version':2,'subsections':[{'vmsd_name':'vm/s','version':1}]}",
              "version too old|vm|vm/s||1|2\n");
        check(dump,
              "{'version':2,'fields':[{'name':'a'},{'name':'p','struct':"
              "{'version':1,'fields':[{'name':'x'},{'name':'y'}]}},"
              "{'name':'b'}]}",
              "field missing|vm|in|y|y|\n");
        check(dump,
              "{'version':2,'fields':[{'name':'a'},{'name':'p'},"
              "{'name':'b'},{'name':'c'}]}",
              "field missing|vm|vm|c|c|\n");
}

static void a_renamed_field_is_no_missing_one(void **state)
{
        (void)state;
        check(DUMP(FIELD("a", "4") "," FIELD("new", "4") "," FIELD("c", "4"),
                   ""),
              "{'version':2,'fields':[{'name':'a'},{'name':'old'},"
              "{'name':'c'}]}",
              "");
        check(DUMP(FIELD("a", "4") "," FIELD("c", "4"), ""),
              "{'version':2,'fields':[{'name':'a'},{'name':'old'},"
              "{'name':'c'}]}",
              "field missing|vm|vm|old|old|\n");
}

/* vmdesc numbers names that come twice; brackets may also be part of one. */
static void names_that_come_twice_are_told_apart(void **state)
{
        const char *dump = DUMP(
                STRUCT("p", "one", FIELD("x", "1")) "," STRUCT(
                        "p", "two", FIELD("y", "1")) "," FIELD("b[0].c", "1"),
                "");

        (void)state;
        check(dump,
              "{'version':2,'fields':[{'name':'p[0]','struct':{'version'"
              ":1,'fields':[{'name':'x'}]}},{'name':'p[1]','struct':{"
              "'version':1,'fields':[{'name':'y'}]}},"
              "{'name':'b[0].c'}]}",
              "");
        check(dump,
              "{'version':2,'fields':[{'name':'p[0]'},{'name':'p[1]'},"
              "{'name':'p[2]'},{'name':'b[0].c'}]}",
              "field missing|vm|vm|p[2]|p[2]|\n");
}

static void hostile_descriptions_are_survived(void **state)
{
        static const char *const devices[] = {
                "[]", "{}", "{'fields':1,'subsections':{}}",
                "{'fields':[1,null,{},{'name':7},{'name':'a','struct':[]}]}",
                "{'subsections':[1,{},{'vmsd_name':[]}]}"};
        struct dump *d = parse(DUMP(STRUCT("a", "in", FIELD("x", "1")), ""));

        (void)state;
        for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
                struct told told = {""};
                char *s = json_text(devices[i]);
                json_t *v = json_loads(s, 0, NULL);

                assert_non_null(v);
                assert_true(dump_check(d, "vm", v, tell, &told));
                json_decref(v);
                free(s);
        }
        dump_free(d);
}

static void each_kind_has_a_word_and_a_code(void **state)
{
        (void)state;
        for (int k = DUMP_MACHINE; k <= DUMP_SUBSECTION_MISSING; k++) {
                assert_non_null(dump_words((enum dump_kind)k));
                assert_non_null(dump_code((enum dump_kind)k));
        }
        assert_string_equal(dump_code(DUMP_SUBSECTION_MISSING),
                            "subsection-unknown");
        assert_string_equal(dump_code(DUMP_VERSION), "device-version");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_rule_is_told),
                cmocka_unit_test(renamed_things_are_the_same),
                cmocka_unit_test(a_structure_around_fields_changes_nothing),
                cmocka_unit_test(unused_bytes_balance_fields),
                cmocka_unit_test(what_is_no_dump_is_refused),
                cmocka_unit_test(nesting_is_bounded),
                cmocka_unit_test(a_vmsd_is_found_by_its_own_name),
                cmocka_unit_test(a_device_is_checked_against_a_dump),
                cmocka_unit_test(a_renamed_field_is_no_missing_one),
                cmocka_unit_test(names_that_come_twice_are_told_apart),
                cmocka_unit_test(hostile_descriptions_are_survived),
                cmocka_unit_test(each_kind_has_a_word_and_a_code),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
