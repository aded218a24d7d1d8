/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include <errno.h>

static void first_failure_wins(void **state)
{
        struct err err = ERR_INIT;
        char line[256];

        (void)state;
        assert_false(err_set(&err, ERR_CORRUPT, "first %d", 1));
        assert_false(err_set(&err, ERR_IO, "second"));
        assert_false(err_os(&err, ENOSPC, "third"));
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_int_equal(err.os, 0);
        assert_string_equal(err_line(&err, line, sizeof line), "first 1");
}

static void line_names_file_step_section_offset_field_and_reason(void **state)
{
        struct err err = ERR_INIT;
        char line[256];

        (void)state;
        err_set(&err, ERR_CORRUPT, "must be 0");
        err_at(&err, 0x4c);
        err_in_section(&err, "index");
        err_in_section(&err, "outer");
        err_doing(&err, "restoring %s", "RAM");
        err_doing(&err, "something else");
        err_in_file(&err, "web01.stasis");
        snprintf(err.field, sizeof err.field, "flags");
        assert_string_equal(
                err_line(&err, line, sizeof line),
                "web01.stasis: restoring RAM: index at 0x4c: flags: "
                "must be 0");
}

static void system_errors_carry_errno_and_its_words(void **state)
{
        struct err err = ERR_INIT;
        char line[256];

        (void)state;
        err_os(&err, ENOSPC, "write");
        assert_int_equal(err.status, ERR_IO);
        assert_int_equal(err.os, ENOSPC);
        assert_string_equal(err_line(&err, line, sizeof line),
                            "write: No space left on device");
}

static void a_long_reason_is_cut_not_overrun(void **state)
{
        struct err err = ERR_INIT;
        char text[2000], line[64];

        (void)state;
        memset(text, 'x', sizeof text);
        text[sizeof text - 1] = '\0';
        err_set(&err, ERR_IO, "%s", text);
        err_in_file(&err, text);
        assert_int_equal(strlen(err.why), sizeof err.why - 1);
        assert_int_equal(strlen(err_line(&err, line, sizeof line)),
                         sizeof line - 1);
}

static void each_status_has_a_name_and_its_promised_exit_code(void **state)
{
        static const struct {
                enum status status;
                int code;
                const char *name;
        } table[] = {
                {ERR_NONE, 0, "none"},
                {ERR_IO, 1, "io"},
                {ERR_NOMEM, 1, "nomem"},
                {ERR_CANCELLED, 1, "cancelled"},
                {ERR_QEMU, 1, "qemu"},
                {ERR_USAGE, 2, "usage"},
                {ERR_TRUNCATED, 3, "truncated"},
                {ERR_CORRUPT, 3, "corrupt"},
                {ERR_UNSUPPORTED, 4, "unsupported"},
                {ERR_LIMIT, 4, "limit"},
                {ERR_MISMATCH, 4, "mismatch"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
                struct err err = {.status = table[i].status};

                assert_int_equal(err_exit_code(&err), table[i].code);
                assert_string_equal(err_status_name(table[i].status),
                                    table[i].name);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(first_failure_wins),
                cmocka_unit_test(
                        line_names_file_step_section_offset_field_and_reason),
                cmocka_unit_test(system_errors_carry_errno_and_its_words),
                cmocka_unit_test(a_long_reason_is_cut_not_overrun),
                cmocka_unit_test(
                        each_status_has_a_name_and_its_promised_exit_code),
        };

        return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
