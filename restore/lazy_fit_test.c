/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/test.h"

#include "qemu/postcopy.h"
#include "restore/lazy_fit.h"

/* A snapshot with RAM and one device, as far as it is looked at. */
struct snapshot {
        struct state saved;
        struct device_section list[2];
        uint8_t item[32];
};

static void make(struct snapshot *s, const char *run_state)
{
        memset(s, 0, sizeof *s);
        strcpy(s->list[0].idstr, "ram");
        s->list[0].live = true;
        strcpy(s->list[1].idstr, "timer");
        s->list[1].item = s->item;
        s->list[1].payload = s->item + 20;
        s->list[1].len = 8;
        s->saved.devices.list = s->list;
        s->saved.devices.count = 2;
        s->saved.state = json_object();
        if (run_state)
                json_object_set_new(s->saved.state, "run_state",
                                    json_string(run_state));
}

/* why: part of the reason; NULL: it fits. */
static void judge(struct snapshot *s, const char *why)
{
        char reason[600] = "?";

        lazy_fit_snapshot(&s->saved, reason);
        json_decref(s->saved.state);
        if (!why)
                assert_string_equal(reason, "");
        else if (!strstr(reason, why))
                fail_msg("not '%s': '%s'", why, reason);
}

static void run_states_that_postcopy_keeps(void **state)
{
        struct snapshot s;

        (void)state;
        make(&s, "running");
        judge(&s, NULL);
        make(&s, "paused");
        judge(&s, NULL);
        make(&s, "suspended");
        judge(&s, "the VM was suspended");
        make(&s, "guest-panicked");
        judge(&s, "the VM was guest-panicked");
        make(&s, NULL);
        judge(&s, "a state that is not known");
}

static void the_package_has_a_limit(void **state)
{
        struct snapshot s;
        size_t rest;

        (void)state;
        make(&s, "running");
        rest = postcopy_package(&s.saved.devices, NULL) -
               POSTCOPY_PACKAGE_HEAD - s.list[1].len;
        s.list[1].len = POSTCOPY_PACKAGE_MAX - rest;
        judge(&s, NULL);
        make(&s, "running");
        s.list[1].len = POSTCOPY_PACKAGE_MAX - rest + 1;
        judge(&s, "is more than QEMU takes in one package");
}

static void what_must_be_whole_first(void **state)
{
        struct snapshot s;

        (void)state;
        make(&s, "running");
        s.list[1].live = true;
        strcpy(s.list[1].idstr, "block");
        judge(&s, "section 'block'");
        make(&s, "running");
        s.saved.devices.config.ignore_shared = true;
        judge(&s, "capability");
        make(&s, "running");
        s.saved.devices.config.mapped_ram = true;
        judge(&s, "capability");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(run_states_that_postcopy_keeps),
                cmocka_unit_test(the_package_has_a_limit),
                cmocka_unit_test(what_must_be_whole_first),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
