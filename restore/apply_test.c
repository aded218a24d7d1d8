/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a target gets from a damaged snapshot: never device state, so never a
 * guest that runs.
 */
#include "restore/apply.h"

#include "restore/fixture.h"

#include <pthread.h>

/* The one device's payload: with it, a target has what it needs to run. */
#define DEVICE_STATE "\x12\x34\x56\x78\x9a\xbc\xde\xf0"

struct pump {
        int fd;
        const uint8_t *bytes;
        size_t len;
};

static void *pump_main(void *arg)
{
        struct pump *p = arg;

        for (size_t at = 0; at < p->len;) {
                ssize_t n = write(p->fd, p->bytes + at, p->len - at);

                if (n <= 0)
                        break;
                at += (size_t)n;
        }
        close(p->fd);
        return NULL;
}

static bool apply_fd(int in, int out, bool return_path, struct err *err)
{
        struct reader_options options = {.threads = 1};
        struct apply_options apply = {.return_path = return_path};
        struct apply_report report;
        struct reader *r;
        bool ok;

        if (!reader_open(in, "snapshot", &options, &r, err))
                return false;
        ok = apply_run(r, out, "target", &apply, &report, err);
        reader_close(r);
        return ok;
}

/* Applies bytes, as a file or through a pipe, into a file in memory. */
static bool apply(const uint8_t *bytes, size_t len, bool pipe_in, int *out,
                  struct err *err)
{
        struct pump p = {.bytes = bytes, .len = len};
        pthread_t thread;
        int fds[2];
        bool ok;

        *out = memfd_create("stream", MFD_CLOEXEC);
        if (!pipe_in) {
                int in = memfd_create("snapshot", MFD_CLOEXEC);

                assert_int_equal(write(in, bytes, len), len);
                ok = apply_fd(in, *out, false, err);
                close(in);
                return ok;
        }
        assert_int_equal(pipe(fds), 0);
        p.fd = fds[1];
        assert_int_equal(pthread_create(&thread, NULL, pump_main, &p), 0);
        ok = apply_fd(fds[0], *out, false, err);
        close(fds[0]);
        pthread_join(thread, NULL);
        return ok;
}

static bool holds(int fd, const char *what, size_t len)
{
        size_t size;
        uint8_t *bytes = fixture_bytes(fd, &size);
        bool found = memmem(bytes, size, what, len) != NULL;

        free(bytes);
        return found;
}

static void sound_snapshot_gives_the_whole_stream(void **state)
{
        struct fixture f = {.again = 1};
        int fd = fixture_new(&f), out;
        struct err err = ERR_INIT;
        uint8_t *bytes;
        size_t len;

        (void)state;
        bytes = fixture_bytes(fd, &len);
        for (int piped = 0; piped < 2; piped++) {
                assert_done(apply(bytes, len, piped, &out, &err), &err);
                assert_true(holds(out, DEVICE_STATE, 8));
                assert_true(holds(out, FIXTURE_VMDESC, strlen(FIXTURE_VMDESC)));
                /* rom has no chunk: its page is sent as zeros */
                assert_true(holds(out, "\0\0\0\0\0\0\0\2\3rom\0", 13));
                close(out);
        }
        free(bytes);
        close(fd);
}

static void return_path_is_asked_for_behind_the_configuration(void **state)
{
        static const char want[] = "\7\0\0\0\13pc-i440fx-1\10\0\1\0\0\10\0\2"
                                   "\0\4\0\0\0\1\1";
        struct fixture f = {.plain = false};
        int fd = fixture_new(&f), out = memfd_create("stream", MFD_CLOEXEC);
        struct err err = ERR_INIT;

        (void)state;
        assert_done(apply_fd(fd, out, true, &err), &err);
        assert_true(holds(out, want, sizeof want - 1));
        close(out);
        close(fd);
}

/* Where the bytes are in the stream; they must be. */
static size_t place(const uint8_t *bytes, size_t size, const void *what,
                    size_t len)
{
        const uint8_t *at = memmem(bytes, size, what, len);

        assert_non_null(at);
        return (size_t)(at - bytes);
}

#define PLACE(text) place(stream, size, text, sizeof(text) - 1)

