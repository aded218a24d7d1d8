/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk with two file systems, changed in one way or another.  (Without
 * checksums in their superblocks: a libblkid may look at those.) */
#include "base/test.h"

#include "base/io.h"
#include "base/limits.h"
#include "format/digest.h"
#include "format/pin.h"

#define SIZE   (256 * MiB)
#define SECOND (120 * MiB) /* a partition */

static bool read_file(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                      struct err *err)
{
        return io_pread_all(*(int *)arg, bytes, len, offset, "disk", err);
}

static json_t *take(const char *path, bool whole)
{
        struct err err = ERR_INIT;
        int fd = open(path, O_RDONLY);
        struct stat st;
        json_t *pin;

        assert_int_equal(fstat(fd, &st), 0);
        assert_done(pin_take(read_file, &fd, (uint64_t)st.st_size, whole, &pin,
                             &err),
                    &err);
        close(fd);
        return pin;
}

static void expect(const json_t *pin, const char *path, const char *want)
{
        char why[200] = "?";
        struct err err = ERR_INIT;
        int fd = open(path, O_RDONLY);
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        assert_done(pin_compare(pin, read_file, &fd, (uint64_t)st.st_size, why,
                                &err),
                    &err);
        assert_string_equal(why, want);
        close(fd);
}

static void shell(const char *command)
{
        if (system(command) != 0)
                fail_msg("%s", command);
}

static int make_disk(void **state)
{
        char path[4096];

        snprintf(path, sizeof path, "%s:/usr/sbin:/sbin", getenv("PATH"));
        setenv("PATH", path, 1);
        if (test_enter_dir(state) != 0)
                return -1;
        shell("truncate -s 256M disk && printf '%s\\n' 'label: gpt' "
              "'start=2048,size=204800' 'start=245760,size=204800' | "
              "sfdisk -q disk && "
              "mke2fs -q -t ext4 -O ^metadata_csum -L root "
              "-E offset=1048576 disk 102400 && "
              "mke2fs -q -t ext4 -O ^metadata_csum -L data "
              "-E offset=125829120 disk 102400");
        return 0;
}

#define WITH_DISK(test)                                                        \
        cmocka_unit_test_setup_teardown(test, make_disk, test_leave_dir)

static void change(uint64_t offset)
{
        int fd = open("disk", O_RDWR);
        char byte;

        assert_true(pread(fd, &byte, 1, (off_t)offset) == 1);
        byte ^= 1;
        assert_true(pwrite(fd, &byte, 1, (off_t)offset) == 1);
        close(fd);
}

static void a_copy_is_the_same(void **state)
{
        json_t *pin = take("disk", false);

        (void)state;
        expect(pin, "disk", "");
        shell("cp disk copy && touch disk");
        expect(pin, "copy", "");
        json_decref(pin);
}

/* One bit, in either superblock or at the end of either partition, of the
 * disk, or in its middle where a sample is. */
static void one_changed_bit_where_it_matters_is_found(void **state)
{
        static const struct {
                uint64_t offset;
                const char *why;
        } cases[] = {
                {MiB + 1024 + 0x34, "its superblocks differ"},
                {SECOND + 1024 + 0x34, "its superblocks differ"},
                {MiB + 100 * MiB - 1, "its superblocks differ"},
                {SECOND + 100 * MiB - 2 * MiB, "its superblocks differ"},
                {SIZE - 2 * MiB, "its superblocks differ"},
                {300, "its superblocks differ"},
                {50 * MiB, "its content differs (in blocks that were sampled)"},
                {230 * MiB + 4095,
                 "its content differs (in blocks that were sampled)"},
        };
        json_t *pin = take("disk", false);

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                change(cases[i].offset);
                expect(pin, "disk", cases[i].why);
                change(cases[i].offset);
        }
        expect(pin, "disk", "");
        json_decref(pin);
}

static void a_whole_digest_finds_every_bit(void **state)
{
        json_t *pin = take("disk", false), *whole = take("disk", true);

        (void)state;
        expect(whole, "disk", "");
        change(50 * MiB + 4096);
        expect(pin, "disk", "");
        expect(whole, "disk", "its content differs");
        json_decref(pin);
        json_decref(whole);
}

static void grown_or_shrunk_is_told(void **state)
{
        json_t *pin = take("disk", false);

        (void)state;
        shell("truncate -s +512 disk");
        expect(pin, "disk", "grown from 268435456 to 268435968 bytes");
        shell("truncate -s 1M disk");
        expect(pin, "disk", "shrunk from 268435456 to 1048576 bytes");
        shell("truncate -s 0 disk");
        expect(pin, "disk", "shrunk from 268435456 to 0 bytes");
        json_decref(pin);
}

static void what_it_holds_now_is_told(void **state)
{
        json_t *pin = take("disk", false);

        (void)state;
        shell("cp disk old");
        shell("mke2fs -q -t ext4 -L data -E offset=125829120 disk 102400");
        expect(pin, "disk", "the ext4 at 125829120 has another UUID");
        shell("cp old disk; mke2fs -q -t ext2 -E offset=1048576 disk 102400");
        expect(pin, "disk", "what was ext4 at 1048576 is ext2 at 1048576 now");
        shell("cp old disk; sfdisk -q --delete disk 2");
        expect(pin, "disk", "the ext4 at 125829120 is gone");
        json_decref(pin);
        pin = take("disk", false);
        expect(pin, "old", "the ext4 at 125829120 was not there");
        shell("cp old disk; sfdisk -q --disk-id disk "
              "44444444-4444-4444-8444-444444444444");
        json_decref(pin);
        pin = take("old", false);
        expect(pin, "disk", "the gpt partition table has another UUID");
        shell("truncate -s 0 disk; truncate -s 256M disk");
        expect(pin, "disk", "the gpt partition table is gone");
        json_decref(pin);
        pin = take("disk", false);
        expect(pin, "old", "the gpt partition table was not there");
        json_decref(pin);
}

