/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "base/log.h"

static void collect(void *arg, enum log_level level, const char *module,
                    const char *text)
{
        char *out = arg;

        sprintf(out + strlen(out), "%d|%s|%s\n", (int)level, module, text);
}

static void records_reach_the_sink_with_their_level(void **state)
{
        char got[256] = "";

        (void)state;
        log_warn("nobody listens yet");
        log_set_sink(collect, got);
        log_warn("disk %d", 1);
        log_note("noted");
        log_set_sink(NULL, NULL);
        assert_string_equal(got, "2||disk 1\n1||noted\n");
}

static void debug_is_per_module(void **state)
{
        char got[256] = "";

        (void)state;
        log_set_sink(collect, got);
        log_debug("ram", "off by default");
        log_set_debug("qmp,ram");
        log_debug("ram", "on");
        log_debug("ra", "a prefix is another module");
        log_debug("index", "not named");
        log_set_debug("all");
        log_debug("index", "everything");
        log_set_debug(NULL);
        log_set_sink(NULL, NULL);
        assert_string_equal(got, "0|ram|on\n0|index|everything\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(records_reach_the_sink_with_their_level),
                cmocka_unit_test(debug_is_per_module),
        };

        return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
