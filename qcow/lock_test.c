/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locks as real QEMU programs take and respect them. */
#include "base/test.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>

#include "qcow/lock.h"

extern char **environ;

static const char *emulator(void)
{
        const char *qemu = getenv("QEMU");

        return qemu && qemu[0] ? qemu : "qemu-system-x86_64";
}

static int run(const char *command)
{
        int status = system(command);

        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A program that says a word on its stdout once it holds the image. */
struct user {
        pid_t pid; /* 0: none */
        int in, out;
};

/* At most one at a time, so that a test that fails leaves none. */
static struct user user;

static void stop(void)
{
        if (!user.pid)
                return;
        kill(user.pid, SIGKILL);
        waitpid(user.pid, NULL, 0);
        close(user.in);
        close(user.out);
        user.pid = 0;
}

static int enter(void **state)
{
        return test_enter_dir(state) ||
               run("qemu-img create -q -f qcow2 base 1M && "
                   "qemu-img create -q -f qcow2 -b base -F qcow2 image");
}

static int leave(void **state)
{
        stop();
        return test_leave_dir(state);
}

#define WITH_IMAGE(test) cmocka_unit_test_setup_teardown(test, enter, leave)

static void start(const char *shell)
{
        char *argv[] = {(char *)"sh", (char *)"-c", (char *)shell, NULL};
        posix_spawn_file_actions_t actions;
        int in[2], out[2];
        char byte;

        assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        assert_int_equal(
                posix_spawnp(&user.pid, "sh", &actions, NULL, argv, environ),
                0);
        posix_spawn_file_actions_destroy(&actions);
        close(in[0]);
        close(out[1]);
        user.in = in[1];
        user.out = out[0];
        assert_true(read(user.out, &byte, 1) == 1);
}

/* A VM that waits to be started, its monitor on stdout: the greeting comes
 * when the images are open. */
static void vm(const char *drive)
{
        char shell[512];

        snprintf(shell, sizeof shell,
                 "exec %s -M pc -S -display none -nodefaults -qmp stdio "
                 "-drive if=none,id=d,file=image,format=qcow2%s "
                 "-device virtio-blk-pci,drive=d",
                 emulator(), drive);
        start(shell);
}

static void expect(const char *path, enum lock_use use, const char *why)
{
        struct err err = ERR_INIT;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        if (!why) {
                assert_done(lock_check(fd, path, use, &err), &err);
        } else {
                assert_false(lock_check(fd, path, use, &err));
                assert_int_equal(err.status, ERR_MISMATCH);
                assert_string_equal(err.why, why);
                assert_string_equal(err.file, path);
                err_clear(&err);
                assert_false(lock_hold(fd, path, use, &err));
                assert_string_equal(err.why, why);
        }
        close(fd);
}

/* The first 15 bytes of the name of what runs, and who. */
static const char *said(const char *what, pid_t pid, char out[128])
{
        char path[64], comm[64] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
        f = fopen(path, "r");
        assert_non_null(fgets(comm, sizeof comm, f));
        fclose(f);
        comm[strcspn(comm, "\n")] = '\0';
        snprintf(out, 128, "%s %s (pid %d)", what, comm, (int)pid);
        return out;
}

static void a_running_vm_is_named(void **state)
{
        char why[128];

        (void)state;
        vm("");
        expect("image", LOCK_TO_READ,
               said("is being written by", user.pid, why));
        expect("image", LOCK_TO_WRITE, said("is in use by", user.pid, why));
        /* Its base is only read. */
        expect("base", LOCK_TO_READ, NULL);
        expect("base", LOCK_TO_WRITE, said("is in use by", user.pid, why));
        stop();
        expect("image", LOCK_TO_WRITE, NULL);
        expect("base", LOCK_TO_WRITE, NULL);
}

static void a_reader_is_in_the_way_of_a_writer_only(void **state)
{
        char why[128];

        (void)state;
        vm(",readonly=on");
        expect("image", LOCK_TO_READ, NULL);
        expect("image", LOCK_TO_WRITE, said("is in use by", user.pid, why));
        stop();
}

static void one_that_shares_is_in_the_way_too(void **state)
{
        char why[128];

        (void)state;
        vm(",file.locking=on -global "
           "virtio-blk-pci.share-rw=on");
        expect("image", LOCK_TO_READ,
               said("is being written by", user.pid, why));
        expect("image", LOCK_TO_WRITE, said("is in use by", user.pid, why));
        stop();
}

#define QEMU_WRITES                                                            \
        "qemu-io -f qcow2 -c 'write -q 0 512' image > /dev/null 2>&1"
#define QEMU_READS                                                             \
        "qemu-io -r -f qcow2 -c 'read -q 0 512' image > /dev/null 2>&1"

static void what_is_held_for_reading_is_not_written(void **state)
{
        int fd = open("image", O_RDONLY | O_CLOEXEC), other;
        struct err err = ERR_INIT;
        char why[128];

        (void)state;
        assert_done(lock_hold(fd, "image", LOCK_TO_READ, &err), &err);
        assert_int_equal(run(QEMU_WRITES), 1);
        assert_int_equal(run(QEMU_READS), 0);
        expect("image", LOCK_TO_READ, NULL);
        expect("image", LOCK_TO_WRITE, said("is in use by", getpid(), why));
        /* Two that read. */
        other = open("image", O_RDONLY | O_CLOEXEC);
        assert_done(lock_hold(other, "image", LOCK_TO_READ, &err), &err);
        lock_drop(fd);
        assert_int_equal(run(QEMU_WRITES), 1);
        close(other);
        assert_int_equal(run(QEMU_WRITES), 0);
        close(fd);
}

static void what_is_held_for_writing_is_not_used(void **state)
{
        int fd = open("image", O_RDWR | O_CLOEXEC);
        struct err err = ERR_INIT;
        char why[128];

        (void)state;
        assert_done(lock_hold(fd, "image", LOCK_TO_WRITE, &err), &err);
        assert_int_equal(run(QEMU_WRITES), 1);
        assert_int_equal(run(QEMU_READS), 1);
        expect("image", LOCK_TO_READ,
               said("is being written by", getpid(), why));
        lock_drop(fd);
        assert_int_equal(run(QEMU_READS), 0);
        assert_int_equal(run(QEMU_WRITES), 0);
        close(fd);
}

static bool locked(int fd)
{
        struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

        assert_int_equal(fcntl(fd, F_OFD_GETLK, &f), 0);
        return f.l_type != F_UNLCK;
}

/* A QEMU must not meet what we left. */
static void looking_and_failing_leave_no_lock(void **state)
{
        int fd = open("base", O_RDWR | O_CLOEXEC);
        int other = open("base", O_RDWR | O_CLOEXEC);
        int third = open("base", O_RDWR | O_CLOEXEC);
        struct err err = ERR_INIT;

        (void)state;
        assert_done(lock_check(fd, "base", LOCK_TO_READ, &err), &err);
        assert_done(lock_check(fd, "base", LOCK_TO_WRITE, &err), &err);
        assert_false(locked(other));
        assert_done(lock_hold(other, "base", LOCK_TO_READ, &err), &err);
        assert_false(lock_hold(fd, "base", LOCK_TO_WRITE, &err));
        lock_drop(other);
        assert_false(locked(third));
        close(fd);
        close(other);
        close(third);
}

static void qemu_nbd_is_named(void **state)
{
        struct timespec moment = {.tv_nsec = 10000000};
        struct err err = ERR_INIT;
        int fd = open("image", O_RDONLY | O_CLOEXEC);
        char why[128];

        (void)state;
        start("echo; exec qemu-nbd -f qcow2 -k \"$PWD/socket\" image");
        for (unsigned i = 0;
             i < 1000 && lock_check(fd, "image", LOCK_TO_READ, &err); i++)
                nanosleep(&moment, NULL);
        close(fd);
        expect("image", LOCK_TO_READ,
               said("is being written by", user.pid, why));
        stop();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                WITH_IMAGE(a_running_vm_is_named),
                WITH_IMAGE(a_reader_is_in_the_way_of_a_writer_only),
                WITH_IMAGE(one_that_shares_is_in_the_way_too),
                WITH_IMAGE(what_is_held_for_reading_is_not_written),
                WITH_IMAGE(what_is_held_for_writing_is_not_used),
                WITH_IMAGE(looking_and_failing_leave_no_lock),
                WITH_IMAGE(qemu_nbd_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
