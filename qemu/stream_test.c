/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/stream.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "qemu/stream_fixture.h"
#include "qemu/stream_format.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What a stream told, as text: one line an item, pages as one word each. */
struct told {
        char items[4096];
        uint8_t ram0[FIXTURE_PAGES][FIXTURE_PAGE];
        unsigned pages;
        size_t item_len;
        size_t vmdesc_len;
        unsigned parts;
        bool ram_ended;
        size_t complete_at; /* in items */
        struct stream *stream;
};

static void add(struct told *t, const char *text)
{
        size_t len = strlen(t->items);

        snprintf(t->items + len, sizeof t->items - len, "%s", text);
}

static bool begin(void *arg, const struct stream_item *item, struct err *err)
{
        struct told *t = arg;
        char line[400];

        (void)err;
        snprintf(line, sizeof line, "%u %s%s%s", item->number, item->kind,
                 item->idstr[0] ? " " : "", item->idstr);
        add(t, line);
        t->item_len = 0;
        return true;
}

static bool bytes(void *arg, const uint8_t *p, size_t len, struct err *err)
{
        struct told *t = arg;

        (void)p;
        (void)err;
        t->item_len += len;
        return true;
}

static bool end(void *arg, struct err *err)
{
        struct told *t = arg;
        char line[40];

        (void)err;
        snprintf(line, sizeof line, " %zu\n", t->item_len);
        add(t, line);
        return true;
}

static bool ram_start(void *arg, const struct ram_blocks *blocks,
                      struct err *err)
{
        (void)arg;
        (void)err;
        return blocks->count <= 2 ||
               err_set(err, ERR_LIMIT, "more blocks than the test keeps");
}

static bool page(void *arg, unsigned block, uint64_t offset,
                 enum page_kind kind, const uint8_t *p, size_t len,
                 struct err *err)
{
        struct told *t = arg;

        t->pages++;
        if (block != 0)
                return true;
        if (offset / FIXTURE_PAGE >= FIXTURE_PAGES || len > FIXTURE_PAGE)
                return err_set(err, ERR_LIMIT, "more RAM than the test keeps");
        if (kind == PAGE_RAW)
                memcpy(t->ram0[offset / FIXTURE_PAGE], p, len);
        else if (kind == PAGE_FILL)
                memset(t->ram0[offset / FIXTURE_PAGE], p[0], FIXTURE_PAGE);
        else
                return xbzrle_apply(t->ram0[offset / FIXTURE_PAGE],
                                    FIXTURE_PAGE, p, len, err);
        return true;
}

static bool ram_end(void *arg, struct err *err)
{
        struct told *t = arg;

        (void)err;
        t->ram_ended = true;
        return true;
}

static bool part_end(void *arg, struct err *err)
{
        struct told *t = arg;

        (void)err;
        t->parts++;
        return true;
}

static bool complete(void *arg, struct err *err)
{
        struct told *t = arg;

        (void)err;
        t->complete_at = strlen(t->items);
        return true;
}

static bool disk(void *arg, const char *device, uint64_t offset,
                 const uint8_t *p, struct err *err)
{
        struct told *t = arg;
        char line[300];

        (void)err;
        snprintf(line, sizeof line, "%s 0x%llx %s\n", device,
                 (unsigned long long)offset, p ? "data" : "zeros");
        if (p && (p[0] != 0x5a || p[DISK_RECORD_SIZE - 1] != 0x5a))
                add(t, "of something else: ");
        add(t, line);
        return true;
}

static bool vmdesc(void *arg, const uint8_t *json, size_t len, struct err *err)
{
        struct told *t = arg;

        (void)json;
        (void)err;
        t->vmdesc_len = len;
        return true;
}

/* QEMU has sent all before it can say that it waits. */
static bool at_end_later(void *arg, bool *out, struct err *err)
{
        unsigned *asked = arg;

        (void)err;
        *out = ++*asked > 2;
        return true;
}

