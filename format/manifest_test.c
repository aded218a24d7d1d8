/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/manifest.h"

#define GOOD                                                                   \
        "{'format': {'major': 1, 'minor': 0},"                                 \
        " 'features': {'required': ['digest-xxh3-128', 'chunks-zstd'],"        \
        "              'optional': ['anything']},"                             \
        " 'machine': {'type': 'pc-i440fx-7.2'}, 'target_page_size': 4096,"     \
        " 'ram_blocks': ["                                                     \
        "  {'name': 'pc.ram', 'dir': 'ram/pc.ram', 'size': 134217728},"        \
        "  {'name': '/rom@etc/acpi', 'dir': 'ram/%2From@etc%2Facpi',"          \
        "   'size': 4096}]}"

static json_t *parse(const char *text)
{
        json_error_t why;
        char *copy = strdup(text);
        json_t *v;

        for (char *p = copy; *p; p++)
                if (*p == '\'')
                        *p = '"';
        v = json_loads(copy, 0, &why);
        if (!v)
                fail_msg("%s: %s", why.text, copy);
        free(copy);
        return v;
}

static void a_good_manifest_tells_its_blocks(void **state)
{
        json_t *m = parse(GOOD);
        struct err err = ERR_INIT;

        (void)state;
        assert_done(manifest_check(m, &err), &err);
        assert_int_equal(manifest_ram_blocks(m), 2);
        assert_string_equal(manifest_ram_block(m, 1).name, "/rom@etc/acpi");
        assert_string_equal(manifest_ram_block(m, 1).dir,
                            "ram/%2From@etc%2Facpi");
        assert_int_equal(manifest_ram_block(m, 0).size, 134217728);
        assert_true(manifest_requires(m, "chunks-zstd"));
        assert_false(manifest_requires(m, "anything"));
        json_decref(m);
}

/* GOOD with what `path` names set to `value`, or deleted when that is NULL. */
static void expect(const char *path, const char *value, enum status status,
                   const char *says)
{
        json_t *m = parse(GOOD), *at = m;
        struct err err = ERR_INIT;
        const char *last = strrchr(path, '.');
        char parent[64];

        if (last) {
                snprintf(parent, sizeof parent, "%.*s", (int)(last - path),
                         path);
                at = json_at(m, parent);
                path = last + 1;
        }
        if (value) {
                char wrapped[512];
                json_t *holder;

                snprintf(wrapped, sizeof wrapped, "[%s]", value);
                holder = parse(wrapped);
                json_object_set(at, path, json_array_get(holder, 0));
                json_decref(holder);
        } else {
                json_object_del(at, path);
        }
        manifest_check(m, &err);
        if (err.status != status)
                fail_msg("%s = %s: %s (%s)", path, value ? value : "nothing",
                         err_status_name(err.status), err.why);
        if (says)
                assert_non_null(strstr(err.why, says));
        json_decref(m);
}

static void unknown_keys_and_minor_versions_are_no_matter(void **state)
{
        (void)state;
        expect("new", "{'a': 1}", ERR_NONE, NULL);
        expect("format.minor", "99", ERR_NONE, NULL);
        expect("features.optional", "['x', 'y']", ERR_NONE, NULL);
        expect("features.optional", NULL, ERR_NONE, NULL);
        expect("machine", NULL, ERR_NONE, NULL);
}

static void what_is_newer_is_unsupported_not_corrupt(void **state)
{
        (void)state;
        expect("format.major", "2", ERR_UNSUPPORTED, "2");
        expect("features.required", "['digest-xxh3-128', 'delta\\u001b']",
               ERR_UNSUPPORTED, "delta\\x1b");
        expect("features.required", "['digest-sha-256']", ERR_UNSUPPORTED,
               "digest-sha-256");
}

