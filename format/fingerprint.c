/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/fingerprint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "format/digest.h"

#define END_BYTES    MiB
#define SAMPLE_BYTES (64 * KiB)
#define SAMPLES      64

struct fingerprint {
        uint64_t dev, ino, size;
        char mtime[48];
        bool device;
        char samples[DIGEST_HEX];
};

static bool digest_range(int fd, const char *path, struct digest *d,
                         uint8_t *buffer, uint64_t offset, uint64_t len,
                         struct err *err)
{
        TRY(io_pread_all(fd, buffer, (size_t)len, offset, path, err));
        digest_update(d, buffer, (size_t)len);
        return true;
}

/* A file of up to 6 MiB is read whole. */
static bool digest_samples(int fd, const char *path, uint64_t size,
                           struct digest *d, uint8_t *buffer, struct err *err)
{
        uint64_t between;

        if (size <= 2 * END_BYTES + SAMPLES * SAMPLE_BYTES) {
                for (uint64_t at = 0; at < size; at += END_BYTES) {
                        uint64_t left = size - at;

                        TRY(digest_range(fd, path, d, buffer, at,
                                         left < END_BYTES ? left : END_BYTES,
                                         err));
                }
                return true;
        }
        between = (size - 2 * END_BYTES - SAMPLE_BYTES) / (SAMPLES - 1);
        TRY(digest_range(fd, path, d, buffer, 0, END_BYTES, err));
        for (uint64_t i = 0; i < SAMPLES; i++)
                TRY(digest_range(fd, path, d, buffer, END_BYTES + i * between,
                                 SAMPLE_BYTES, err));
        return digest_range(fd, path, d, buffer, size - END_BYTES, END_BYTES,
                            err);
}

static void digest_cleanup(struct digest **d)
{
        digest_free(*d);
}

static bool samples(int fd, const char *path, struct fingerprint *f,
                    struct err *err)
{
        CLEANUP(digest_cleanup) struct digest *d = digest_new();
        CLEANUP_FREE uint8_t *buffer = malloc(END_BYTES);
        uint8_t digest[DIGEST_SIZE];

        if (!d || !buffer)
                return err_nomem(err);
        TRY(digest_samples(fd, path, f->size, d, buffer, err));
        digest_result(d, digest);
        digest_hex(digest, f->samples);
        return true;
}

static bool take(const char *path, struct fingerprint *f, struct err *err)
{
        CLEANUP_FD int fd = -1;
        struct stat st;
        off_t end;

        TRY(io_open_read(path, &fd, err));
        if (fstat(fd, &st) != 0) {
                err_os(err, errno, "stat");
                return err_in_file(err, path);
        }
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
                err_set(err, ERR_IO, "neither a file nor a block device");
                return err_in_file(err, path);
        }
        f->device = S_ISBLK(st.st_mode);
        f->dev = f->device ? st.st_rdev : st.st_dev;
        f->ino = f->device ? 0 : st.st_ino;
        snprintf(f->mtime, sizeof f->mtime, "%" PRId64 ".%09ld",
                 (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        end = lseek(fd, 0, SEEK_END);
        if (end < 0) {
                err_os(err, errno, "seek");
                return err_in_file(err, path);
        }
        f->size = (uint64_t)end;
        return samples(fd, path, f, err);
}

bool fingerprint_take(const char *path, json_t **out, struct err *err)
{
        struct fingerprint f;
        json_t *value;

        TRY(take(path, &f, err));
        value = json_pack("{s:I, s:I, s:I, s:s, s:b, s:s}", "dev",
                          (json_int_t)f.dev, "ino", (json_int_t)f.ino, "size",
                          (json_int_t)f.size, "mtime", f.mtime, "device",
                          f.device, "samples", f.samples);
        if (!value)
                return err_nomem(err);
        *out = value;
        return true;
}

static bool decode(const json_t *value, struct fingerprint *f, struct err *err)
{
        json_int_t dev, ino, size;
        const char *mtime, *digest;
        int device;

        if (json_unpack((json_t *)(uintptr_t)value,
                        "{s:I, s:I, s:I, s:s, s:b, s:s}", "dev", &dev, "ino",
                        &ino, "size", &size, "mtime", &mtime, "device", &device,
                        "samples", &digest) != 0 ||
            size < 0 || strlen(digest) != DIGEST_HEX - 1)
                return err_set(err, ERR_CORRUPT,
                               "a disk's fingerprint is not one");
        *f = (struct fingerprint){
                .dev = (uint64_t)dev,
                .ino = (uint64_t)ino,
                .size = (uint64_t)size,
                .device = device,
        };
        snprintf(f->mtime, sizeof f->mtime, "%s", mtime);
        memcpy(f->samples, digest, DIGEST_HEX);
        return true;
}

bool fingerprint_compare(const json_t *recorded, const char *path,
                         char why[160], struct err *err)
{
        struct fingerprint then, now;
        struct err unread = ERR_INIT;

        TRY(decode(recorded, &then, err));
        *why = '\0';
        if (!take(path, &now, &unread))
                snprintf(why, 160, "cannot be read: %.120s", unread.why);
        else if (now.size != then.size)
                snprintf(why, 160,
                         "its size is %" PRIu64 " bytes, it was %" PRIu64,
                         now.size, then.size);
        else if (strcmp(now.samples, then.samples) != 0)
                snprintf(why, 160, "its content has changed");
        else if (!now.device && !then.device &&
                 strcmp(now.mtime, then.mtime) != 0)
                snprintf(why, 160,
                         now.dev == then.dev && now.ino == then.ino
                                 ? "it has been written to (its mtime changed)"
                                 : "another file, with another mtime");
        return true;
}