/* live: as from a sender that keeps the connection open. */
static bool read_stream(const uint8_t *p, size_t len, bool live, struct told *t,
                        struct err *err)
{
        const struct stream_events events = {
                .item_begin = begin,
                .item_bytes = bytes,
                .item_end = end,
                .ram_start = ram_start,
                .page = page,
                .part_end = part_end,
                .ram_end = ram_end,
                .complete = complete,
                .disk = disk,
                .vmdesc = vmdesc,
                .arg = t,
        };
        unsigned asked = 0;
        struct stream_options options = {.at_end = live ? at_end_later : NULL,
                                         .arg = &asked};
        struct source *source;
        CLEANUP_FD int fd = -1;
        int pair[2];
        bool ok;

        memset(t, 0, sizeof *t);
        if (live) {
                assert_int_equal(pipe(pair), 0);
                assert_true(len < 65536);
                assert_true(io_write_all(pair[1], p, len, "pipe", err));
                fd = pair[0];
        } else {
                assert_true(io_open_unlinked(NULL, &fd, err));
                assert_true(io_pwrite_all(fd, p, len, 0, "file", err));
        }
        assert_true(source_new(fd, "stream", NULL, NULL, &source, err));
        assert_true(stream_new(source, &events, &options, &t->stream, err));
        ok = stream_run(t->stream, err);
        if (ok)
                assert_int_equal(stream_page_size(t->stream), FIXTURE_PAGE);
        stream_free(t->stream);
        source_free(source);
        if (live)
                close(pair[1]);
        return ok;
}

static void check_ram(const struct told *t)
{
        assert_true(t->ram_ended);
        assert_int_equal(t->pages, FIXTURE_PAGES + 2);
        for (unsigned i = 0; i < FIXTURE_PAGES; i++)
                assert_int_equal(t->ram0[i][77], i == 1 ? 0 : i + 1);
}

#define ITEMS                                                                  \
        "0 header 8\n1 configuration 14\n2 start ram 63\n3 end ram 18\n"       \
        "4 full timer 48\n5 full 0000:00:02.0/vga 335\n6 full serial 36\n"     \
        "7 eof 1\n"

