/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* In: two words of a command line; out: what may be shown of them. */
static const struct {
        const char *option, *value, *shown;
} cases[] = {
        {"-object", "secret,id=s0,data=hunter2,format=raw",
         "secret,id=s0,data=<redacted>,format=raw"},
        {"-object", "secret,id=s0,data=with,,comma",
         "secret,id=s0,data=<redacted>"},
        {"-object", "qom-type=secret,id=s0,data=hunter2",
         "qom-type=secret,id=s0,data=<redacted>"},
        {"-object", "secret,id=s0,file=/etc/key", "secret,id=s0,file=/etc/key"},
        {"-object",
         "{\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"hunter2\"}",
         "{\"qom-type\":\"secret\",\"id\":\"s\",\"data\":\"<redacted>\"}"},
        {"-spice", "port=5900,password=hunter2,seamless-migration=on",
         "port=5900,password=<redacted>,seamless-migration=on"},
        {"-vnc", ":0,password=on", ":0,password=on"},
        {"-blockdev", "driver=iscsi,password-secret=s0,node-name=n",
         "driver=iscsi,password-secret=s0,node-name=n"},
        {"-blockdev", "driver=raw,file.password=hunter2",
         "driver=raw,file.password=<redacted>"},
        {"-blockdev", "{\"driver\":\"raw\",\"file\":{\"cookie\":\"hunter2\"}}",
         "{\"driver\":\"raw\",\"file\":{\"cookie\":\"<redacted>\"}}"},
        {"-drive", "file=ssh://me:hunter2@host/disk.img,if=virtio",
         "file=ssh://me:*******@host/disk.img,if=virtio"},
        {"-drive", "file=json:{\"password\":\"hunter2\"},,x,if=virtio",
         "file=<redacted>,if=virtio"},
        {"-append", "root=/dev/vda token=hunter2", "<redacted>"},
        {"--append", "token=hunter2", "<redacted>"},
        {"-fw_cfg", "name=opt/x,string=hunter2",
         "name=opt/x,string=<redacted>"},
        {"-smbios", "type=11,value=io.systemd.credential:x=hunter2",
         "type=11,value=<redacted>"},
        {"-device", "isa-applesmc,osk=hunter2", "isa-applesmc,osk=<redacted>"},
        {"-device", "{not json hunter2", "<redacted>"},
        {"-m", "512", "512"},
        {"-device", "virtio-blk-pci,drive=d0,id=a",
         "virtio-blk-pci,drive=d0,id=a"},
        {"-drive", "file=/data/a,,b.qcow2,if=virtio",
         "file=/data/a,,b.qcow2,if=virtio"},
        {"-netdev", "user,id=n,hostfwd=tcp::2222-:22",
         "user,id=n,hostfwd=tcp::2222-:22"},
};

static void each_secret_goes_and_the_rest_stays(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_auto_t *argv = json_pack("[s,s,s]", cases[i].option,
                                              cases[i].value, "-S");

                assert_true(redact_argv(argv));
                assert_string_equal(json_string_value(json_array_get(argv, 1)),
                                    cases[i].shown);
                assert_string_equal(json_string_value(json_array_get(argv, 0)),
                                    cases[i].option);
                assert_string_equal(json_string_value(json_array_get(argv, 2)),
                                    "-S");
        }
}

static void what_is_no_argv_is_not_passed_for_clean(void **state)
{
        json_auto_t *no_strings = json_pack("[s,i]", "qemu", 7);
        json_auto_t *no_array = json_pack("{}");

        (void)state;
        assert_false(redact_argv(no_strings));
        assert_false(redact_argv(no_array));
        assert_false(redact_argv(NULL));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_secret_goes_and_the_rest_stays),
                cmocka_unit_test(what_is_no_argv_is_not_passed_for_clean),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
