/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/recorded.h"

#include "base/test.h"

/* The command made of argv, joined by spaces; the status when refused. */
static enum status make(json_t *argv, const char *qemu, char out[512])
{
        json_t *manifest = json_pack("{s:{s:o}}", "vm", "argv", argv);
        struct err err = ERR_INIT;
        char **command = NULL;

        out[0] = '\0';
        if (recorded_command(manifest, qemu, &command, &err))
                for (size_t i = 0; command[i]; i++)
                        snprintf(out + strlen(out), 512 - strlen(out), "%s%s",
                                 i ? " " : "", command[i]);
        free(command);
        json_decref(manifest);
        return err.status;
}

static void binary_is_found_by_its_name(void **state)
{
        char out[512];

        (void)state;
        assert_int_equal(
                make(json_pack("[s, s, s]", "/opt/old/qemu", "-m", "64"), NULL,
                     out),
                ERR_NONE);
        assert_string_equal(out, "qemu -m 64");
        make(json_pack("[s, s]", "/opt/old/qemu", "-S"), "/bin/new", out);
        assert_string_equal(out, "/bin/new");
}

static void what_belonged_to_that_run_is_dropped(void **state)
{
        char out[512];

        (void)state;
        assert_int_equal(
                make(json_pack("[s, s, s, s, s, s, s, s, s]", "qemu", "-S",
                               "-incoming", "defer", "--daemonize", "-pidfile",
                               "/run/x.pid", "-m", "64"),
                     NULL, out),
                ERR_NONE);
        assert_string_equal(out, "qemu -m 64");
}

static void descriptors_cannot_come_back(void **state)
{
        static const char *const args[] = {"tap,fd=7,id=n0",
                                           "tap,fds=7:8",
                                           "tap,vhostfd=9",
                                           "file=/dev/fdset/2",
                                           "-add-fd",
                                           "fd:5",
                                           "socket,id=m,fd=3,server=on"};
        char out[512];

        (void)state;
        for (size_t i = 0; i < sizeof args / sizeof *args; i++)
                assert_int_equal(
                        make(json_pack("[s, s]", "qemu", args[i]), NULL, out),
                        ERR_MISMATCH);
        /* Names that only look like it. */
        assert_int_equal(make(json_pack("[s, s, s]", "qemu", "-drive",
                                        "file=/srv/fd=x.img,id=hdfd"),
                              NULL, out),
                         ERR_NONE);
}

static void without_a_command_line_there_is_none(void **state)
{
        char out[512];

        (void)state;
        assert_int_equal(make(json_array(), NULL, out), ERR_MISMATCH);
        assert_int_equal(make(json_null(), NULL, out), ERR_MISMATCH);
        assert_int_equal(make(json_pack("[s, i]", "qemu", 7), NULL, out),
                         ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(binary_is_found_by_its_name),
                cmocka_unit_test(what_belonged_to_that_run_is_dropped),
                cmocka_unit_test(descriptors_cannot_come_back),
                cmocka_unit_test(without_a_command_line_there_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
