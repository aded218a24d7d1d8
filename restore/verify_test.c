/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/verify.h"

#include "restore/fixture.h"

#include "format/reader.h"

static const struct verify_options serial = {.threads = 0};

static bool verify_file(int fd, const struct verify_options *options,
                        struct err *err)
{
        struct verify_report report;

        return verify_run(fd, "snapshot", options, &report, err);
}

/* All of it fits into the pipe, so that one thread is enough. */
static bool verify_pipe(const uint8_t *bytes, size_t len,
                        const struct verify_options *options, struct err *err)
{
        int ends[2];
        bool ok;

        assert_int_equal(pipe(ends), 0);
        assert_true(fcntl(ends[1], F_SETPIPE_SZ, MiB) >= (int)len);
        assert_int_equal(write(ends[1], bytes, len), len);
        close(ends[1]);
        ok = verify_file(ends[0], options, err);
        close(ends[0]);
        return ok;
}

static void sound_snapshots_pass_from_file_and_pipe(void **state)
{
        static const struct fixture cases[] = {
                {0},
                {.plain = true},
                {.no_vmdesc = true},
                {.again = 3},
                {.items = 1200},
                {.no_item = "full",
                 .vmdesc = "{\"page_size\":4096,\"devices\":[]}"},
        };
        static const struct verify_options how[] = {
                {.threads = 0},
                {.threads = 2},
                {.threads = 0, .quick = true},
                {.threads = 3, .quick = true},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int fd = fixture_new(&cases[i]);
                size_t len;
                uint8_t *bytes = fixture_bytes(fd, &len);

                for (size_t h = 0; h < sizeof how / sizeof *how; h++) {
                        struct err err = ERR_INIT;

                        assert_done(verify_file(fd, &how[h], &err), &err);
                        if (!cases[i].plain && len < MiB)
                                assert_done(
                                        verify_pipe(bytes, len, &how[h], &err),
                                        &err);
                }
                free(bytes);
                close(fd);
        }
}

static void the_report_counts_what_is_there(void **state)
{
        int fd = fixture_new(&(struct fixture){.again = 2});
        struct verify_report r;
        struct err err = ERR_INIT;

        (void)state;
        assert_done(verify_run(fd, "snapshot", &serial, &r, &err), &err);
        assert_int_equal(r.ram_chunks, 4);
        assert_int_equal(r.ram_replaced, 2);
        assert_int_equal(r.stream_items, 6);
        assert_int_equal(r.stream_chunks, 6);
        assert_true(r.raw_bytes > 3 * CHUNK_SIZE);
        assert_true(r.stored_bytes < MiB);
        close(fd);
}

/* xorshift: the same damage in each run. */
static uint64_t random_state = 88172645463325252;

static uint64_t random_number(uint64_t below)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % below;
}

/* Before its digest is known, a pipe's manifest is believed: what damage makes
 * of it may look like a feature of tomorrow. */
static bool is_damage(const struct err *err, bool pipe)
{
        return err_exit_code(err) == 3 ||
               (pipe && strcmp(err->section, "stasis/manifest.json") == 0);
}

static void assert_flip_found(int fd, uint8_t *bytes, size_t len, size_t at,
                              unsigned bit, bool pipe)
{
        static const struct verify_options quick = {.quick = true};
        struct err err = ERR_INIT;
        char line[1536];
        bool ok;

        bytes[at] ^= (uint8_t)(1U << bit);
        assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1);
        ok = pipe ? verify_pipe(bytes, len, &serial, &err)
                  : verify_file(fd, at % 2 ? &quick : &serial, &err);
        bytes[at] ^= (uint8_t)(1U << bit);
        assert_int_equal(pwrite(fd, bytes + at, 1, (off_t)at), 1);
        if (ok)
                fail_msg("bit %u of byte %zu flipped: not found from a %s", bit,
                         at, pipe ? "pipe" : "file");
        if (!is_damage(&err, pipe) || (!pipe && !err.section[0]))
                fail_msg("bit %u of byte %zu flipped, from a %s: %s", bit, at,
                         pipe ? "pipe" : "file",
                         err_line(&err, line, sizeof line));
}

static void each_of_a_thousand_random_flips_is_found(void **state)
{
        int fd = fixture_new(&(struct fixture){.items = 600});
        size_t len;
        uint8_t *bytes = fixture_bytes(fd, &len);

        (void)state;
        for (int i = 0; i < 1000; i++) {
                size_t at = random_number(len);
                unsigned bit = (unsigned)random_number(8);

                assert_flip_found(fd, bytes, len, at, bit, false);
                assert_flip_found(fd, bytes, len, at, bit, true);
        }
        free(bytes);
        close(fd);
}

static void assert_length_refused(const uint8_t *bytes, size_t len, int fd)
{
        struct err from_file = ERR_INIT, from_pipe = ERR_INIT;
        char line[1536];

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, len, 0), len);
        if (verify_file(fd, &serial, &from_file) ||
            err_exit_code(&from_file) != 3)
                fail_msg("file of %zu bytes: %s", len,
                         err_line(&from_file, line, sizeof line));
        if (verify_pipe(bytes, len, &serial, &from_pipe) ||
            err_exit_code(&from_pipe) != 3)
                fail_msg("pipe of %zu bytes: %s", len,
                         err_line(&from_pipe, line, sizeof line));
}

static void each_of_a_thousand_truncations_is_found(void **state)
{
        int fd = fixture_new(&(struct fixture){.items = 600});
        int cut = memfd_create("cut", MFD_CLOEXEC);
        size_t len;
        uint8_t *bytes = fixture_bytes(fd, &len);

        (void)state;
        for (int i = 0; i < 1000; i++)
                assert_length_refused(bytes, random_number(len), cut);
        /* Within and just before the end of the archive. */
        for (size_t short_by = 1; short_by <= 1600; short_by += 13)
                assert_length_refused(bytes, len - short_by, cut);
        free(bytes);
        close(cut);
        close(fd);
}

