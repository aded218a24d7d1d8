/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is emitted is read again by the reader of streams. */
#include "qemu/emission.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "qemu/stream.h"
#include "qemu/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SIZE (CHUNK_SIZE + 3 * 4096)

struct memory {
        uint8_t *bytes;
        unsigned zero, raw;
        uint32_t page_size;
};

static bool nothing(void *arg, struct err *err)
{
        (void)arg;
        (void)err;
        return true;
}

static bool item(void *arg, const struct stream_item *i, struct err *err)
{
        (void)i;
        return nothing(arg, err);
}

static bool bytes(void *arg, const uint8_t *p, size_t len, struct err *err)
{
        (void)p;
        (void)len;
        return nothing(arg, err);
}

static bool blocks(void *arg, const struct ram_blocks *b, struct err *err)
{
        (void)b;
        return nothing(arg, err);
}

static bool page(void *arg, unsigned block, uint64_t offset,
                 enum page_kind kind, const uint8_t *p, size_t len,
                 struct err *err)
{
        struct memory *m = arg;

        (void)block;
        (void)err;
        m->zero += kind == PAGE_FILL;
        m->raw += kind == PAGE_RAW;
        if (kind == PAGE_FILL)
                memset(m->bytes + offset, p[0], m->page_size);
        else
                memcpy(m->bytes + offset, p, len);
        return true;
}

static void emit_stream(int fd, const uint8_t *ram, uint32_t page_size,
                        bool footers)
{
        struct ram_block list[1] = {{.name = "ram0", .size = SIZE}};
        struct ram_blocks b = {
                .blocks = list, .count = 1, .total = SIZE, .section_id = 2};
        static struct fixture f;
        struct err err = ERR_INIT;
        struct emission *e;

        fixture_begin(&f, footers, NULL);
        fixture_section(&f, 1, 2, "ram", 0, 4);
        ram_emit_start(&b, &f.e);
        fixture_footer(&f, 2);
        assert_true(io_write_all(fd, f.bytes, f.e.len, "f", &err));
        assert_true(emission_new(fd, "f", &b, footers, &e, &err));
        assert_true(emission_pages(e, 0, 0, ram, CHUNK_SIZE, page_size, &err));
        assert_true(emission_pages(e, 0, CHUNK_SIZE, NULL, SIZE - CHUNK_SIZE,
                                   page_size, &err));
        assert_true(emission_bytes(e) > 0);
        emission_free(e);
        fixture_begin(&f, footers, NULL);
        fixture_part(&f, 3);
        fixture_eos(&f);
        emit_u8(&f.e, 0);
        assert_true(io_write_all(fd, f.bytes + 8, f.e.len - 8, "f", &err));
}

static void round_trip(uint32_t page_size, bool footers)
{
        struct memory m = {.page_size = page_size};
        const struct stream_events events = {
                .item_begin = item,
                .item_bytes = bytes,
                .item_end = nothing,
                .ram_start = blocks,
                .page = page,
                .ram_end = nothing,
                .vmdesc = bytes,
                .arg = &m,
        };
        const struct stream_options options = {.spool_dir = NULL};
        struct err err = ERR_INIT;
        struct source *source;
        struct stream *s;
        CLEANUP_FD int fd = -1;
        uint8_t *ram = calloc(1, SIZE);

        m.bytes = malloc(SIZE);
        memset(m.bytes, 0x5a, SIZE);
        for (size_t i = 0; i < CHUNK_SIZE / page_size; i += 3)
                memset(ram + i * page_size, (int)(i + 1) & 0xff, page_size);
        assert_true(io_open_unlinked(NULL, &fd, &err));
        emit_stream(fd, ram, page_size, footers);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_true(source_new(fd, "f", NULL, NULL, &source, &err));
        assert_true(stream_new(source, &events, &options, &s, &err));
        if (!stream_run(s, &err))
                fail_msg("%s %s", err.section, err.why);
        assert_int_equal(stream_page_size(s), page_size);
        assert_memory_equal(m.bytes, ram, SIZE);
        assert_int_equal(m.zero + m.raw, SIZE / page_size);
        assert_true(m.zero > m.raw);
        stream_free(s);
        source_free(source);
        free(m.bytes);
        free(ram);
}

static void what_is_emitted_reads_back(void **state)
{
        static const uint32_t sizes[] = {1024, 2048, 4096};

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                round_trip(sizes[i], true);
                round_trip(sizes[i], false);
        }
}

/* What block migration told: every 1 MiB, its first byte (0: zeros). */
struct disk_content {
        unsigned count;
        uint8_t first[512];
};

