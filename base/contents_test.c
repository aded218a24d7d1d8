/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What mke2fs, mkswap and sfdisk made is found. */
#include "base/test.h"

#include "base/contents.h"
#include "base/io.h"
#include "base/limits.h"

#define UUID_A "11111111-1111-4111-8111-111111111111"
#define UUID_B "22222222-2222-4222-8222-222222222222"
#define UUID_C "33333333-3333-4333-8333-333333333333"

struct disk {
        int fd;
        uint64_t read, size; /* bytes read; zeros behind the file's end */
};

static bool read_disk(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                      struct err *err)
{
        struct disk *d = arg;
        ssize_t n = pread(d->fd, bytes, len, (off_t)offset);

        assert_true(offset <= d->size && len <= d->size - offset);
        if (n < 0)
                return err_set(err, ERR_IO, "this disk cannot be read");
        memset(bytes + n, 0, len - (size_t)n);
        d->read += len;
        return true;
}

/* Of "disk", taken as one of that size (0: its own). */
static json_t *look(uint64_t size, uint64_t *read_out)
{
        struct disk d = {.fd = open("disk", O_RDONLY), .size = size};
        struct err err = ERR_INIT;
        struct stat st;
        json_t *list;

        assert_int_equal(fstat(d.fd, &st), 0);
        if (!size)
                d.size = (uint64_t)st.st_size;
        assert_done(contents_probe(read_disk, &d, d.size, &list, &err), &err);
        close(d.fd);
        if (read_out)
                *read_out = d.read;
        return list;
}

/* mke2fs and its kin need not be on a user's path. */
static int find_tools(void **state)
{
        char path[4096];

        (void)state;
        snprintf(path, sizeof path, "%s:/usr/sbin:/sbin", getenv("PATH"));
        return setenv("PATH", path, 1);
}

static void make(const char *command)
{
        assert_int_equal(system("rm -f disk && truncate -s 64M disk"), 0);
        if (system(command) != 0)
                fail_msg("%s", command);
}

static void expect(const char *want)
{
        json_t *list = look(0, NULL);
        json_t *wanted = json_loads(want, 0, NULL);
        char *text = json_dumps(list, JSON_COMPACT);

        assert_non_null(wanted);
        if (!json_equal(list, wanted))
                fail_msg("found %s", text);
        free(text);
        json_decref(list);
        json_decref(wanted);
}

static void expect_words(const char *want)
{
        json_t *list = look(0, NULL);
        char words[300];

        assert_string_equal(contents_words(list, words, sizeof words), want);
        json_decref(list);
}

static void nothing_is_nothing(void **state)
{
        (void)state;
        make(":");
        expect("[]");
        expect_words("");
        assert_int_equal(truncate("disk", 512), 0);
        expect("[]");
        make("head -c 4M /dev/zero | tr '\\0' x > disk");
        expect("[]");
}

static void a_disk_without_bytes_holds_nothing(void **state)
{
        struct disk d = {.fd = -1};
        struct err err = ERR_INIT;
        json_t *list;

        (void)state;
        assert_done(contents_probe(read_disk, &d, 0, &list, &err), &err);
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
}

static void a_file_system_is_named(void **state)
{
        (void)state;
        make("mke2fs -q -t ext4 -L root -U " UUID_A " disk");
        expect("[{\"offset\":0, \"size\":67108864, \"type\":\"ext4\","
               " \"usage\":\"filesystem\", \"label\":\"root\","
               " \"uuid\":\"" UUID_A "\"}]");
        expect_words("ext4 'root' (UUID " UUID_A ")");
        make("mkswap -U " UUID_B " disk > /dev/null 2>&1");
        expect("[{\"offset\":0, \"size\":67108864, \"type\":\"swap\","
               " \"usage\":\"other\", \"uuid\":\"" UUID_B "\"}]");
        expect_words("swap (UUID " UUID_B ")");
}

#define GPT                                                                    \
        "printf '%s\\n' 'label: gpt' 'label-id: " UUID_C "' "                  \
        "'start=2048,size=40960' 'start=43008,size=8192' "                     \
        "'start=51200,size=40960' | "                                          \
        "sfdisk -q disk && "                                                   \
        "mke2fs -q -t ext4 -L boot -U " UUID_A                                 \
        " -E offset=1048576 disk 20480 && "                                    \
        "mke2fs -q -t ext4 -L \"o'\\\\dd\" -U " UUID_B                         \
        " -E offset=26214400 disk 20480"

static void partitions_are_looked_into(void **state)
{
        (void)state;
        make(GPT);
        expect("[{\"offset\":0, \"size\":67108864,"
               " \"partition_table\":\"gpt\", \"uuid\":\"" UUID_C "\"},"
               " {\"offset\":1048576, \"size\":20971520, \"type\":\"ext4\","
               " \"usage\":\"filesystem\", \"label\":\"boot\","
               " \"uuid\":\"" UUID_A "\"},"
               " {\"offset\":22020096, \"size\":4194304},"
               " {\"offset\":26214400, \"size\":20971520, \"type\":\"ext4\","
               " \"usage\":\"filesystem\", \"label\":\"o'\\\\dd\","
               " \"uuid\":\"" UUID_B "\"}]");
        expect_words("gpt partition table (UUID " UUID_C "); "
                     "ext4 'boot' (UUID " UUID_A ") at 1048576; "
                     "ext4 'o'\\x5cdd' (UUID " UUID_B ") at 26214400");
}

