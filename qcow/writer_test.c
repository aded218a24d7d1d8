/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written, as qemu-img and qemu-io see it. */
#include "base/test.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/limits.h"
#include "qcow/writer.h"

static const uint32_t cluster_sizes[] = {512, 4096, 65536, 2 << 20};

static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The exit status of a shell command. */
static int run(const char *fmt, ...)
{
        char command[2048];
        va_list ap;
        int status;

        va_start(ap, fmt);
        vsnprintf(command, sizeof command, fmt, ap);
        va_end(ap);
        status = system(command);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What is to be found in the image. */
static uint8_t *expected;

static struct qcow2_writer *begin(const struct qcow2_writer_options *o,
                                  int *fd_out)
{
        struct qcow2_writer *w;
        struct err err = ERR_INIT;

        *fd_out = open("image", O_RDWR | O_CREAT | O_EXCL, 0600);
        assert_true(*fd_out >= 0);
        assert_done(qcow2_writer_new(*fd_out, "image", o, &w, &err), &err);
        return w;
}

static void end(struct qcow2_writer *w, const int *fd)
{
        struct err err = ERR_INIT;

        assert_done(qcow2_writer_finish(w, &err), &err);
        qcow2_writer_free(w);
        close(*fd);
        assert_int_equal(run("qemu-img check -q -f qcow2 image"), 0);
}

static void fill(uint8_t *bytes, size_t len, unsigned seed)
{
        uint64_t x = seed * 0x9e3779b97f4a7c15ULL + 1;

        for (size_t i = 0; i < len; i++) {
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                bytes[i] = (uint8_t)(x >> 32) | 1;
        }
}

static void save_file(const char *name, const uint8_t *bytes, size_t len)
{
        int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_true(write(fd, bytes, len) == (ssize_t)len);
        close(fd);
}

static void data(struct qcow2_writer *w, uint64_t offset, size_t len)
{
        struct err err = ERR_INIT;

        fill(expected + offset, len, (unsigned)offset);
        assert_done(qcow2_writer_data(w, offset, expected + offset, len, &err),
                    &err);
}

static void zero(struct qcow2_writer *w, uint64_t offset, size_t len)
{
        struct err err = ERR_INIT;

        memset(expected + offset, 0, len);
        assert_done(qcow2_writer_zero(w, offset, len, &err), &err);
}

/* Data, explicit zeros and gaps, some of them over the end of an L2 table (64
 * clusters of 512 bytes), the last to a disk's end within a cluster. */
static void write_pattern(struct qcow2_writer *w, size_t size, size_t c)
{
        data(w, 0, c);
        zero(w, c, 2 * c);
        data(w, 3 * c, 5 * c);
        data(w, 8 * c, c);
        if (size > 200 * c) {
                data(w, 60 * c, 70 * c);
                zero(w, 130 * c, 64 * c);
        }
        data(w, size / c * c - c, c + size % c);
}

static void one_pattern(size_t c, bool backing)
{
        size_t size = (c <= 65536 ? 300 : 12) * c + (c > 512 ? 512 : 0);
        struct qcow2_writer_options o = {
                .size = size,
                .cluster_size = (uint32_t)c,
                .backing_name = backing ? "base" : NULL,
                .backing_format = "raw",
        };
        struct qcow2_writer *w;
        int fd;

        expected = calloc(1, size);
        assert_non_null(expected);
        if (backing) {
                fill(expected, size, 77);
                save_file("base", expected, size);
        }
        w = begin(&o, &fd);
        write_pattern(w, size, c);
        end(w, &fd);
        save_file("raw", expected, size);
        assert_int_equal(run("qemu-img compare -q -f qcow2 -F raw image raw"),
                         0);
        free(expected);
}

static void qemu_reads_what_was_written(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cluster_sizes / 4; i++)
                for (int backing = 0; backing < 2; backing++) {
                        one_pattern(cluster_sizes[i], backing);
                        unlink("image");
                        unlink("base");
                }
}

