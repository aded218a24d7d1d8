/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/passes.h"

#include "base/io.h"
#include "base/test.h"

#include <unistd.h>

#define PAGE 4096U

static struct ram_block list[2] = {{.name = "pc.ram", .size = 64 * PAGE},
                                   {.name = "a \"b\"", .size = 8 * PAGE}};
static const struct ram_blocks blocks = {.blocks = list, .count = 2};

static void send(struct passes *p, unsigned block, unsigned from, unsigned to)
{
        struct err err = ERR_INIT;

        for (unsigned i = from; i <= to; i++)
                assert_true(passes_page(p, block, (uint64_t)i * PAGE, PAGE,
                                        PAGE, &err));
}

static struct passes *begin(bool log)
{
        struct err err = ERR_INIT;
        struct passes *p;

        assert_true(passes_new(log, NULL, &p, &err));
        passes_blocks(p, &blocks);
        send(p, 0, 0, 63);
        send(p, 1, 0, 7);
        return p;
}

static void a_pass_ends_where_addresses_begin_again(void **state)
{
        struct passes *p = begin(false);
        struct err err = ERR_INIT;
        json_t *j;

        (void)state;
        assert_int_equal(passes_count(p), 1);
        send(p, 0, 10, 12);
        send(p, 1, 3, 3);
        assert_int_equal(passes_count(p), 2);
        send(p, 1, 3, 3);
        assert_int_equal(passes_count(p), 3);
        send(p, 0, 63, 63);
        assert_true(passes_end(p, &err));
        assert_int_equal(passes_count(p), 4);
        assert_int_equal(passes_pages(p, 1), 72);
        assert_int_equal(passes_pages(p, 2), 4);
        assert_int_equal(passes_pages(p, 4), 1);
        j = passes_json(p);
        assert_int_equal(json_array_size(j), 4);
        json_decref(j);
        passes_free(p);
}

static void the_log_has_runs_of_pages(void **state)
{
        struct passes *p = begin(true);
        struct err err = ERR_INIT;
        char *text;
        size_t len;

        (void)state;
        send(p, 0, 10, 12);
        send(p, 0, 14, 14);
        send(p, 1, 0, 1);
        send(p, 0, 11, 11);
        assert_true(passes_end(p, &err));
        assert_true(passes_write_log(p, "log.csv", &err));
        assert_true(io_read_file("log.csv", 4096, &text, &len, &err));
        assert_string_equal(text, "pass,block,offset,pages\n"
                                  "2,\"pc.ram\",0xa000,3\n"
                                  "2,\"pc.ram\",0xe000,1\n"
                                  "2,\"a \"\"b\"\"\",0x0,2\n"
                                  "3,\"pc.ram\",0xb000,1\n");
        free(text);
        passes_free(p);
}

static double seconds_at(const json_t *workload, size_t n)
{
        return json_number_value(json_object_get(
                json_array_get(json_object_get(workload, "migrations"), n),
                "seconds"));
}

/* 72 pages in the first pass; 64 pages 20 ms later: 13 MB/s and less, which
 * any of the rates outruns. */
static void a_rate_and_what_it_means_are_told(void **state)
{
        struct passes *p = begin(false);
        struct err err = ERR_INIT;
        json_t *j;

        (void)state;
        usleep(20000);
        send(p, 0, 0, 63);
        assert_true(passes_end(p, &err));
        j = passes_workload(p);
        assert_in_range(
                json_integer_value(json_object_get(j, "bytes_per_second")), 1,
                64 * PAGE * 50);
        assert_true(seconds_at(j, 0) > seconds_at(j, 2));
        assert_true(seconds_at(j, 2) > 0);
        json_decref(j);
        passes_free(p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_pass_ends_where_addresses_begin_again),
                IN_DIR(the_log_has_runs_of_pages),
                cmocka_unit_test(a_rate_and_what_it_means_are_told),
        };

        return cmocka_run_group_tests_name("save/passes", tests, NULL, NULL);
}
