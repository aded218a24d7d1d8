/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/text.h"

static void what_could_drive_a_terminal_is_escaped(void **state)
{
        static const struct {
                const char *in, *out;
        } table[] = {
                {"pc.ram", "pc.ram"},
                {"", ""},
                {"a\\b", "a\\x5cb"},
                {"\x1b[31m", "\\x1b[31m"},
                {"line\nfeed\t\x7f", "line\\x0afeed\\x09\\x7f"},
                {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x84",
                 "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x90\x84"},
                /* C1 control, overlong '/', surrogate, beyond Unicode */
                {"\xc2\x9b", "\\xc2\\x9b"},
                {"\xc0\xaf", "\\xc0\\xaf"},
                {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
                {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
                {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},
                /* cut sequence; right-to-left override */
                {"\xe2\x82", "\\xe2\\x82"},
                {"\xe2\x80\xae", "\\xe2\\x80\\xae"},
        };
        char out[128];

        (void)state;
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
                assert_string_equal(text_escape(table[i].in, out, sizeof out),
                                    table[i].out);
}

static void long_names_are_cut_between_characters(void **state)
{
        char out[10];

        (void)state;
        assert_string_equal(text_escape("123456789", out, sizeof out),
                            "123456789");
        assert_string_equal(text_escape("1234567890", out, sizeof out),
                            "123456...");
        assert_string_equal(
                text_escape("1234\xe2\x82\xac\xe2\x82\xac", out, sizeof out),
                "1234...");
        assert_string_equal(text_escape("12345\x01\x01", out, sizeof out),
                            "12345...");
        for (size_t size = 4; size <= sizeof out; size++) {
                text_escape("\x01\xe2\x82\xac\x01xyz\x01", out, size);
                assert_true(strlen(out) < size);
        }
}

static void sizes_read_well(void **state)
{
        char out[32];

        (void)state;
        assert_string_equal(text_bytes(0, out, sizeof out), "0 bytes");
        assert_string_equal(text_bytes(1023, out, sizeof out), "1023 bytes");
        assert_string_equal(text_bytes(1024, out, sizeof out), "1.0 KiB");
        assert_string_equal(text_bytes(1048575, out, sizeof out), "1.0 MiB");
        assert_string_equal(text_bytes(1825361100, out, sizeof out), "1.7 GiB");
        assert_string_equal(text_bytes(UINT64_MAX, out, sizeof out),
                            "16.0 EiB");
}

/* The oracle is the shell itself. */
static void the_shell_reads_quoted_words_back(void **state)
{
        static const char *const words[] = {
                "plain",
                "",
                "two words",
                "it's",
                "$HOME `id` \"x\" \\ * ~",
                "a\nb",
                "-drive",
                "file=/a,if=virtio",
                "#x",
                "\xff\xfe",
        };

        (void)state;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                char *quoted = text_shell_quote(words[i]), *command;
                char got[64];
                size_t n;
                FILE *sh;

                assert_true(asprintf(&command, "printf %%s %s", quoted) > 0);
                sh = popen(command, "r");
                n = fread(got, 1, sizeof got - 1, sh);
                assert_int_equal(pclose(sh), 0);
                got[n] = '\0';
                assert_string_equal(got, words[i]);
                free(command);
                free(quoted);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_could_drive_a_terminal_is_escaped),
                cmocka_unit_test(long_names_are_cut_between_characters),
                cmocka_unit_test(sizes_read_well),
                cmocka_unit_test(the_shell_reads_quoted_words_back),
        };

        return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