static bool disk(void *arg, const char *device, uint64_t offset,
                 const uint8_t *p, struct err *err)
{
        struct disk_content *d = arg;

        assert_string_equal(device, "drive0");
        if (offset / MiB >= sizeof d->first)
                return err_set(err, ERR_LIMIT, "more than the test keeps");
        d->count++;
        d->first[offset / MiB] = p ? p[0] : 0;
        return !p || p[0] == p[MiB - 1] ||
               err_set(err, ERR_CORRUPT, "not of one byte");
}

static bool no_page(void *arg, unsigned block, uint64_t offset,
                    enum page_kind kind, const uint8_t *p, size_t len,
                    struct err *err)
{
        (void)block, (void)offset, (void)kind, (void)p, (void)len;
        return nothing(arg, err);
}

/* Zeros of more than one section's records between data. */
static void emit_disks(int fd, bool footers)
{
        struct ram_block list[1] = {{.name = "ram0", .size = SIZE}};
        struct ram_blocks b = {.blocks = list, .count = 1, .section_id = 2};
        uint8_t *content = malloc(3 * MiB);
        static struct fixture f;
        struct err err = ERR_INIT;
        struct emission *e;

        for (unsigned i = 0; i < 3; i++)
                memset(content + i * MiB, (int)i + 1, MiB);
        fixture_begin(&f, footers, NULL);
        fixture_section(&f, 1, 1, "block", 0, 1);
        emit_u64be(&f.e, 2);
        fixture_footer(&f, 1);
        fixture_ram_start(&f);
        assert_true(io_write_all(fd, f.bytes, f.e.len, "f", &err));
        assert_true(emission_new(fd, "f", &b, footers, &e, &err));
        assert_true(emission_disk(e, 1, "drive0", MiB, content, MiB, &err));
        assert_true(
                emission_disk(e, 1, "drive0", 2 * MiB, NULL, 300 * MiB, &err));
        assert_true(emission_disk(e, 1, "drive0", 400 * MiB, content, 3 * MiB,
                                  &err));
        emission_free(e);
        fixture_begin(&f, footers, NULL);
        emit_u8(&f.e, 3);
        emit_u32be(&f.e, 1);
        emit_u64be(&f.e, 2);
        fixture_footer(&f, 1);
        fixture_part(&f, 3);
        fixture_page(&f, "ram0", 0, 1);
        fixture_page(&f, NULL, 1, 1);
        fixture_eos(&f);
        emit_u8(&f.e, 0);
        assert_true(io_write_all(fd, f.bytes + 8, f.e.len - 8, "f", &err));
        free(content);
}

static void disks_that_are_emitted_read_back(void **state)
{
        const struct stream_options options = {.spool_dir = NULL};

        (void)state;
        for (int footers = 0; footers < 2; footers++) {
                struct disk_content d = {.count = 0};
                const struct stream_events events = {
                        .item_begin = item,
                        .item_bytes = bytes,
                        .item_end = nothing,
                        .ram_start = blocks,
                        .page = no_page,
                        .ram_end = nothing,
                        .disk = disk,
                        .vmdesc = bytes,
                        .arg = &d,
                };
                struct err err = ERR_INIT;
                struct source *source;
                struct stream *s;
                CLEANUP_FD int fd = -1;

                memset(d.first, 0xee, sizeof d.first);
                assert_true(io_open_unlinked(NULL, &fd, &err));
                emit_disks(fd, footers);
                assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
                assert_true(source_new(fd, "f", NULL, NULL, &source, &err));
                assert_true(stream_new(source, &events, &options, &s, &err));
                if (!stream_run(s, &err))
                        fail_msg("%s %s", err.section, err.why);
                assert_int_equal(d.count, 304);
                for (unsigned i = 0; i < sizeof d.first; i++)
                        assert_int_equal(d.first[i], i == 1              ? 1
                                                     : i >= 2 && i < 302 ? 0
                                                     : i >= 400 && i < 403
                                                             ? i - 399
                                                             : 0xee);
                stream_free(s);
                source_free(source);
        }
}

static void link_commands_are_as_qemu_sends_them(void **state)
{
        static const uint8_t want[] = {8, 0, 1, 0, 0, 8, 0,
                                       2, 0, 4, 0, 0, 0, 1};
        uint8_t got[EMISSION_LINK_SIZE];

        (void)state;
        emission_link(got);
        assert_memory_equal(got, want, sizeof want);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_emitted_reads_back),
                cmocka_unit_test(disks_that_are_emitted_read_back),
                cmocka_unit_test(link_commands_are_as_qemu_sends_them),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
