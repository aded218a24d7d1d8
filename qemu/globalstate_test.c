/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/globalstate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "\4\0\0\0\1\013globalstate\0\0\0\0\0\0\0\1"

static const char *state_of(const char *section, size_t len, char out[32])
{
        uint8_t bytes[256] = {0};

        memcpy(bytes, section, len);
        globalstate_run_state(bytes, sizeof bytes, out);
        return out;
}

static void recorded_state_is_found(void **state)
{
        static const char paused[] = HEAD "\0\0\0\7paused";
        static const char shut[] = HEAD "\0\0\0\011shutdown";
        char out[32];

        (void)state;
        assert_string_equal(state_of(paused, sizeof paused, out), "paused");
        assert_string_equal(state_of(shut, sizeof shut, out), "shutdown");
}

static void nothing_sensible_is_running(void **state)
{
        static const char odd[] = HEAD "\0\0\0\7\033[31m";
        char out[32];

        (void)state;
        globalstate_run_state(NULL, 0, out);
        assert_string_equal(out, "running");
        assert_string_equal(state_of(odd, sizeof odd, out), "running");
        assert_string_equal(state_of(HEAD, sizeof HEAD - 1, out), "running");
        globalstate_run_state((const uint8_t *)HEAD "\0\0\0\7pau",
                              sizeof HEAD + 6, out);
        assert_string_equal(out, "running");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(recorded_state_is_found),
                cmocka_unit_test(nothing_sensible_is_running),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