/* As the specification has them. */
static void digests_are_of_the_places_that_the_spec_names(void **state)
{
        uint8_t *all = malloc(SIZE), *some = malloc(3 * 2 * CONTENTS_EDGE);
        size_t edge = CONTENTS_EDGE, at = 0;
        uint8_t digest[DIGEST_SIZE];
        char hex[DIGEST_HEX];
        json_t *pin = take("disk", true);
        static const uint64_t starts[] = {0, MiB, SECOND};
        static const uint64_t sizes[] = {SIZE, 100 * MiB, 100 * MiB};
        int fd = open("disk", O_RDONLY);

        (void)state;
        assert_true(read(fd, all, SIZE) == SIZE);
        close(fd);
        for (size_t i = 0; i < 3; i++) {
                memcpy(some + at, all + starts[i], edge);
                memcpy(some + at + edge, all + starts[i] + sizes[i] - edge,
                       edge);
                at += 2 * edge;
        }
        digest_of(some, at, digest);
        assert_string_equal(
                json_string_value(json_object_get(pin, "superblocks")),
                digest_hex(digest, hex));
        for (size_t i = 0; i < 256; i++)
                memcpy(some + i * 4096, all + i * MiB, 4096);
        digest_of(some, 256 * 4096, digest);
        assert_string_equal(json_string_value(json_object_get(pin, "samples")),
                            digest_hex(digest, hex));
        digest_of(all, SIZE, digest);
        assert_string_equal(json_string_value(json_object_get(pin, "whole")),
                            digest_hex(digest, hex));
        json_decref(pin);
        free(all);
        free(some);
}

static bool read_zeros(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                       struct err *err)
{
        uint64_t size = *(uint64_t *)arg;

        (void)err;
        assert_true(offset <= size && len <= size - offset);
        memset(bytes, 0, len);
        return true;
}

static void disks_of_any_size_can_be_pinned(void **state)
{
        static const uint64_t sizes[] = {
                0,       512,        4096 + 512,        MiB - 512,
                5 * MiB, 1ULL << 62, INT64_MAX & ~511LL};

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                uint64_t size = sizes[i];
                struct err err = ERR_INIT;
                char why[200] = "?";
                json_t *pin;

                assert_done(
                        pin_take(read_zeros, &size, size, false, &pin, &err),
                        &err);
                assert_done(
                        pin_compare(pin, read_zeros, &size, size, why, &err),
                        &err);
                assert_string_equal(why, "");
                json_decref(pin);
        }
}

static void what_is_no_pin_is_refused(void **state)
{
#define D "\"00112233445566778899aabbccddeeff\""
        static const char *const bad[] = {
                "[]",
                "{}",
                "{\"virtual_size\":-1,\"contents\":[],\"superblocks\":" D
                ",\"samples\":" D "}",
                "{\"virtual_size\":\"1\",\"contents\":[],\"superblocks\":" D
                ",\"samples\":" D "}",
                "{\"virtual_size\":1,\"contents\":{},\"superblocks\":" D
                ",\"samples\":" D "}",
                "{\"virtual_size\":1,\"contents\":[],\"superblocks\":\"ab\""
                ",\"samples\":" D "}",
                "{\"virtual_size\":1,\"contents\":[],\"superblocks\":" D
                ",\"samples\":\"0011223344556677889 aabbccddeeff\"}",
                "{\"virtual_size\":1,\"contents\":[],\"superblocks\":" D
                ",\"samples\":" D ",\"whole\":7}",
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                json_t *pin = json_loads(bad[i], 0, NULL);
                struct err err = ERR_INIT;
                uint64_t size = 1;
                char why[200];

                assert_non_null(pin);
                assert_false(pin_compare(pin, read_zeros, &size, 1, why, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                json_decref(pin);
        }
}

/* Contents of any shape, in a pin that is one. */
static void recorded_contents_may_be_anything(void **state)
{
        static const char *const contents[] = {
                "[7]", "[[]]", "[{}]", "[{\"offset\":\"x\",\"type\":4}]",
                "[{\"offset\":-5,\"type\":\"\\u001b[2J\"}]"};

        (void)state;
        for (size_t i = 0; i < sizeof contents / sizeof *contents; i++) {
                json_t *pin = json_pack(
                        "{s:i, s:o, s:s, s:s}", "virtual_size", 512, "contents",
                        json_loads(contents[i], 0, NULL), "superblocks",
                        "00112233445566778899aabbccddeeff", "samples",
                        "00112233445566778899aabbccddeeff");
                struct err err = ERR_INIT;
                uint64_t size = 512;
                char why[200] = "";

                assert_done(
                        pin_compare(pin, read_zeros, &size, size, why, &err),
                        &err);
                assert_string_not_equal(why, "");
                assert_null(strchr(why, 0x1b));
                json_decref(pin);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_DISK(a_copy_is_the_same),
                WITH_DISK(one_changed_bit_where_it_matters_is_found),
                WITH_DISK(a_whole_digest_finds_every_bit),
                WITH_DISK(grown_or_shrunk_is_told),
                WITH_DISK(what_it_holds_now_is_told),
                WITH_DISK(digests_are_of_the_places_that_the_spec_names),
                cmocka_unit_test(disks_of_any_size_can_be_pinned),
                cmocka_unit_test(what_is_no_pin_is_refused),
                cmocka_unit_test(recorded_contents_may_be_anything),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
