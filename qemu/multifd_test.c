/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/multifd.h"

#include "base/test.h"

#define PAGE    4096U
#define PER     (MULTIFD_PAGES_BYTES / PAGE)
#define HEADER  (320 + 8 * PER)
#define BLOCK   "pc.ram"
#define BLOCKSZ (64ULL << 20)

static struct ram_block list[] = {
        {.name = BLOCK, .size = BLOCKSZ},
        {.name = "odd", .size = 0x1800},
};
static const struct ram_blocks blocks = {.blocks = list, .count = 2};

static void put32(uint8_t *p, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
        put32(p, (uint32_t)(v >> 32));
        put32(p + 4, (uint32_t)v);
}

/* A sound packet of two pages and one of zeros. */
static void make(uint8_t head[HEADER])
{
        memset(head, 0, HEADER);
        put32(head, 0x11223344);
        put32(head + 4, 1);
        put32(head + 12, PER);
        put32(head + 16, 2);
        put32(head + 20, 2 * PAGE);
        put64(head + 24, 7);
        put32(head + 32, 1);
        strcpy((char *)head + 64, BLOCK);
        put64(head + 320, 0x5000);
        put64(head + 328, BLOCKSZ - PAGE);
        put64(head + 336, 0x1000);
}

static enum status parse(const uint8_t head[HEADER], bool zstd,
                         struct multifd_packet *p)
{
        struct err err = ERR_INIT;
        bool ok = multifd_packet_parse(head, PAGE, zstd, &blocks, p, &err);

        assert_int_equal(ok, err.status == ERR_NONE);
        return err.status;
}

static void pages_are_told_in_order(void **state)
{
        struct multifd_packet p;
        uint8_t head[HEADER];

        (void)state;
        assert_int_equal(multifd_header_size(PAGE), HEADER);
        make(head);
        assert_int_equal(parse(head, false, &p), ERR_NONE);
        assert_false(p.sync);
        assert_int_equal(p.normal, 2);
        assert_int_equal(p.zero, 1);
        assert_int_equal(p.payload, 2 * PAGE);
        assert_int_equal(multifd_offset(&p, 0), 0x5000);
        assert_int_equal(multifd_offset(&p, 1), BLOCKSZ - PAGE);
        assert_int_equal(multifd_offset(&p, 2), 0x1000);
}

/* What is not used may hold what an earlier packet left there. */
static void a_packet_without_pages_has_no_payload(void **state)
{
        struct multifd_packet p;
        uint8_t head[HEADER];

        (void)state;
        make(head);
        put32(head + 8, 1);
        put32(head + 16, 0);
        put32(head + 32, 0);
        strcpy((char *)head + 64, "gone");
        assert_int_equal(parse(head, true, &p), ERR_NONE);
        assert_true(p.sync);
        assert_int_equal(p.payload, 0);
}

struct damage {
        size_t at;
        uint32_t value;
        enum status status;
};