/* Each boot record of the chain lies behind the partition before it. */
static void logical_partitions_are_found(void **state)
{
        (void)state;
        make("printf '%s\\n' 'label: dos' 'label-id: 0x12345678' "
             "'start=2048,size=2048' 'start=4096,size=122880,type=5' "
             "'start=6144,size=20480' 'start=30720,size=20480' "
             "'start=61440,size=20480' | sfdisk -q disk && "
             "mke2fs -q -t ext4 -U " UUID_A " -E offset=31457280 disk 10240");
        expect("[{\"offset\":0, \"size\":67108864,"
               " \"partition_table\":\"dos\", \"uuid\":\"12345678\"},"
               " {\"offset\":1048576, \"size\":1048576},"
               " {\"offset\":2097152, \"size\":62914560},"
               " {\"offset\":3145728, \"size\":10485760},"
               " {\"offset\":15728640, \"size\":10485760},"
               " {\"offset\":31457280, \"size\":10485760, \"type\":\"ext4\","
               " \"usage\":\"filesystem\", \"uuid\":\"" UUID_A "\"}]");
}

static void what_has_several_signatures_is_ambivalent(void **state)
{
        (void)state;
        make("mke2fs -q -t ext4 disk && printf -- '-rom1fs-' | "
             "dd of=disk conv=notrunc status=none");
        expect("[{\"offset\":0, \"size\":67108864, \"type\":\"ambivalent\"}]");
        expect_words("signatures of several kinds");
}

/* A table that tells of more than the disk has, or than is looked at. */
static void a_lying_table_is_harmless(void **state)
{
        json_t *list;

        (void)state;
        make("printf '%s\\n' 'label: dos' 'start=2048,size=2048' "
             "'start=51200,size=40960' | sfdisk -q disk");
        assert_int_equal(truncate("disk", 30 * MiB), 0);
        list = look(0, NULL);
        assert_int_equal(json_array_size(list), 3);
        assert_int_equal(json_integer_value(json_object_get(
                                 json_array_get(list, 2), "size")),
                         5 * MiB);
        json_decref(list);
        make("truncate -s 300M disk && { printf 'label: gpt\\ntable-length: "
             "256\\n'; yes size=2048 | head -n 200; } | sfdisk -q disk");
        list = look(0, NULL);
        assert_int_equal(json_array_size(list), 1 + 128);
        json_decref(list);
}

/* A chain of boot records that ends in itself. */
static void a_chain_without_end_ends(void **state)
{
        json_t *list;

        (void)state;
        make("printf '%s\\n' 'label: dos' 'start=4096,size=122880,type=5' "
             "'start=6144,size=20480' 'start=30720,size=20480' "
             "| sfdisk -q disk && for at in 2097614 2098126; do printf "
             "'\\0\\0\\0\\0\\005\\0\\0\\0\\1\\0\\0\\0\\1\\0\\0\\0' | "
             "dd of=disk bs=1 seek=$at conv=notrunc status=none; done; "
             "printf '\\125\\252' | "
             "dd of=disk bs=1 seek=2098174 conv=notrunc status=none");
        list = look(0, NULL);
        assert_in_range(json_array_size(list), 2, 129);
        json_decref(list);
}

static void a_disk_of_any_size_is_cheap(void **state)
{
        uint64_t read;
        json_t *list;

        (void)state;
        make("mke2fs -q -t ext4 -L root disk");
        list = look(1ULL << 60, &read);
        assert_int_equal(json_array_size(list), 1);
        assert_in_range(read, 2 * CONTENTS_EDGE, 2 * CONTENTS_EDGE);
        json_decref(list);
}

static void a_label_that_is_no_text_is_escaped(void **state)
{
        (void)state;
        make("mke2fs -q -t ext4 -U " UUID_A " -L \"$(printf 'a\\377b')\" disk");
        expect("[{\"offset\":0, \"size\":67108864, \"type\":\"ext4\","
               " \"usage\":\"filesystem\", \"label\":\"a\\\\xffb\","
               " \"uuid\":\"" UUID_A "\"}]");
}

static void a_disk_that_cannot_be_read_is_an_error(void **state)
{
        struct disk d = {.fd = -1, .size = MiB};
        struct err err = ERR_INIT;
        json_t *list;

        (void)state;
        assert_false(contents_probe(read_disk, &d, MiB, &list, &err));
        assert_string_equal(err.why, "this disk cannot be read");
}

static void words_are_cut_where_room_ends(void **state)
{
        json_t *list;
        char words[24];

        (void)state;
        make(GPT);
        list = look(0, NULL);
        assert_string_equal(contents_words(list, words, sizeof words),
                            "gpt partition table (UU");
        json_decref(list);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(nothing_is_nothing),
                cmocka_unit_test(a_disk_without_bytes_holds_nothing),
                IN_DIR(a_file_system_is_named),
                IN_DIR(partitions_are_looked_into),
                IN_DIR(logical_partitions_are_found),
                IN_DIR(what_has_several_signatures_is_ambivalent),
                IN_DIR(a_lying_table_is_harmless),
                IN_DIR(a_chain_without_end_ends),
                IN_DIR(a_disk_of_any_size_is_cheap),
                IN_DIR(a_label_that_is_no_text_is_escaped),
                IN_DIR(a_disk_that_cannot_be_read_is_an_error),
                IN_DIR(words_are_cut_where_room_ends),
        };

        return cmocka_run_group_tests(tests, find_tools, NULL);
}