static void whole_stream_is_told_in_order(void **state)
{
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_whole(&f, true, true);
        assert_true(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_string_equal(t.items, ITEMS);
        assert_true(t.vmdesc_len > 0);
        assert_int_equal(t.parts, 1);
        assert_memory_equal(t.items + t.complete_at, "4 full", 6);
        check_ram(&t);
}

static void open_connection_ends_with_vmdesc(void **state)
{
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_whole(&f, true, true);
        assert_true(read_stream(f.bytes, f.e.len, true, &t, &err));
        assert_string_equal(t.items, ITEMS);
}

static void open_connection_without_vmdesc_ends_when_sender_says(void **state)
{
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_whole(&f, true, false);
        assert_true(read_stream(f.bytes, f.e.len, true, &t, &err));
        assert_string_equal(t.items, ITEMS);
        assert_int_equal(t.vmdesc_len, 0);
}

static void no_footers_and_no_vmdesc_are_read(void **state)
{
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_whole(&f, false, false);
        assert_true(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_string_equal(t.items,
                            "0 header 8\n1 start ram 58\n2 end ram 13\n"
                            "3 full timer 43\n4 full 0000:00:02.0/vga 330\n"
                            "5 full serial 31\n6 eof 1\n");
        check_ram(&t);
}

static void link_commands_are_dropped(void **state)
{
        static const uint8_t commands[] = {
                8, 0, 1,  0, 0,             /* OPEN_RETURN_PATH */
                8, 0, 2,  0, 4, 0, 0, 0, 1, /* PING             */
                8, 0, 3,  0, 0,             /* POSTCOPY_ADVISE  */
                8, 0, 11, 0, 0,             /* SWITCHOVER_START */
        };
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_begin(&f, true, "pc-test-1");
        emit_bytes(&f.e, commands, sizeof commands);
        fixture_ram(&f);
        fixture_device(&f, 4, "timer", 0, 24, 0x11, 24);
        fixture_eof(&f, true);
        assert_true(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_string_equal(t.items,
                            "0 header 8\n1 configuration 14\n"
                            "2 command switchover-start 5\n3 start ram 63\n"
                            "4 end ram 18\n5 full timer 48\n6 eof 1\n");
}

/* A page size that the source announces is as hostile as any other number: it
 * is how many bytes a page's buffer gets. */
static void an_advised_page_size_is_checked(void **state)
{
        static const uint64_t sizes[] = {4096,   0,        128,       4097,
                                         131072, 1U << 31, UINT64_MAX};
        static struct fixture f;
        static struct told t;

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                struct err err = ERR_INIT;

                fixture_begin(&f, true, "pc-test-1");
                emit_u8(&f.e, 8);
                emit_u16be(&f.e, 3);
                emit_u16be(&f.e, 16);
                emit_u64be(&f.e, 4096);
                emit_u64be(&f.e, sizes[i]);
                fixture_ram(&f);
                fixture_device(&f, 4, "timer", 0, 24, 0x11, 24);
                fixture_eof(&f, true);
                assert_int_equal(read_stream(f.bytes, f.e.len, false, &t, &err),
                                 i == 0);
                if (i > 0)
                        assert_int_equal(err.status, ERR_CORRUPT);
        }
}

#define DISKS_ID 1

/* A PART of block migration: data at 3 MiB of drv0 (or what flags say), zeros
 * at 0 of drv1, progress.  malloc'd. */
static uint8_t *disks_stream(uint64_t record, const char *device, size_t *len)
{
        size_t room = DISK_RECORD_SIZE + 65536;
        uint8_t *bytes = malloc(room);
        static struct fixture f;

        fixture_begin(&f, true, "pc-test-1");
        fixture_section(&f, 1, DISKS_ID, "block", 0, 1);
        emit_u64be(&f.e, 2);
        fixture_footer(&f, DISKS_ID);
        fixture_ram_start(&f);
        emit_u8(&f.e, 2);
        emit_u32be(&f.e, DISKS_ID);
        emit_u64be(&f.e, record);
        emit_str8(&f.e, device);
        memcpy(bytes, f.bytes, f.e.len);
        *len = f.e.len;
        memset(bytes + *len, 0x5a, DISK_RECORD_SIZE);
        *len += DISK_RECORD_SIZE;
        emit_init(&f.e, f.bytes, sizeof f.bytes);
        emit_u64be(&f.e, 100 << 9 | 4);
        emit_u64be(&f.e, 9);
        emit_str8(&f.e, "drv1");
        emit_u64be(&f.e, 2);
        fixture_footer(&f, DISKS_ID);
        emit_u8(&f.e, 3);
        emit_u32be(&f.e, DISKS_ID);
        emit_u64be(&f.e, 0x100000 | 9);
        emit_str8(&f.e, "drv0");
        emit_u64be(&f.e, 2);
        fixture_footer(&f, DISKS_ID);
        fixture_part(&f, 2);
        fixture_page(&f, "ram0", 0, 1);
        fixture_page(&f, NULL, 1, 1);
        fixture_eos(&f);
        fixture_part(&f, 3);
        fixture_eos(&f);
        fixture_eof(&f, false);
        memcpy(bytes + *len, f.bytes, f.e.len);
        *len += f.e.len;
        return bytes;
}

static void disks_are_told_by_device_and_place(void **state)
{
        static struct told t;
        struct err err = ERR_INIT;
        uint8_t *bytes;
        size_t len;

        (void)state;
        bytes = disks_stream(0x300000 | 1, "drv0", &len);
        assert_true(read_stream(bytes, len, false, &t, &err));
        assert_string_equal(t.items, "0 header 8\n1 configuration 14\n"
                                     "2 start block 32\n3 start ram 63\n"
                                     "drv0 0x300000 data\ndrv1 0x0 zeros\n"
                                     "4 end blockdrv0 0x100000 zeros\n 18\n"
                                     "5 end ram 18\n6 eof 1\n");
        free(bytes);
}

static void bad_records_of_disks_are_refused(void **state)
{
        static const struct {
                uint64_t record;
                const char *device;
                enum status status;
        } cases[] = {
                {0x300000 | 0x10, "drv0", ERR_UNSUPPORTED},
                {0x300000 | 0x0b, "drv0", ERR_UNSUPPORTED},
                {0x300200 | 1, "drv0", ERR_CORRUPT},
                {0x1000000000000000 | 1, "drv0", ERR_CORRUPT},
                {0xfffffffffff00000 | 1, "drv0", ERR_CORRUPT},
                {0x300000 | 1, "", ERR_CORRUPT},
        };
        static struct told t;

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct err err = ERR_INIT;
                size_t len;
                uint8_t *bytes =
                        disks_stream(cases[i].record, cases[i].device, &len);

                assert_false(read_stream(bytes, len, false, &t, &err));
                assert_int_equal(err.status, cases[i].status);
                assert_string_equal(err.section, "block");
                free(bytes);
        }
}

static void disks_that_are_cut_are_refused(void **state)
{
        static struct told t;
        uint8_t *bytes;
        size_t len;

        (void)state;
        bytes = disks_stream(0x300000 | 1, "drv0", &len);
        for (size_t cut = 100; cut < 400; cut++) {
                struct err err = ERR_INIT;

                assert_false(read_stream(bytes, cut, false, &t, &err));
                assert_int_equal(err.status, ERR_TRUNCATED);
        }
        free(bytes);
}

/* postcopy-ram at the source adds a host page size to blocks on huge pages. */
static void host_page_sizes_are_left_out(void **state)
{
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_begin(&f, true, "pc-test-1");
        fixture_section(&f, 1, FIXTURE_RAM_ID, "ram", 0, 4);
        emit_u64be(&f.e, 10 * FIXTURE_PAGE | 4);
        emit_str8(&f.e, "ram0");
        emit_u64be(&f.e, 8 * FIXTURE_PAGE);
        emit_u64be(&f.e, 0x200000);
        emit_str8(&f.e, "rom");
        emit_u64be(&f.e, 2 * FIXTURE_PAGE);
        emit_u64be(&f.e, 0x200000);
        emit_u64be(&f.e, 0x10);
        fixture_footer(&f, FIXTURE_RAM_ID);
        fixture_part(&f, 3);
        fixture_page(&f, "ram0", 0, 1);
        fixture_page(&f, NULL, 1, 1);
        fixture_eos(&f);
        fixture_eof(&f, true);
        assert_true(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_string_equal(t.items,
                            "0 header 8\n1 configuration 14\n2 start ram 63\n"
                            "3 end ram 18\n4 eof 1\n");
}

static void deltas_apply_to_what_came_before(void **state)
{
        /* 2 unchanged, 3 new; 1 unchanged, 1 new */
        static const uint8_t delta[] = {2, 3, 0xa, 0xb, 0xc, 1, 1, 0xd};
        static const uint8_t want[] = {1, 1, 0xa, 0xb, 0xc, 1, 0xd, 1};
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_begin(&f, true, "pc-test-1");
        fixture_ram_start(&f);
        fixture_part(&f, 3);
        fixture_page(&f, "ram0", 0, 1);
        fixture_page(&f, NULL, 1, 1);
        emit_u64be(&f.e, 0x60);
        emit_u8(&f.e, 1);
        emit_u16be(&f.e, sizeof delta);
        emit_bytes(&f.e, delta, sizeof delta);
        fixture_eos(&f);
        fixture_eof(&f, true);
        assert_true(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_memory_equal(t.ram0[0], want, sizeof want);
}

/* A stream cut anywhere is not whole; none of its prefixes passes. */
static void every_truncation_is_found(void **state)
{
        static struct fixture f;
        static struct told t;

        (void)state;
        fixture_whole(&f, true, true);
        for (size_t len = 0; len < f.e.len; len++) {
                struct err err = ERR_INIT;
                bool ok;

                /* Right behind EOF stands a whole stream without vmdesc. */
                if (f.bytes[len] == 6 && f.bytes[len - 1] == 0 &&
                    f.bytes[len + 5] == '{')
                        continue;
                ok = read_stream(f.bytes, len, false, &t, &err);
                if (ok)
                        fail_msg("cut at %zu of %zu passes", len, f.e.len);
                assert_true(err.status == ERR_TRUNCATED ||
                            err.status == ERR_CORRUPT);
        }
}

/* Whatever the bytes are, reading ends, in bounds (run with ASan). */
static void damaged_streams_end_in_order(void **state)
{
        static struct fixture f;
        static struct told t;
        unsigned seed = 1;

        (void)state;
        for (unsigned i = 0; i < 3000; i++) {
                struct err err = ERR_INIT;
                size_t at;

                fixture_whole(&f, i % 2, i % 3);
                for (unsigned n = 0; n < 1 + i % 3; n++) {
                        seed = seed * 1103515245 + 12345;
                        at = (seed >> 8) % f.e.len;
                        /* mostly the structure, not the pages' content */
                        if (i % 4)
                                at = at % 400 + (i & 8 ? 0 : f.e.len - 1000);
                        f.bytes[at] ^= (uint8_t)(1U << (i % 8));
                }
                read_stream(f.bytes, f.e.len, false, &t, &err);
        }
}

struct refusal {
        const char *why;
        enum status status;
        size_t at; /* byte that is changed */
        uint8_t to;
};

static void what_cannot_be_carried_is_refused(void **state)
{
        static const struct refusal cases[] = {
                {"not a migration stream", ERR_CORRUPT, 0, 'X'},
                {"stream version 2", ERR_UNSUPPORTED, 7, 2},
        };
        static struct fixture f;
        static struct told t;

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct err err = ERR_INIT;

                fixture_whole(&f, true, true);
                f.bytes[cases[i].at] = cases[i].to;
                assert_false(read_stream(f.bytes, f.e.len, false, &t, &err));
                assert_int_equal(err.status, cases[i].status);
                assert_non_null(strstr(err.why, cases[i].why));
        }
}

static void rdma_and_postcopy_are_refused_by_name(void **state)
{
        static const uint8_t run[] = {8, 0, 5, 0, 0};
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_begin(&f, true, "pc-test-1");
        fixture_ram_start(&f);
        fixture_part(&f, 2);
        fixture_page(&f, "ram0", 0, 1);
        fixture_page(&f, NULL, 1, 1);
        emit_u64be(&f.e, 0x80);
        fixture_eos(&f);
        assert_false(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_int_equal(err.status, ERR_UNSUPPORTED);
        assert_non_null(strstr(err.why, "RDMA"));

        err_clear(&err);
        fixture_begin(&f, true, "pc-test-1");
        emit_bytes(&f.e, run, sizeof run);
        assert_false(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_int_equal(err.status, ERR_UNSUPPORTED);
        assert_non_null(strstr(err.why, "postcopy-run"));
}

static void trailing_bytes_are_counted(void **state)
{
        static struct fixture f;
        static struct told t;
        struct err err = ERR_INIT;

        (void)state;
        fixture_whole(&f, true, true);
        emit_bytes(&f.e, "garbage", 7);
        assert_true(read_stream(f.bytes, f.e.len, false, &t, &err));
        assert_string_equal(t.items, ITEMS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_stream_is_told_in_order),
                cmocka_unit_test(open_connection_ends_with_vmdesc),
                cmocka_unit_test(
                        open_connection_without_vmdesc_ends_when_sender_says),
                cmocka_unit_test(no_footers_and_no_vmdesc_are_read),
                cmocka_unit_test(link_commands_are_dropped),
                cmocka_unit_test(an_advised_page_size_is_checked),
                cmocka_unit_test(disks_are_told_by_device_and_place),
                cmocka_unit_test(bad_records_of_disks_are_refused),
                cmocka_unit_test(disks_that_are_cut_are_refused),
                cmocka_unit_test(host_page_sizes_are_left_out),
                cmocka_unit_test(deltas_apply_to_what_came_before),
                cmocka_unit_test(every_truncation_is_found),
                cmocka_unit_test(damaged_streams_end_in_order),
                cmocka_unit_test(what_cannot_be_carried_is_refused),
                cmocka_unit_test(rdma_and_postcopy_are_refused_by_name),
                cmocka_unit_test(trailing_bytes_are_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