/* New tables, new refcounts, copies of clusters with data and with zeros. */
/* Sectors, in clusters of any size: gaps are zeros. */
static void without_a_base_ranges_are_of_any_size(void **state)
{
        size_t size = 5 * MiB + 1536;

        (void)state;
        for (size_t i = 0; i < sizeof cluster_sizes / 4; i++) {
                struct qcow2_writer_options o = {
                        .size = size, .cluster_size = cluster_sizes[i]};
                struct qcow2_writer *w;
                size_t offset = 0;
                int fd;

                expected = calloc(1, size);
                srand(42);
                w = begin(&o, &fd);
                while (offset < size) {
                        size_t len = (size_t)(rand() % 4 ? rand() % 20
                                                         : rand() % 999) *
                                     512;

                        if (len > size - offset)
                                len = size - offset;
                        if (rand() % 3 == 0)
                                zero(w, offset, len);
                        else if (rand() % 2)
                                data(w, offset, len);
                        offset += len;
                }
                end(w, &fd);
                save_file("raw", expected, size);
                assert_int_equal(
                        run("qemu-img compare -q -f qcow2 -F raw image raw"),
                        0);
                free(expected);
                unlink("image");
        }
}

static void qemu_writes_to_it_and_it_stays_clean(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cluster_sizes / 4; i++) {
                uint32_t c = cluster_sizes[i];

                one_pattern(c, true);
                for (unsigned at = 0; at < 12; at++)
                        assert_int_equal(
                                run("qemu-io -f qcow2 -c 'write -q -P 7 %u 512'"
                                    " image && qemu-io -f raw -c "
                                    "'write -q -P 7 %u 512' raw",
                                    at * c, at * c),
                                0);
                assert_int_equal(run("qemu-img check -q -f qcow2 image"), 0);
                assert_int_equal(
                        run("qemu-img compare -q -f qcow2 -F raw image raw"),
                        0);
                unlink("image");
                unlink("base");
        }
}

static void backing_name_and_format_are_kept(void **state)
{
        char name[1024];
        struct qcow2_writer_options o = {.size = MiB,
                                         .cluster_size = 65536,
                                         .backing_name = name,
                                         .backing_format = "qcow2"};
        int fd;

        (void)state;
        /* The longest that there is, of a file that there is. */
        for (size_t n = 0; n < 1018; n += 2)
                memcpy(name + n, "./", 2);
        memcpy(name + 1018, "/base", 6);
        assert_int_equal(run("qemu-img create -q -f qcow2 base 1M"), 0);
        end(begin(&o, &fd), &fd);
        assert_int_equal(
                run("test \"$(qemu-img info --output=json image | jq -r "
                    "'.\"backing-filename\", "
                    ".\"backing-filename-format\"')\" = '%s\nqcow2'",
                    name),
                0);
}

static void an_image_without_data_is_one(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cluster_sizes / 4; i++)
                for (uint64_t size = 0; size <= 64 * MiB; size += 64 * MiB) {
                        struct qcow2_writer_options o = {
                                .size = size, .cluster_size = cluster_sizes[i]};
                        int fd;

                        end(begin(&o, &fd), &fd);
                        assert_int_equal(
                                run("qemu-img info --output=json image | jq -e "
                                    "'.[\"virtual-size\"] == %llu' > /dev/null",
                                    (unsigned long long)size),
                                0);
                        unlink("image");
                }
}

/* Several refcount blocks and, with small clusters, several clusters of the
 * refcount table. */
static void many_small_clusters(void **state)
{
        size_t size = 40 * MiB;
        struct qcow2_writer_options o = {.size = size, .cluster_size = 512};
        struct qcow2_writer *w;
        int fd;

        (void)state;
        expected = calloc(1, size);
        w = begin(&o, &fd);
        for (size_t offset = 0; offset < size; offset += MiB)
                data(w, offset, MiB - (offset % (3 * MiB) ? 0 : 512));
        end(w, &fd);
        save_file("raw", expected, size);
        assert_int_equal(run("qemu-img compare -q -f qcow2 -F raw image raw"),
                         0);
        free(expected);
}