static void disks_come_as_block_migration_before_its_end(void **state)
{
        static const char end[] = "\3\0\0\0\1\0\0\0\0\0\0\0\2\x7e\0\0\0\1";
        struct fixture f = {.disks = true};
        int fd = fixture_new(&f), out;
        struct err err = ERR_INIT;
        uint8_t *bytes, *stream;
        size_t len, size, at;

        (void)state;
        bytes = fixture_bytes(fd, &len);
        for (int piped = 0; piped < 2; piped++) {
                assert_done(apply(bytes, len, piped, &out, &err), &err);
                stream = fixture_bytes(out, &size);
                at = PLACE("\1\0\0\0\1\5block");
                /* d0: zeros, then data; nothing of what it does not have */
                assert_true(PLACE("\2\0\0\0\1\0\0\0\0\0\x10\0\x09\2d0"
                                  "\0\0\0\0\0\0\0\2\x7e\0\0\0\1") > at);
                assert_true(PLACE("\2\0\0\0\1\0\0\0\0\0\x30\0\1\2d0") > at);
                assert_null(memmem(stream, size, "\0\0\0\0\0\0\0\x09\2d0", 11));
                /* d1: data; its gaps as zeros */
                assert_true(PLACE("\2\0\0\0\1\0\0\0\0\0\x20\0\1\2d1") > at);
                at = PLACE("\2\0\0\0\1\0\0\0\0\0\0\0\x09\2d1"
                           "\0\0\0\0\0\x10\0\x09\2d1"
                           "\0\0\0\0\0\0\0\2\x7e\0\0\0\1");
                at = PLACE("\2\0\0\0\1\0\0\0\0\0\x30\0\x09\2d1"
                           "\0\0\0\0\0\0\0\2\x7e\0\0\0\1");
                assert_true(PLACE(end) > at);
                assert_true(PLACE("\3\0\0\0\2") > PLACE(end));
                assert_true(PLACE(DEVICE_STATE) > PLACE(end));
                free(stream);
                close(out);
        }
        free(bytes);
        close(fd);
}

static bool refuse(void *arg, struct err *err)
{
        ++*(unsigned *)arg;
        return err_set(err, ERR_MISMATCH, "the disks have changed");
}

static bool apply_disks(const struct fixture *f, const struct apply_options *o,
                        int out, struct err *err)
{
        struct reader_options options = {.threads = 0};
        int fd = fixture_new(f);
        struct apply_report report;
        struct reader *r;
        bool ok;

        assert_done(reader_open(fd, "snapshot", &options, &r, err), err);
        ok = apply_run(r, out, "target", o, &report, err);
        reader_close(r);
        close(fd);
        return ok;
}

static void disks_can_be_left_out(void **state)
{
        int out = memfd_create("stream", MFD_CLOEXEC);
        struct fixture f = {.disks = true};
        struct apply_options o = {.no_block = true};
        struct err err = ERR_INIT;

        (void)state;
        assert_done(apply_disks(&f, &o, out, &err), &err);
        assert_false(holds(out, "block", 5));
        assert_false(holds(out, "\2d0", 3));
        assert_true(holds(out, DEVICE_STATE, 8));
        close(out);
}

static void target_without_block_migration_gets_nothing_of_it(void **state)
{
        int out = memfd_create("stream", MFD_CLOEXEC);
        struct fixture f = {.disks = true};
        unsigned asked = 0;
        struct apply_options o = {.block = refuse, .arg = &asked};
        struct err err = ERR_INIT;

        (void)state;
        assert_false(apply_disks(&f, &o, out, &err));
        assert_int_equal(err.status, ERR_MISMATCH);
        assert_int_equal(asked, 1);
        assert_false(holds(out, "block", 5));
        f.disks = false;
        err_clear(&err);
        assert_done(apply_disks(&f, &o, out, &err), &err);
        assert_int_equal(asked, 1);
        close(out);
}