static void appended_bytes_are_found(void **state)
{
        static const size_t more[] = {1, 511, 512, 1024, 1536, 10240, 300000};
        int fd = fixture_new(&(struct fixture){0});
        int longer = memfd_create("longer", MFD_CLOEXEC);
        size_t len;
        uint8_t *bytes = fixture_bytes(fd, &len);

        (void)state;
        bytes = realloc(bytes, len + 300000);
        assert_non_null(bytes);
        for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
                memset(bytes + len, 0, more[i]);
                assert_length_refused(bytes, len + more[i], longer);
                /* What is appended may look like an end of its own. */
                for (size_t n = 0; n < more[i]; n++)
                        bytes[len + n] = bytes[len - 1536 + n % 1536];
                assert_length_refused(bytes, len + more[i], longer);
        }
        free(bytes);
        close(longer);
        close(fd);
}

/* Whole members missing, and all digests as they should be but the last. */
static void a_snapshot_without_its_first_member_is_refused(void **state)
{
        int fd = fixture_new(&(struct fixture){0});
        int cut = memfd_create("cut", MFD_CLOEXEC);
        size_t len;
        uint8_t *bytes = fixture_bytes(fd, &len);

        (void)state;
        for (size_t at = 512; at < 4096; at += 512)
                assert_length_refused(bytes + at, len - at, cut);
        free(bytes);
        close(cut);
        close(fd);
}

static void members_against_the_rules_are_refused_by_name(void **state)
{
        static const struct {
                struct fixture f;
                const char *section, *why;
        } cases[] = {
                {{.ram_dir = "ram/other", .ram_len = 4096},
                 "ram/other/0000000000000000.zst",
                 "a RAMBlock that the manifest does not name"},
                {{.ram_dir = "ram/pc.ram",
                  .ram_address = 2 * CHUNK_SIZE,
                  .ram_len = 4096},
                 "ram/pc.ram/0000000000200000.zst",
                 "behind the end"},
                {{.ram_dir = "ram/pc.ram", .ram_address = 0, .ram_len = 4096},
                 "ram/pc.ram/0000000000000000.zst",
                 "4096 bytes, not 1048576"},
                {{.ram_dir = "ram/pc.ram",
                  .ram_address = CHUNK_SIZE,
                  .ram_len = CHUNK_SIZE},
                 "ram/pc.ram/0000000000100000.zst",
                 "1048576 bytes, not 8192"},
                {{.ram_dir = "ram/rom", .ram_address = 512, .ram_len = 3584},
                 "ram/rom/0000000000000200.zst",
                 "multiple of 1 MiB"},
                {{.mixed = true},
                 "ram/rom/0000000000000000",
                 "its suffix is not"},
                {{.gap = true},
                 "stream/000004.full.timer/0000000000000008.zst",
                 "bytes are missing"},
                {{.bad_footer = true}, "stream/000004.full.timer", "footer"},
                {{.machine = "pc-i440fx-2"},
                 "stream/000002.start.ram",
                 "another machine type"},
                {{.rom_size = 8192},
                 "stream/000002.start.ram",
                 "other RAMBlocks"},
                {{.no_item = "header"},
                 "stream/000000.configuration",
                 "the header is not the first item"},
                {{.no_item = "start"},
                 "stream/000002.end.ram",
                 "never started"},
                {{.vmdesc = "{\"page_size\":4096,\"devices\":[]}"},
                 "stasis/vmdesc.json",
                 "vmdesc describes 0 device sections, 1 are there"},
                {{.no_item = "eof"},
                 "stasis/vmdesc.json",
                 "vmdesc out of place"},
                {{.no_item = "eof", .no_vmdesc = true}, "", "has no end"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int fd = fixture_new(&cases[i].f);
                struct err err = ERR_INIT;
                char line[1536];

                if (verify_file(fd, &serial, &err))
                        fail_msg("case %zu passes", i);
                err_line(&err, line, sizeof line);
                if (err.status != ERR_CORRUPT ||
                    !strstr(line, cases[i].section) ||
                    !strstr(line, cases[i].why))
                        fail_msg("case %zu: %s", i, line);
                close(fd);
        }
}

/* What makes damage in a file of any size show where it is. */
static void a_damaged_chunk_is_named_with_its_offset(void **state)
{
        int fd = fixture_new(&(struct fixture){.plain = true});
        size_t len, at;
        uint8_t *bytes = fixture_bytes(fd, &len);
        struct err err = ERR_INIT;

        (void)state;
        for (at = 0; memcmp(bytes + at, "QEVM", 4) != 0; at++)
                ;
        assert_int_equal(pwrite(fd, "q", 1, (off_t)at), 1);
        assert_false(verify_file(fd, &serial, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_string_equal(err.file, "snapshot");
        assert_string_equal(err.section,
                            "stream/000000.header/0000000000000000");
        assert_int_equal(err.offset, at);
        free(bytes);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sound_snapshots_pass_from_file_and_pipe),
                cmocka_unit_test(the_report_counts_what_is_there),
                cmocka_unit_test(each_of_a_thousand_random_flips_is_found),
                cmocka_unit_test(each_of_a_thousand_truncations_is_found),
                cmocka_unit_test(appended_bytes_are_found),
                cmocka_unit_test(
                        a_snapshot_without_its_first_member_is_refused),
                cmocka_unit_test(members_against_the_rules_are_refused_by_name),
                cmocka_unit_test(a_damaged_chunk_is_named_with_its_offset),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
