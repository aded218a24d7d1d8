/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "restore/answer_times.h"

static void percentiles_are_a_quarter_too_large_at_most(void **state)
{
        struct answer_times t = {0};

        (void)state;
        assert_int_equal(answer_times_percentile(&t, 50), 0);
        for (unsigned us = 1; us <= 10000; us++)
                answer_times_add(&t, us);
        assert_int_equal(t.count, 10000);
        assert_int_equal(t.max_us, 10000);
        for (unsigned percent = 1; percent <= 100; percent++) {
                unsigned got = answer_times_percentile(&t, percent);

                assert_in_range(got, 100 * percent, 125 * percent);
        }
        assert_int_equal(answer_times_percentile(&t, 100), 10000);
}

static void no_time_is_too_long(void **state)
{
        struct answer_times t = {0};

        (void)state;
        answer_times_add(&t, 3);
        answer_times_add(&t, UINT64_MAX);
        assert_int_equal(answer_times_percentile(&t, 50), 3);
        assert_int_equal(t.max_us, UINT32_MAX);
        assert_int_equal(answer_times_percentile(&t, 99), UINT32_MAX);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(percentiles_are_a_quarter_too_large_at_most),
                cmocka_unit_test(no_time_is_too_long),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