static void no_flipped_bit_lets_a_guest_run(void **state)
{
        struct fixture f = {.items = 3, .disks = true};
        int fd = fixture_new(&f), out;
        unsigned seed = 7;
        uint8_t *bytes;
        size_t len;

        (void)state;
        bytes = fixture_bytes(fd, &len);
        for (unsigned i = 0; i < 1000; i++) {
                struct err err = ERR_INIT;
                uint8_t bit;
                size_t at;

                seed = seed * 1103515245 + 12345;
                bit = (uint8_t)(1U << (seed >> 28 & 7));
                at = (seed >> 4) % len;
                bytes[at] ^= bit;
                if (apply(bytes, len, i % 2, &out, &err))
                        fail_msg("bit 0x%02x of byte %zu passes", bit, at);
                if (holds(out, DEVICE_STATE, 8))
                        fail_msg("bit 0x%02x of byte %zu: device state", bit,
                                 at);
                close(out);
                bytes[at] ^= bit;
        }
        free(bytes);
        close(fd);
}

static void no_truncation_lets_a_guest_run(void **state)
{
        struct fixture f = {.items = 3, .disks = true};
        int fd = fixture_new(&f), out;
        unsigned seed = 11;
        uint8_t *bytes;
        size_t len;

        (void)state;
        bytes = fixture_bytes(fd, &len);
        for (unsigned i = 0; i < 1000; i++) {
                struct err err = ERR_INIT;

                seed = seed * 1103515245 + 12345;
                if (apply(bytes, (seed >> 4) % len, i % 2, &out, &err))
                        fail_msg("cut at %zu passes",
                                 (size_t)(seed >> 4) % len);
                assert_false(holds(out, DEVICE_STATE, 8));
                close(out);
        }
        free(bytes);
        close(fd);
}

static void refusal_at_the_last_moment_sends_no_device_state(void **state)
{
        struct fixture f = {.plain = true};
        int fd = fixture_new(&f), out = memfd_create("stream", MFD_CLOEXEC);
        struct reader_options options = {.threads = 0};
        unsigned asked = 0;
        struct apply_options o = {.proven = refuse, .arg = &asked};
        struct apply_report report;
        struct err err = ERR_INIT;
        struct reader *r;

        (void)state;
        assert_done(reader_open(fd, "snapshot", &options, &r, &err), &err);
        assert_false(apply_run(r, out, "target", &o, &report, &err));
        assert_int_equal(err.status, ERR_MISMATCH);
        assert_int_equal(asked, 1);
        assert_false(holds(out, DEVICE_STATE, 8));
        reader_close(r);
        close(out);
        close(fd);
}

/* A sound container whose content is not a stream. */
static void wrong_stream_is_refused(void **state)
{
        static const struct fixture cases[] = {
                {.no_item = "header"},
                {.no_item = "start"},
                {.no_item = "eof"},
                {.bad_footer = true},
                {.disks = true, .disk_moved = true},
                {.gap = true},
                {.vmdesc = "{\"devices\":[]}"},
                {.ram_dir = "ram/other", .ram_len = 4096},
                {.ram_dir = "ram/rom", .ram_len = 8192},
                {.ram_dir = "ram/pc.ram",
                 .ram_len = 4096,
                 .ram_address = 4 * CHUNK_SIZE},
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                int fd = fixture_new(&cases[i]), out;
                struct err err = ERR_INIT;
                uint8_t *bytes;
                size_t len;

                bytes = fixture_bytes(fd, &len);
                if (apply(bytes, len, i % 2, &out, &err))
                        fail_msg("case %zu passes", i);
                assert_int_equal(err_exit_code(&err), 3);
                assert_false(holds(out, DEVICE_STATE, 8));
                free(bytes);
                close(out);
                close(fd);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sound_snapshot_gives_the_whole_stream),
                cmocka_unit_test(
                        return_path_is_asked_for_behind_the_configuration),
                cmocka_unit_test(disks_come_as_block_migration_before_its_end),
                cmocka_unit_test(disks_can_be_left_out),
                cmocka_unit_test(
                        target_without_block_migration_gets_nothing_of_it),
                cmocka_unit_test(no_flipped_bit_lets_a_guest_run),
                cmocka_unit_test(no_truncation_lets_a_guest_run),
                cmocka_unit_test(
                        refusal_at_the_last_moment_sends_no_device_state),
                cmocka_unit_test(wrong_stream_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
