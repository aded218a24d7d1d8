/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three kinds: a file that is new, one that replaces another (whose locks are
 * held until then, so that no QEMU begins to use what is about to go), and a
 * device, which the kernel keeps from being mounted and QEMU's locks from
 * being used while it is written.
 */
#include "restore/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/contents.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/progress.h"
#include "base/text.h"
#include "qcow/chain.h"
#include "qcow/lock.h"
#include "restore/device.h"

/* No device has larger blocks. */
#define DEVICE_BLOCK 4096
/* The largest range that is zeroed without asking whether to go on. */
#define ZERO_STEP GiB

struct place {
        char *path;
        struct publish *file; /* NULL: a device                             */
        int device;           /* or -1                                      */
        int replaced;         /* the file that is replaced, or -1           */
        struct stat committed;
};

static bool fail(const struct place *p, enum status status, const char *why,
                 struct err *err)
{
        err_set(err, status, "%s", why);
        return err_in_file(err, p->path);
}

/* ---- what is there ---------------------------------------------------- */

struct source {
        int fd;
        const char *name;
        struct chain *chain; /* instead, when it is an image */
};

static bool read_source(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                        struct err *err)
{
        const struct source *s = arg;

        if (s->chain)
                return chain_read(s->chain, 0, s->chain->count, offset, bytes,
                                  len, err);
        return io_pread_all(s->fd, bytes, len, offset, s->name, err);
}

static bool look(const struct source *s, uint64_t size, char *words,
                 size_t room, struct err *err)
{
        json_t *contents;

        TRY(contents_probe(read_source, (void *)s, size, &contents, err));
        contents_words(contents, words, room);
        json_decref(contents);
        return true;
}

/* A guest's view of an image; if it cannot be had, that it is one. */
static void describe_image(const struct place *p, char *words, size_t room)
{
        struct source s = {.fd = -1, .name = p->path};
        struct err ignored = ERR_INIT;
        char inside[300] = "";

        if (chain_resolve(p->path, IMAGE_QCOW2, &s.chain, &ignored)) {
                if (!look(&s, chain_size(s.chain), inside, sizeof inside,
                          &ignored))
                        inside[0] = '\0';
                chain_close(s.chain);
        }
        snprintf(words, room, "a qcow2 image%s%s", inside[0] ? " with " : "",
                 inside);
}

static bool describe_file(const struct place *p, uint64_t size, char *words,
                          size_t room, struct err *err)
{
        struct source s = {.fd = p->replaced, .name = p->path};
        uint8_t magic[4] = {0};
        char amount[32];

        TRY(io_pread_all(s.fd, magic, size < 4 ? size : 4, 0, s.name, err));
        if (memcmp(magic, "QFI\xfb", 4) == 0) {
                describe_image(p, words, room);
                return true;
        }
        TRY(look(&s, size, words, room, err));
        if (!words[0])
                snprintf(words, room, "%s of something unknown",
                         text_bytes(size, amount, sizeof amount));
        return true;
}

/* Files and devices that hold something are only written over when told so. */
static bool holds(const struct place *p, const char *words, struct err *err)
{
        err_set(err, ERR_USAGE,
                "exists and holds %s; --overwrite writes over it", words);
        return err_in_file(err, p->path);
}

/* ---- files ------------------------------------------------------------ */

static bool open_fresh(struct place *p, struct err *err)
{
        return publish_open(p->path, 0, &p->file, err);
}

static bool open_replacing(struct place *p, const struct place_options *o,
                           struct err *err)
{
        struct stat st;
        char words[320];

        TRY(io_open_read(p->path, &p->replaced, err));
        TRY(lock_hold(p->replaced, p->path, LOCK_TO_WRITE, err));
        if (fstat(p->replaced, &st) < 0) {
                err_os(err, errno, "stat");
                return err_in_file(err, p->path);
        }
        if (!o->overwrite && st.st_size > 0) {
                TRY(describe_file(p, (uint64_t)st.st_size, words, sizeof words,
                                  err));
                return holds(p, words, err);
        }
        return publish_open(p->path, PUBLISH_REPLACE, &p->file, err);
}

/* ---- devices ---------------------------------------------------------- */

static bool open_exclusively(struct place *p, dev_t device, uint64_t *size,
                             struct err *err)
{
        struct err first = ERR_INIT;
        char point[4096], safe[256];

        if (io_open_device(p->path, &p->device, size, &first))
                return true;
        if (first.os != EBUSY) {
                *err = first;
                return false;
        }
        if (!device_mounted_at(device, point, sizeof point))
                return fail(p, ERR_MISMATCH,
                            "is in use: mounted, or part of a RAID, of LVM or "
                            "of swap space",
                            err);
        err_set(err, ERR_MISMATCH, "is in use: mounted at %s",
                text_escape(point, safe, sizeof safe));
        return err_in_file(err, p->path);
}

