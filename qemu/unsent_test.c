/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/unsent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HINT "virtio-balloon-device/free-page-report"

static struct ram_block list[] = {
        {.name = "pc.ram", .size = 0x4000000},
        {.name = "vm0", .size = 0x10000000},
};
static const struct ram_blocks blocks = {.blocks = list, .count = 2};

static void no_reason_without_a_device(void **state)
{
        struct unsent *u = unsent_new();

        (void)state;
        unsent_blocks(u, &blocks);
        unsent_section(u, "serial");
        unsent_bytes(u, (const uint8_t *)"\0\0\0\0\x10\0\0\0", 8);
        assert_null(unsent_reason(u, 0));
        assert_null(unsent_reason(u, 1));
        unsent_free(u);
}

static void virtio_mem_explains_its_own_block(void **state)
{
        struct unsent *u = unsent_new();

        (void)state;
        unsent_section(u, "0000:00:03.0/virtio-mem-device-early");
        unsent_blocks(u, &blocks);
        unsent_bytes(u, (const uint8_t *)"xy\0\0\0\0", 6);
        unsent_bytes(u, (const uint8_t *)"\x10\0\0\0z", 5);
        unsent_section(u, "timer");
        assert_null(unsent_reason(u, 0));
        assert_string_equal(unsent_reason(u, 1), "virtio-mem");
        unsent_free(u);
}

static void hints_explain_any_block(void **state)
{
        struct unsent *u = unsent_new();

        (void)state;
        unsent_blocks(u, &blocks);
        unsent_section(u, "0000:00:03.0/virtio-balloon");
        unsent_bytes(u, (const uint8_t *)"no", 2);
        assert_null(unsent_reason(u, 0));
        unsent_section(u, "0000:00:04.0/virtio-balloon");
        unsent_bytes(u, (const uint8_t *)HINT, strlen(HINT));
        assert_string_equal(unsent_reason(u, 0), "free-page-hint");
        unsent_free(u);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(no_reason_without_a_device),
                cmocka_unit_test(virtio_mem_explains_its_own_block),
                cmocka_unit_test(hints_explain_any_block),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
