/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chains that qemu-img makes, and such that nobody should. */
#include "base/test.h"

#include "base/io.h"
#include "qcow/chain.h"

static void sh(const char *command)
{
        if (system(command) != 0)
                fail_msg("%s", command);
}

/* NAME on BACKING, whatever that is. */
static void overlay(const char *name, const char *backing, const char *format)
{
        char command[1024];

        snprintf(command, sizeof command,
                 "qemu-img create -q -u -f qcow2 -b '%s' %s%s %s 1M", backing,
                 format ? "-F " : "", format ? format : "", name);
        sh(command);
}

static struct chain *resolved(const char *path)
{
        struct err err = ERR_INIT;
        struct chain *c;

        assert_done(chain_resolve(path, IMAGE_QCOW2, &c, &err), &err);
        return c;
}

static void refused(const char *path, enum status status, const char *part)
{
        struct err err = ERR_INIT;
        struct chain *c = NULL;
        char line[1536];

        if (chain_resolve(path, IMAGE_QCOW2, &c, &err))
                fail_msg("not refused: %s", part);
        err_line(&err, line, sizeof line);
        if (err.status != status || !strstr(line, part))
                fail_msg("\"%s\" (%s), not \"%s\"", line,
                         err_status_name(err.status), part);
        assert_null(c);
}

static void extent_is(struct chain *c, size_t first, size_t count, uint64_t at,
                      uint64_t len, enum extent_kind kind)
{
        struct err err = ERR_INIT;
        enum extent_kind got;
        uint64_t reach;

        assert_done(chain_extent(c, first, count, at, &reach, &got, &err),
                    &err);
        assert_int_equal(got, kind);
        assert_int_equal(reach, len);
}

/* A base of 512 KiB, of 256 under it, of 1 MiB under that; clusters of 64. */
static void make_three(void)
{
        sh("head -c 1M /dev/zero | tr '\\0' b > base");
        sh("qemu-img create -q -f qcow2 -b base -F raw middle 256K");
        sh("qemu-img create -q -f qcow2 -b middle -F qcow2 top 512K");
        sh("qemu-io -f qcow2 -c 'write -P 109 64K 64K' -c 'write -z 128K 64K' "
           "middle > /dev/null");
        sh("qemu-io -f qcow2 -c 'write -P 116 0 64K' -c 'write -P 116 384K "
           "64K' "
           "top > /dev/null");
}

#define K 1024u

static void the_first_that_knows_decides(void **state)
{
        static uint8_t bytes[512 * K];
        struct err err = ERR_INIT;
        struct chain *c;

        (void)state;
        make_three();
        c = resolved("top");
        assert_int_equal(c->count, 3);
        assert_int_equal(chain_size(c), 512 * K);
        assert_string_equal(c->files[1].path, "middle");
        assert_int_equal(c->files[2].format, IMAGE_RAW);
        extent_is(c, 0, 3, 0, 64 * K, EXTENT_DATA);
        extent_is(c, 0, 3, 64 * K, 64 * K, EXTENT_DATA);
        extent_is(c, 0, 3, 128 * K, 64 * K, EXTENT_ZERO);
        extent_is(c, 0, 3, 192 * K, 64 * K, EXTENT_DATA);
        /* Behind the middle's end the base does not show. */
        extent_is(c, 0, 3, 256 * K, 128 * K, EXTENT_ZERO);
        /* The upper two alone, and the top. */
        extent_is(c, 0, 2, 192 * K, 64 * K, EXTENT_ABSENT);
        extent_is(c, 0, 1, 64 * K, 320 * K, EXTENT_ABSENT);
        /* From the middle on, another disk. */
        extent_is(c, 1, 2, 0, 64 * K, EXTENT_DATA);
        assert_done(chain_read(c, 0, 3, 0, bytes, sizeof bytes, &err), &err);
        assert_int_equal(bytes[0], 't');
        assert_int_equal(bytes[64 * K], 'm');
        assert_int_equal(bytes[128 * K], 0);
        assert_int_equal(bytes[256 * K - 1], 'b');
        assert_int_equal(bytes[256 * K], 0);
        assert_int_equal(bytes[384 * K], 't');
        assert_done(chain_read(c, 1, 2, 64 * K - 1, bytes, 2, &err), &err);
        assert_memory_equal(bytes, "bm", 2);
        chain_close(c);
}

/* From where the overlay is, not from where we are. */
static void names_are_relative_to_the_overlay(void **state)
{
        char *here = *state, path[300];
        struct chain *c;

        sh("truncate -s 1M base");
        overlay("relative", "base", "raw");
        snprintf(path, sizeof path, "%s/base", here);
        overlay("absolute", path, "raw");
        assert_int_equal(chdir("/"), 0);
        snprintf(path, sizeof path, "%s/relative", here);
        c = resolved(path);
        assert_int_equal(c->count, 2);
        chain_close(c);
        snprintf(path, sizeof path, "%s/absolute", here);
        c = resolved(path);
        assert_int_equal(c->count, 2);
        chain_close(c);
        assert_int_equal(chdir(here), 0);
}