static void what_is_wrong_is_refused(void **state)
{
        static const struct damage damages[] = {
                {0, 0x11223345, ERR_CORRUPT},     /* magic */
                {4, 2, ERR_UNSUPPORTED},          /* version */
                {8, 0x02, ERR_UNSUPPORTED},       /* zlib */
                {8, 0x04, ERR_UNSUPPORTED},       /* zstd, not asked for */
                {8, 0x08, ERR_UNSUPPORTED},       /* qpl */
                {8, 0x20, ERR_UNSUPPORTED},       /* qatzip */
                {8, 0x40, ERR_UNSUPPORTED},       /* device state */
                {8, 0x80000000, ERR_UNSUPPORTED}, /* who knows */
                {16, PER + 1, ERR_CORRUPT},       /* more pages than fit */
                {16, 0xffffffff, ERR_CORRUPT},
                {16, 3, ERR_CORRUPT}, /* more than its payload */
                {20, 2 * PAGE - 1, ERR_CORRUPT},
                {20, 0xffffffff, ERR_CORRUPT},
                {20, 0, ERR_CORRUPT},
                {32, PER - 1, ERR_CORRUPT}, /* of zeros, behind the others */
                {32, 0xffffffff, ERR_CORRUPT},
                {64, 0x78787878, ERR_CORRUPT}, /* the block's name */
                {320, 1, ERR_CORRUPT},         /* far behind its end */
                {324, BLOCKSZ, ERR_CORRUPT},
                {324, 0x5001, ERR_CORRUPT}, /* not a page's address */
                {340, 0x1800, ERR_CORRUPT},
        };
        struct multifd_packet p;
        uint8_t head[HEADER];

        (void)state;
        for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
                make(head);
                put32(head + damages[i].at, damages[i].value);
                if (parse(head, false, &p) != damages[i].status)
                        fail_msg("case %zu: not refused as it should be", i);
        }
        make(head);
        put32(head + 16, 0);
        strcpy((char *)head + 64, "odd");
        put64(head + 320, 0);
        assert_int_equal(parse(head, false, &p), ERR_NONE);
        put64(head + 320, 0x1000); /* half of it is behind the end */
        assert_int_equal(parse(head, false, &p), ERR_CORRUPT);
        make(head);
        memset(head + 64, 'x', 256);
        assert_int_equal(parse(head, false, &p), ERR_CORRUPT);
}

static void compressed_payloads_are_bounded(void **state)
{
        struct multifd_packet p;
        uint8_t head[HEADER];

        (void)state;
        make(head);
        put32(head + 8, 4);
        put32(head + 20, 100);
        assert_int_equal(parse(head, true, &p), ERR_NONE);
        assert_int_equal(p.payload, 100);
        put32(head + 20, MULTIFD_PAYLOAD_MAX + 1);
        assert_int_equal(parse(head, true, &p), ERR_CORRUPT);
        put32(head + 8, 0);
        put32(head + 20, 2 * PAGE);
        assert_int_equal(parse(head, true, &p), ERR_UNSUPPORTED);
}

/* Whatever is accepted stays within what was promised. */
static void any_bytes_are_refused_or_within_bounds(void **state)
{
        uint64_t seed = 88172645463325252ULL;
        struct multifd_packet p;
        unsigned accepted = 0;
        uint8_t head[HEADER];

        (void)state;
        for (unsigned n = 0; n < 200000; n++) {
                make(head);
                for (unsigned i = 0; i <= n % 4; i++) {
                        seed ^= seed << 13;
                        seed ^= seed >> 7;
                        seed ^= seed << 17;
                        head[8 + seed % 352] = (uint8_t)(seed >> 32);
                }
                if (parse(head, n & 1, &p) != ERR_NONE)
                        continue;
                accepted++;
                assert_true(p.normal + p.zero <= PER);
                assert_true(p.payload <= MULTIFD_PAYLOAD_MAX);
                assert_true((p.payload > 0) == (p.normal > 0));
                for (unsigned i = 0; i < p.normal + p.zero; i++) {
                        uint64_t at = multifd_offset(&p, i);

                        assert_true(at % PAGE == 0 && at < BLOCKSZ);
                }
        }
        assert_true(accepted > 1000);
}

static void a_greeting_tells_the_channel(void **state)
{
        uint8_t hello[MULTIFD_HELLO_SIZE] = {0x11, 0x22, 0x33, 0x44,
                                             0,    0,    0,    1};
        struct err err = ERR_INIT;
        unsigned id;

        (void)state;
        hello[24] = 3;
        assert_done(multifd_hello_parse(hello, 4, &id, &err), &err);
        assert_int_equal(id, 3);
        assert_false(multifd_hello_parse(hello, 3, &id, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        err_clear(&err);
        hello[0] = 'Q';
        assert_false(multifd_hello_parse(hello, 4, &id, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pages_are_told_in_order),
                cmocka_unit_test(a_packet_without_pages_has_no_payload),
                cmocka_unit_test(what_is_wrong_is_refused),
                cmocka_unit_test(compressed_payloads_are_bounded),
                cmocka_unit_test(any_bytes_are_refused_or_within_bounds),
                cmocka_unit_test(a_greeting_tells_the_channel),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