static void ten_tib_of_zeros_cost_little(void **state)
{
        struct qcow2_writer_options o = {.size = 10 * TiB + 100 * GiB,
                                         .cluster_size = 2 << 20,
                                         .backing_name = "base",
                                         .backing_format = "qcow2"};
        struct err err = ERR_INIT;
        struct qcow2_writer *w;
        struct timespec from, to;
        struct stat st;
        int fd;

        (void)state;
        assert_int_equal(run("qemu-img create -q -f qcow2 base 11T && "
                             "qemu-io -f qcow2 -c 'write -q -P 9 60G 4k' base"),
                         0);
        clock_gettime(CLOCK_MONOTONIC, &from);
        w = begin(&o, &fd);
        assert_done(qcow2_writer_zero(w, 50 * GiB, 10 * TiB, &err), &err);
        assert_done(qcow2_writer_finish(w, &err), &err);
        clock_gettime(CLOCK_MONOTONIC, &to);
        qcow2_writer_free(w);
        assert_int_equal(fstat(fd, &st), 0);
        close(fd);
        assert_in_range(st.st_blocks * 512, 40 * MiB, 48 * MiB);
        assert_in_range(to.tv_sec - from.tv_sec, 0, 10);
        assert_int_equal(run("qemu-img check -q -f qcow2 image"), 0);
        assert_int_equal(
                run("qemu-io -r -f qcow2 -c 'read -q -P 0 60G 4k' image"), 0);
}

static void expect_refused(const struct qcow2_writer_options *o,
                           enum status status)
{
        struct err err = ERR_INIT;
        struct qcow2_writer *w;

        assert_false(qcow2_writer_new(-1, "image", o, &w, &err));
        assert_int_equal(err.status, status);
        assert_string_equal(err.file, "image");
}

static void what_no_image_can_be_is_refused(void **state)
{
        char name[1025];
        struct qcow2_writer_options o = {.size = MiB, .cluster_size = 65536};

        (void)state;
        for (uint32_t c = 0; c <= 3 << 20; c = c ? c * 3 : 256) {
                o.cluster_size = c;
                expect_refused(&o, ERR_CORRUPT);
        }
        o.cluster_size = 4 << 20;
        expect_refused(&o, ERR_CORRUPT);
        o.cluster_size = 512;
        o.size = 128 * GiB + 512;
        expect_refused(&o, ERR_LIMIT);
        o.size = UINT64_MAX - 511;
        expect_refused(&o, ERR_LIMIT);
        o.size = MiB + 1;
        expect_refused(&o, ERR_CORRUPT);
        o.size = MiB;
        memset(name, 'n', 1024);
        name[1024] = '\0';
        o.backing_name = name;
        o.backing_format = "raw";
        o.cluster_size = 65536;
        expect_refused(&o, ERR_LIMIT);
        name[400] = '\0';
        o.cluster_size = 512;
        expect_refused(&o, ERR_LIMIT);
}