static bool open_device(struct place *p, dev_t device,
                        const struct place_options *o, struct err *err)
{
        struct source s = {.name = p->path};
        uint64_t size = 0;
        char words[320];

        TRY(open_exclusively(p, device, &size, err));
        TRY(lock_hold(p->device, p->path, LOCK_TO_WRITE, err));
        TRY(device_check_kin(device, err));
        if (size < o->size) {
                err_set(err, ERR_MISMATCH,
                        "has %" PRIu64 " bytes, the disk needs %" PRIu64, size,
                        o->size);
                return err_in_file(err, p->path);
        }
        if (o->overwrite)
                return true;
        s.fd = p->device;
        TRY(look(&s, size, words, sizeof words, err));
        return !words[0] || holds(p, words, err);
}

/* ---- both ------------------------------------------------------------- */

static bool open_any(struct place *p, const struct place_options *o,
                     struct err *err)
{
        struct stat st;

        if (stat(p->path, &st) < 0) {
                if (errno == ENOENT)
                        return open_fresh(p, err);
                err_os(err, errno, "stat");
                return err_in_file(err, p->path);
        }
        if (S_ISREG(st.st_mode))
                return open_replacing(p, o, err);
        if (S_ISBLK(st.st_mode))
                return open_device(p, st.st_rdev, o, err);
        return fail(p, ERR_USAGE,
                    "is neither a file nor a block device: a disk goes nowhere "
                    "else",
                    err);
}

bool place_open(const char *path, const struct place_options *options,
                struct place **out, struct err *err)
{
        struct place *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        p->device = p->replaced = -1;
        p->path = strdup(path);
        if (p->path ? open_any(p, options, err) : err_nomem(err)) {
                *out = p;
                return true;
        }
        place_close(p);
        return false;
}

bool place_is_device(const struct place *p)
{
        return !p->file;
}

int place_fd(const struct place *p)
{
        return p->file ? publish_fd(p->file) : p->device;
}

/* Unmapped where the device can, written where it cannot. */
static int zero_range(int fd, uint64_t offset, uint64_t len)
{
        uint64_t range[2] = {offset, len};

        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                      (off_t)offset, (off_t)len) == 0)
                return 0;
        return ioctl(fd, BLKZEROOUT, range);
}

static bool zero_blocks(const struct place *p, uint64_t offset, uint64_t len,
                        struct err *err)
{
        while (len > 0) {
                uint64_t n = len < ZERO_STEP ? len : ZERO_STEP;

                if (progress_cancelled(err))
                        return false;
                if (zero_range(p->device, offset, n) < 0) {
                        err_os(err, errno, "writing zeros");
                        err_in_file(err, p->path);
                        return err_at(err, offset);
                }
                offset += n;
                len -= n;
        }
        return true;
}

/* Less than a block at either end is written. */
bool place_discard(struct place *p, uint64_t offset, uint64_t len,
                   struct err *err)
{
        static const uint8_t zeros[DEVICE_BLOCK];
        uint64_t head = -offset % DEVICE_BLOCK, tail;

        if (p->file || len == 0)
                return true;
        if (head > len)
                head = len;
        tail = (len - head) % DEVICE_BLOCK;
        TRY(io_pwrite_all(p->device, zeros, head, offset, p->path, err));
        TRY(zero_blocks(p, offset + head, len - head - tail, err));
        return io_pwrite_all(p->device, zeros, tail, offset + len - tail,
                             p->path, err);
}

bool place_commit(struct place *p, struct err *err)
{
        if (!p->file) {
                TRY(io_sync(p->device, p->path, err));
                /* From here on a QEMU may use it. */
                lock_drop(p->device);
                return true;
        }
        TRY(publish_commit(p->file, err));
        if (fstat(publish_fd(p->file), &p->committed) < 0)
                p->committed.st_mode = 0;
        return true;
}

/* Whether it is as it was when it appeared. */
static bool is_untouched(const struct place *p)
{
        struct err ignored = ERR_INIT;
        int fd = publish_fd(p->file);
        struct stat st;

        return S_ISREG(p->committed.st_mode) && fstat(fd, &st) == 0 &&
               st.st_mtim.tv_sec == p->committed.st_mtim.tv_sec &&
               st.st_mtim.tv_nsec == p->committed.st_mtim.tv_nsec &&
               lock_check(fd, p->path, LOCK_TO_WRITE, &ignored);
}

void place_undo(struct place *p)
{
        if (p->file && p->replaced < 0 && is_untouched(p))
                publish_withdraw(p->file);
}

void place_close(struct place *p)
{
        if (!p)
                return;
        publish_close(p->file);
        if (p->device >= 0)
                close(p->device);
        if (p->replaced >= 0)
                close(p->replaced);
        free(p->path);
        free(p);
}
