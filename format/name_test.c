/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/name.h"

static void components_are_spelled_as_the_spec_says(void **state)
{
        static const char *const pairs[][2] = {
                {"pc.ram", "pc.ram"},
                {"/rom@etc/acpi/tables", "%2From@etc%2Facpi%2Ftables"},
                {"0000:00:03.0/virtio-net", "0000:00:03.0%2Fvirtio-net"},
                {".", "%2E"},
                {"..", "%2E."},
                {"a.b", "a.b"},
                {"100%", "100%25"},
                {"a b\n\x7f", "a%20b%0A%7F"},
                {"\xc3\xa9", "%C3%A9"},
        };
        char out[NAME_COMPONENT_MAX];

        (void)state;
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
                assert_string_equal(name_component(pairs[i][0], out),
                                    pairs[i][1]);
}

/* Two that differ only behind the cut must not fall together. */
static void long_components_are_cut_and_stay_unique(void **state)
{
        char foreign[400], a[NAME_COMPONENT_MAX], b[NAME_COMPONENT_MAX];

        (void)state;
        memset(foreign, 'x', sizeof foreign);
        foreign[180] = '\0';
        assert_int_equal(strlen(name_component(foreign, a)), 180);
        foreign[180] = 'x';
        foreign[300] = '\0';
        assert_int_equal(strlen(name_component(foreign, a)), 197);
        assert_int_equal(a[180], '~');
        foreign[299] = 'y';
        name_component(foreign, b);
        assert_memory_equal(a, b, 181);
        assert_string_not_equal(a, b);
        /* An escape is cut before, never through. */
        foreign[179] = '/';
        name_component(foreign, b);
        assert_int_equal(b[179], '~');
}

static void what_is_made_parses(void **state)
{
        struct err err = ERR_INIT;
        char dir[512], member[600];
        struct name n;

        (void)state;
        name_stream_dir(34, "full", "0000:00:03.0/virtio-net", dir);
        snprintf(member, sizeof member, "%s/0000000000100000.zst", dir);
        assert_done(name_parse(member, &n, &err), &err);
        assert_int_equal(n.class, NAME_STREAM);
        assert_string_equal(n.dir, dir);
        assert_string_equal(n.kind, "full");
        assert_int_equal(n.item, 34);
        assert_int_equal(n.address, 0x100000);
        assert_true(n.zst);

        name_stream_dir(0, "header", "", dir);
        assert_string_equal(dir, "stream/000000.header");
        snprintf(member, sizeof member, "%s/0000000000000000", dir);
        assert_done(name_parse(member, &n, &err), &err);
        assert_string_equal(n.kind, "header");
        assert_false(n.zst);

        name_ram_dir("/rom@etc/table-loader", dir);
        snprintf(member, sizeof member, "%s/ffffffffffffffff", dir);
        assert_done(name_parse(member, &n, &err), &err);
        assert_int_equal(n.class, NAME_RAM);
        assert_true(n.address == UINT64_MAX);
}

static void other_classes_are_told_apart(void **state)
{
        static const struct {
                const char *member;
                enum name_class class;
                bool zeros;
        } rows[] = {
                {"stasis/manifest.json", NAME_STASIS, false},
                {"stasis/what/ever.zst", NAME_STASIS, false},
                {"disk/drive0/zeros", NAME_DISK, true},
                {"disk/drive0/0000000000000200", NAME_DISK, false},
                {"notes/readme", NAME_UNKNOWN, false},
                {"ram", NAME_UNKNOWN, false},
                {"stasis", NAME_UNKNOWN, false},
        };
        struct err err = ERR_INIT;
        struct name n;

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                assert_done(name_parse(rows[i].member, &n, &err), &err);
                assert_int_equal(n.class, rows[i].class);
                assert_int_equal(n.zeros, rows[i].zeros);
        }
}

static void names_outside_the_grammar_are_refused(void **state)
{
        static const char *const names[] = {
                "ram/",
                "ram/pc.ram",
                "ram//0000000000000000",
                "ram/pc.ram/",
                "ram/pc.ram/000000000000000",
                "ram/pc.ram/00000000000000000",
                "ram/pc.ram/000000000000000A",
                "ram/pc.ram/000000000000000g",
                "ram/pc.ram/0000000000000000.gz",
                "ram/pc.ram/0000000000000000.zst ",
                "ram/pc.ram/zeros",
                "ram/a/b/0000000000000000",
                "ram/../0000000000000000",
                "ram/.hidden/0000000000000000",
                "ram/%2/0000000000000000",
                "ram/%2f/0000000000000000",
                "ram/%/0000000000000000",
                "ram/a b/0000000000000000",
                "ram/a\nb/0000000000000000",
                "notes/a\nb",
                "notes/\x1b[2J",
                "stasis/\xff",
                "stream/0000000000000000",
                "stream/00000.full/0000000000000000",
                "stream/00000x.full/0000000000000000",
                "stream/000000/0000000000000000",
                "stream/000000./0000000000000000",
                "stream/000000..timer/0000000000000000",
                "stream/000000.full./0000000000000000",
        };
        struct name n;

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                struct err err = ERR_INIT;

                if (name_parse(names[i], &n, &err))
                        fail_msg("accepted: %s", names[i]);
                assert_int_equal(err.status, ERR_CORRUPT);
        }
}

static void components_give_their_names_back(void **state)
{
        static const char *const names[] = {"drive0", "/machine/x%", ".hidden",
                                            "\xc3\xa4 b", "a~0123456789abcdef"};
        char component[NAME_COMPONENT_MAX], again[NAME_COMPONENT_MAX];
        char name[200];

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                name_component(names[i], component);
                assert_true(name_foreign(component, again));
                assert_string_equal(again, names[i]);
        }
        memset(name, 'x', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        name_component(name, component);
        assert_false(name_foreign(component, again));
        assert_false(name_foreign("%41", again)); /* nobody writes A so */
        assert_false(name_foreign("%4", again));
        assert_false(name_foreign("", again));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(components_give_their_names_back),
                cmocka_unit_test(components_are_spelled_as_the_spec_says),
                cmocka_unit_test(long_components_are_cut_and_stay_unique),
                cmocka_unit_test(what_is_made_parses),
                cmocka_unit_test(other_classes_are_told_apart),
                cmocka_unit_test(names_outside_the_grammar_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
