/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/exclusive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void a_second_claim_fails_until_the_first_is_gone(void **state)
{
        struct err err = ERR_INIT;
        int first = -1, second = -1;

        (void)state;
        assert_true(exclusive_claim(getpid(), 7, &first, &err));
        assert_false(exclusive_claim(getpid(), 7, &second, &err));
        assert_int_equal(err.status, ERR_QEMU);
        assert_int_equal(second, -1);
        close(first);
        err_clear(&err);
        assert_true(exclusive_claim(getpid(), 7, &second, &err));
        close(second);
}

static void a_number_that_came_again_is_another_process(void **state)
{
        struct err err = ERR_INIT;
        int first = -1, second = -1;

        (void)state;
        assert_true(exclusive_claim(getpid(), 7, &first, &err));
        assert_true(exclusive_claim(getpid(), 8, &second, &err));
        close(first);
        close(second);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_second_claim_fails_until_the_first_is_gone),
                cmocka_unit_test(a_number_that_came_again_is_another_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
