/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "format/order.h"

#define M "stasis/manifest.json"
#define S "stasis/state.json"

static void orders_are_judged_as_the_spec_says(void **state)
{
        static const struct {
                bool good;
                const char *names[6];
        } rows[] = {
                {true, {M, S}},
                {true, {M, "ram/a/0", "ram/a/0", "stasis/vmdesc.json", S}},
                {true, {M, "stasis/index.000000", "stasis/index.000001", S}},
                {true, {M, "stasis/index.000000", S, "stasis/index.000001"}},
                {true, {M, "other/thing", "stasis/other", S}},
                {false, {S}},
                {false, {"ram/a/0", M, S}},
                {false, {M, M, S}},
                {false, {M, S, S}},
                {false, {M, S, "ram/a/0"}},
                {false, {M, S, "other/thing"}},
                {false, {M, "stasis/index", S}},
                {false, {M, "stasis/trailer", S}},
                {false, {M, "stasis/index.000001", S}},
                {false, {M, "stasis/index.0", S}},
                {false, {M, "stasis/index.000000", "stasis/index.000000", S}},
                {false, {M, "ram/a/0"}}, /* no state */
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct err err = ERR_INIT;
                struct order o = {0};
                bool good = true;

                for (size_t n = 0; good && n < 6 && rows[i].names[n]; n++)
                        good = order_take(&o, rows[i].names[n], &err);
                good = good && order_end(&o, &err);
                if (good != rows[i].good)
                        fail_msg("row %zu: %s", i, err.why);
                assert_int_equal(err.status, good ? ERR_NONE : ERR_CORRUPT);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(orders_are_judged_as_the_spec_says),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