static void loops_are_refused(void **state)
{
        (void)state;
        overlay("self", "./self", "qcow2");
        refused("self", ERR_CORRUPT, "loop");
        overlay("a", "b", "qcow2");
        overlay("b", "c", "qcow2");
        overlay("c", "link", "qcow2");
        assert_int_equal(link("a", "link"), 0);
        refused("a", ERR_CORRUPT, "link: it is its own overlay");
        assert_int_equal(unlink("link"), 0);
        assert_int_equal(symlink("b", "link"), 0);
        refused("a", ERR_CORRUPT, "loop");
}

static void deep_chains_are_refused(void **state)
{
        char name[16], *bytes, *at;
        struct err err = ERR_INIT;
        struct chain *c;
        size_t len;

        (void)state;
        overlay("f000", "f001", "qcow2");
        assert_done(io_read_file("f000", 1 << 20, &bytes, &len, &err), &err);
        at = memmem(bytes, len, "f001", 4);
        assert_non_null(at);
        for (int n = 1; n <= CHAIN_MAX; n++) {
                int fd;

                snprintf(name, sizeof name, "f%03d", n + 1);
                memcpy(at, name, 4);
                snprintf(name, sizeof name, "f%03d", n);
                fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
                assert_true(fd >= 0);
                assert_int_equal(write(fd, bytes, len), len);
                close(fd);
        }
        free(bytes);
        sh("qemu-img create -q -f qcow2 f199 1M");
        c = resolved("f000");
        assert_int_equal(c->count, CHAIN_MAX);
        extent_is(c, 0, CHAIN_MAX, 0, 1 << 20, EXTENT_ABSENT);
        chain_close(c);
        overlay("f199", "f200", "qcow2");
        refused("f000", ERR_LIMIT, "too many files");
}

static void only_files_of_stated_formats_are_followed(void **state)
{
        static const struct {
                const char *backing, *format, *part;
        } cases[] = {
                {"json:{\"driver\":\"null-co\"}", "raw", "json: and protocols"},
                {"nbd:localhost:1", "raw", "json: and protocols"},
                {"ssh://host/x", "raw", "json: and protocols"},
                {"file:base", "raw", "json: and protocols"},
                {"base", "vmdk", "stasis does not read"},
                {"fifo", "raw", "neither a file nor"},
                {"/dev/zero", "raw", "neither a file nor"},
                {".", "raw", "neither a file nor"},
        };

        (void)state;
        sh("truncate -s 1M base");
        assert_int_equal(mkfifo("fifo", 0600), 0);
        for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
                overlay("top", cases[n].backing, cases[n].format);
                refused("top", ERR_UNSUPPORTED, cases[n].part);
        }
}

/* To guess it would let a guest turn its raw disk into an image that names any
 * file of the host. */
static void a_format_that_is_not_stated_is_not_guessed(void **state)
{
        (void)state;
        sh("truncate -s 1M base");
        overlay("top", "base", "raw");
        sh("qemu-img create -q -f qcow2 -o compat=0.10 plain 1M");
        /* The backing file's name at 200, in a header without extensions. */
        sh("printf '\\0\\0\\0\\0\\0\\0\\0\\310\\0\\0\\0\\004' | "
           "dd of=plain bs=1 seek=8 conv=notrunc status=none");
        sh("printf base | dd of=plain bs=1 seek=200 conv=notrunc status=none");
        refused("plain", ERR_UNSUPPORTED, "not stated");
}

static void what_is_missing_is_named_safely(void **state)
{
        (void)state;
        overlay("top", "no\033[31m", "raw");
        refused("top", ERR_IO, "no\\x1b[31m: open: No such file");
}

/* ---- files that the caller knows -------------------------------------------
 */

/* QEMU may have been told another base than the image names. */
static void a_base_that_is_given_counts_not_the_named(void **state)
{
        const char *paths[] = {"top", "given"};
        const enum image_format formats[] = {IMAGE_QCOW2, IMAGE_RAW};
        struct err err = ERR_INIT;
        struct chain *c = NULL;
        uint8_t bytes[2];

        (void)state;
        sh("truncate -s 1M named");
        sh("head -c 1M /dev/zero | tr '\\0' g > given");
        overlay("top", "named", "raw");
        assert_done(chain_open(paths, formats, 2, &c, &err), &err);
        assert_null(c->files[0].image);
        assert_done(chain_load(c, &err), &err);
        assert_done(chain_load(c, &err), &err);
        assert_done(chain_read(c, 0, 2, 70000, bytes, 2, &err), &err);
        assert_memory_equal(bytes, "gg", 2);
        chain_close(c);
}

static void a_file_that_is_given_twice_is_refused(void **state)
{
        const char *paths[] = {"one", "two", "./one"};
        const enum image_format formats[] = {IMAGE_RAW, IMAGE_RAW, IMAGE_RAW};
        struct err err = ERR_INIT;
        struct chain *c;

        (void)state;
        sh("truncate -s 1M one two");
        assert_false(chain_open(paths, formats, 3, &c, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_string_equal(err.file, "./one");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(the_first_that_knows_decides),
                IN_DIR(names_are_relative_to_the_overlay),
                IN_DIR(loops_are_refused),
                IN_DIR(deep_chains_are_refused),
                IN_DIR(only_files_of_stated_formats_are_followed),
                IN_DIR(a_format_that_is_not_stated_is_not_guessed),
                IN_DIR(what_is_missing_is_named_safely),
                IN_DIR(a_base_that_is_given_counts_not_the_named),
                IN_DIR(a_file_that_is_given_twice_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