static void values_of_the_wrong_kind_are_corrupt(void **state)
{
        (void)state;
        expect("format", NULL, ERR_CORRUPT, "format.major");
        expect("format", "1", ERR_CORRUPT, "format.major");
        expect("format.major", "'1'", ERR_CORRUPT, "format.major");
        expect("format.major", "0", ERR_CORRUPT, "format.major");
        expect("features.required", NULL, ERR_CORRUPT, "features.required");
        expect("features.required", "[]", ERR_CORRUPT, "digest");
        expect("features.required", "[1]", ERR_CORRUPT, "features.required");
        expect("target_page_size", NULL, ERR_CORRUPT, "target_page_size");
        expect("target_page_size", "4097", ERR_CORRUPT, "target_page_size");
        expect("target_page_size", "-4096", ERR_CORRUPT, "target_page_size");
        expect("target_page_size", "131072", ERR_CORRUPT, "target_page_size");
        expect("ram_blocks", NULL, ERR_CORRUPT, "ram_blocks");
        expect("ram_blocks", "{}", ERR_CORRUPT, "ram_blocks");
        expect("ram_blocks", "[1]", ERR_CORRUPT, "ram_blocks");
        expect("ram_blocks", "[{'name': 'a', 'dir': 'ram/a'}]", ERR_CORRUPT,
               "size");
        expect("ram_blocks", "[{'name': 'a', 'dir': 'ram/a', 'size': 0}]",
               ERR_CORRUPT, "size");
        expect("ram_blocks", "[{'name': 'a', 'dir': 'ram/a', 'size': -1}]",
               ERR_CORRUPT, "size");
        expect("ram_blocks", "[{'name': 'a', 'dir': 'ram/b', 'size': 1}]",
               ERR_CORRUPT, "dir");
        expect("ram_blocks",
               "[{'name': 'a', 'dir': 'ram/a', 'size': 1},"
               " {'name': 'a', 'dir': 'ram/a', 'size': 1}]",
               ERR_CORRUPT, "twice");
}

static void sizes_above_the_limits_are_told_as_such(void **state)
{
        (void)state;
        expect("ram_blocks",
               "[{'name': 'a', 'dir': 'ram/a', 'size': 70368744177664}]",
               ERR_NONE, NULL);
        expect("ram_blocks",
               "[{'name': 'a', 'dir': 'ram/a', 'size': 70368744177665}]",
               ERR_LIMIT, NULL);
        expect("ram_blocks",
               "[{'name': 'a', 'dir': 'ram/a', 'size': 70368744177664},"
               " {'name': 'b', 'dir': 'ram/b', 'size': 1}]",
               ERR_LIMIT, NULL);
        expect("ram_blocks",
               "[{'name': 'a', 'dir': 'ram/a', 'size': 9223372036854775807},"
               " {'name': 'b', 'dir': 'ram/b', 'size': 9223372036854775807}]",
               ERR_LIMIT, NULL);
}

static void too_many_blocks_are_a_limit(void **state)
{
        json_t *m = parse(GOOD), *list = json_at(m, "ram_blocks");
        struct err err = ERR_INIT;

        (void)state;
        for (int i = 0; i < 5000; i++)
                json_array_append_new(list, json_object());
        assert_false(manifest_check(m, &err));
        assert_int_equal(err.status, ERR_LIMIT);
        json_decref(m);
}

static void a_state_tells_absent_ranges_whole(void **state)
{
        static const struct {
                const char *text;
                bool good;
        } rows[] = {
                {"{}", true},
                {"{'absent': []}", true},
                {"{'absent': [{'block': 'a', 'offset': 0, 'length': 1}]}",
                 true},
                {"{'absent': [{'block': 'a', 'offset': 0, 'length': 0}]}",
                 false},
                {"{'absent': [{'block': 'a', 'offset': -1, 'length': 1}]}",
                 false},
                {"{'absent': [{'offset': 0, 'length': 1}]}", false},
                {"{'absent': [1]}", false},
                {"[]", false},
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                json_t *s = parse(rows[i].text);
                struct err err = ERR_INIT;

                assert_int_equal(state_check(s, &err), rows[i].good);
                json_decref(s);
        }
}

static void paths_lead_into_objects(void **state)
{
        json_t *m = parse("{'a': {'b': {'c': 'x'}, 'n': 5}, 's': 'y'}");

        (void)state;
        assert_string_equal(json_text(m, "a.b.c"), "x");
        assert_string_equal(json_text(m, "s"), "y");
        assert_null(json_text(m, "a.n"));
        assert_null(json_text(m, "a.b"));
        assert_null(json_text(m, "s.t"));
        assert_null(json_text(m, "z.b.c"));
        assert_int_equal(json_integer_value(json_at(m, "a.n")), 5);
        json_decref(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_good_manifest_tells_its_blocks),
                cmocka_unit_test(unknown_keys_and_minor_versions_are_no_matter),
                cmocka_unit_test(what_is_newer_is_unsupported_not_corrupt),
                cmocka_unit_test(values_of_the_wrong_kind_are_corrupt),
                cmocka_unit_test(sizes_above_the_limits_are_told_as_such),
                cmocka_unit_test(too_many_blocks_are_a_limit),
                cmocka_unit_test(a_state_tells_absent_ranges_whole),
                cmocka_unit_test(paths_lead_into_objects),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