static void ranges_that_do_not_fit_are_refused(void **state)
{
        static const struct {
                uint64_t offset, len;
        } bad[] = {
                {2 * 4096, 4096}, /* again                        */
                {0, 4096},        /* before                       */
                {4096, 3 * 4096}, /* over                         */
                {5 * 4096, 100},  /* part of a cluster            */
                {5 * 4096 + 512, 4096 - 512},
                {40960, 4096}, /* over the end: the disk's last cluster */
                {45056, 4096},
                {40960 + 512, 4096},
                {UINT64_MAX - 4095, 8192},
                {5 * 4096, UINT64_MAX - 4095},
        };
        struct qcow2_writer_options o = {.size = 40960 + 512,
                                         .cluster_size = 4096,
                                         .backing_name = "base",
                                         .backing_format = "qcow2"};
        struct qcow2_writer *w;
        int fd;

        (void)state;
        assert_int_equal(run("qemu-img create -q -f qcow2 base 1M"), 0);
        expected = calloc(1, 65536);
        w = begin(&o, &fd);
        data(w, 2 * 4096, 4096);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;

                assert_false(
                        qcow2_writer_zero(w, bad[i].offset, bad[i].len, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                err_clear(&err);
                if (bad[i].len > 65536)
                        continue;
                assert_false(qcow2_writer_data(w, bad[i].offset, expected,
                                               bad[i].len, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
        }
        data(w, 3 * 4096, 4096);
        data(w, 40960, 512);
        end(w, &fd);
        free(expected);
}

static void unfinished_it_is_no_image(void **state)
{
        struct qcow2_writer_options o = {.size = MiB, .cluster_size = 4096};
        struct qcow2_writer *w;
        int fd;

        (void)state;
        expected = calloc(1, MiB);
        w = begin(&o, &fd);
        data(w, 0, MiB);
        qcow2_writer_free(w);
        close(fd);
        assert_int_not_equal(
                run("qemu-img info -f qcow2 image > /dev/null 2>&1"), 0);
        free(expected);
}

/* At each place where room can end. */
static void where_room_ends_there_is_no_image(void **state)
{
        struct qcow2_writer_options o = {.size = MiB, .cluster_size = 4096};
        struct rlimit before, limit;
        rlim_t room;

        (void)state;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        expected = calloc(1, MiB);
        fill(expected, MiB, 5);
        for (room = 0;; room += 2048) {
                struct err err = ERR_INIT;
                struct qcow2_writer *w;
                uint8_t magic[4] = {0};
                int fd;
                bool ok;

                limit = before;
                limit.rlim_cur = room;
                assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
                w = begin(&o, &fd);
                ok = true;
                for (uint64_t at = 0; ok && at < 32768; at += 8192)
                        ok = qcow2_writer_data(w, at, expected, 4096, &err);
                ok = ok && qcow2_writer_finish(w, &err);
                setrlimit(RLIMIT_FSIZE, &before);
                qcow2_writer_free(w);
                assert_true(pread(fd, magic, 4, 0) >= 0);
                close(fd);
                unlink("image");
                assert_int_equal(ok, memcmp(magic, "QFI\xfb", 4) == 0);
                if (ok)
                        break;
                assert_int_equal(err.status, ERR_IO);
                assert_string_equal(err.file, "image");
        }
        /* Header, data, L2, L1, refcounts, their table. */
        assert_int_equal(room, (1 + 4 + 1 + 1 + 1 + 1) * 4096);
        free(expected);
}

static void a_write_that_fails_is_told(void **state)
{
        struct qcow2_writer_options o = {.size = MiB, .cluster_size = 4096};
        struct err err = ERR_INIT;
        struct qcow2_writer *w;
        int fd = open("image", O_RDONLY | O_CREAT, 0600);

        (void)state;
        assert_done(qcow2_writer_new(fd, "image", &o, &w, &err), &err);
        assert_false(qcow2_writer_finish(w, &err));
        assert_int_equal(err.status, ERR_IO);
        assert_string_equal(err.file, "image");
        qcow2_writer_free(w);
        close(fd);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(qemu_reads_what_was_written),
                IN_DIR(without_a_base_ranges_are_of_any_size),
                IN_DIR(qemu_writes_to_it_and_it_stays_clean),
                IN_DIR(backing_name_and_format_are_kept),
                IN_DIR(an_image_without_data_is_one),
                IN_DIR(many_small_clusters),
                IN_DIR(ten_tib_of_zeros_cost_little),
                IN_DIR(what_no_image_can_be_is_refused),
                IN_DIR(ranges_that_do_not_fit_are_refused),
                IN_DIR(unfinished_it_is_no_image),
                IN_DIR(where_room_ends_there_is_no_image),
                IN_DIR(a_write_that_fails_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
