/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files; tests/disks/place.sh has the devices. */
#include "base/test.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "qcow/lock.h"
#include "restore/place.h"

static const struct place_options careful = {.size = 4096};
static const struct place_options bold = {.size = 4096, .overwrite = true};

static void put(const char *path, const char *text)
{
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static void expect_text(const char *path, const char *want)
{
        char text[64] = "";
        FILE *f = fopen(path, "r");

        assert_non_null(f);
        assert_true(fread(text, 1, sizeof text - 1, f) == strlen(want));
        fclose(f);
        assert_string_equal(text, want);
}

static struct place *begin(const struct place_options *o)
{
        struct err err = ERR_INIT;
        struct place *p;

        assert_done(place_open("disk", o, &p, &err), &err);
        assert_false(place_is_device(p));
        assert_true(write(place_fd(p), "new", 3) == 3);
        return p;
}

static struct place *done(const struct place_options *o)
{
        struct place *p = begin(o);
        struct err err = ERR_INIT;

        assert_done(place_commit(p, &err), &err);
        return p;
}

static void expect_refused(const char *path, const struct place_options *o,
                           enum status status, const char *why)
{
        struct err err = ERR_INIT;
        struct place *p;

        assert_false(place_open(path, o, &p, &err));
        assert_string_equal(err.why, why);
        assert_int_equal(err.status, status);
        assert_string_equal(err.file, path);
}

static void a_file_appears_when_it_is_whole(void **state)
{
        struct place *p = begin(&careful);

        (void)state;
        assert_int_equal(access("disk", F_OK), -1);
        place_close(p);
        assert_int_equal(test_count_files(), 0);
        place_close(done(&careful));
        expect_text("disk", "new");
        assert_int_equal(test_count_files(), 1);
}

static void what_is_there_stays(void **state)
{
        (void)state;
        put("disk", "old");
        expect_refused("disk", &careful, ERR_USAGE,
                       "exists and holds 3 bytes of something unknown; "
                       "--overwrite writes over it");
        expect_text("disk", "old");
        assert_int_equal(test_count_files(), 1);
}

static void a_file_system_is_named(void **state)
{
        (void)state;
        assert_int_equal(
                system("PATH=$PATH:/usr/sbin:/sbin; truncate -s 8M disk && "
                       "mke2fs -q -t ext4 -L root -U "
                       "11111111-1111-4111-8111-111111111111 disk && "
                       "qemu-img convert -O qcow2 disk image"),
                0);
        expect_refused("disk", &careful, ERR_USAGE,
                       "exists and holds ext4 'root' (UUID "
                       "11111111-1111-4111-8111-111111111111); --overwrite "
                       "writes over it");
        expect_refused("image", &careful, ERR_USAGE,
                       "exists and holds a qcow2 image with ext4 'root' (UUID "
                       "11111111-1111-4111-8111-111111111111); --overwrite "
                       "writes over it");
        /* Its base is gone. */
        assert_int_equal(system("qemu-img create -q -f qcow2 -b disk -F raw "
                                "overlay && rm disk"),
                         0);
        expect_refused("overlay", &careful, ERR_USAGE,
                       "exists and holds a qcow2 image; --overwrite writes "
                       "over it");
}

static void when_told_so_it_is_replaced_at_once(void **state)
{
        struct place *p;

        (void)state;
        put("disk", "old");
        p = begin(&bold);
        expect_text("disk", "old");
        place_close(p);
        expect_text("disk", "old");
        place_close(done(&bold));
        expect_text("disk", "new");
        assert_int_equal(test_count_files(), 1);
}

/* As mktemp makes them. */
static void an_empty_file_is_nothing_to_lose(void **state)
{
        (void)state;
        put("disk", "");
        place_close(done(&careful));
        expect_text("disk", "new");
}

static void what_is_in_use_is_refused_always(void **state)
{
        struct err err = ERR_INIT, seen = ERR_INIT;
        int fd, other;

        (void)state;
        put("disk", "old");
        fd = open("disk", O_RDONLY);
        other = open("disk", O_RDONLY);
        assert_done(lock_hold(fd, "disk", LOCK_TO_READ, &err), &err);
        assert_false(lock_check(other, "disk", LOCK_TO_WRITE, &seen));
        expect_refused("disk", &careful, ERR_MISMATCH, seen.why);
        expect_refused("disk", &bold, ERR_MISMATCH, seen.why);
        close(fd);
        close(other);
        place_close(done(&bold));
}

static void what_will_be_replaced_is_not_used_until_then(void **state)
{
        struct place *p;

        (void)state;
        put("disk", "old");
        p = begin(&bold);
        assert_int_not_equal(
                system("qemu-io -f raw -c 'read 0 1' disk > /dev/null 2>&1"),
                0);
        place_close(p);
        assert_int_equal(system("qemu-io -f raw -c 'read -q 0 1' disk"), 0);
}

static void nothing_but_files_and_block_devices(void **state)
{
        static const char why[] = "is neither a file nor a block device: a "
                                  "disk goes nowhere else";
        struct sockaddr_un address = {.sun_family = AF_UNIX,
                                      .sun_path = "socket"};
        struct err err = ERR_INIT;
        struct place *p;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        (void)state;
        assert_int_equal(mkfifo("fifo", 0600), 0);
        assert_int_equal(bind(fd, (void *)&address, sizeof address), 0);
        close(fd);
        expect_refused("fifo", &bold, ERR_USAGE, why);
        expect_refused("socket", &bold, ERR_USAGE, why);
        expect_refused(".", &bold, ERR_USAGE, why);
        expect_refused("/dev/null", &bold, ERR_USAGE, why);
        /* A link to nowhere is not written through. */
        assert_int_equal(symlink("nowhere", "link"), 0);
        assert_false(place_open("link", &bold, &p, &err));
        assert_int_equal(err.status, ERR_USAGE);
        err_clear(&err);
        assert_false(place_open("no/such/directory", &bold, &p, &err));
        assert_int_equal(err.status, ERR_IO);
}

static void undone_a_new_file_is_gone(void **state)
{
        struct place *p = done(&careful);

        (void)state;
        expect_text("disk", "new");
        place_undo(p);
        place_close(p);
        assert_int_equal(test_count_files(), 0);
}

static void undone_what_somebody_uses_stays(void **state)
{
        struct err err = ERR_INIT;
        struct place *p = done(&careful);
        int fd = open("disk", O_RDWR);

        (void)state;
        assert_done(lock_hold(fd, "disk", LOCK_TO_READ, &err), &err);
        place_undo(p);
        expect_text("disk", "new");
        lock_drop(fd);
        usleep(20000); /* a tick of the clock that files are dated by */
        assert_true(write(fd, "x", 1) == 1);
        place_undo(p);
        expect_text("disk", "xew");
        close(fd);
        place_close(p);
}

static void undone_what_is_no_longer_ours_stays(void **state)
{
        struct place *p = done(&careful);

        (void)state;
        put("other", "other");
        assert_int_equal(rename("other", "disk"), 0);
        place_undo(p);
        expect_text("disk", "other");
        place_close(p);
        p = done(&bold);
        place_undo(p);
        place_close(p);
        expect_text("disk", "new");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(a_file_appears_when_it_is_whole),
                IN_DIR(what_is_there_stays),
                IN_DIR(a_file_system_is_named),
                IN_DIR(when_told_so_it_is_replaced_at_once),
                IN_DIR(an_empty_file_is_nothing_to_lose),
                IN_DIR(what_is_in_use_is_refused_always),
                IN_DIR(what_will_be_replaced_is_not_used_until_then),
                IN_DIR(nothing_but_files_and_block_devices),
                IN_DIR(undone_a_new_file_is_gone),
                IN_DIR(undone_what_somebody_uses_stays),
                IN_DIR(undone_what_is_no_longer_ours_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
