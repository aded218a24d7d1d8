/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/progress.h"

/* An interrupted call is repeated, unless the signal asks us to end: a peer
 * that stalls must not make Ctrl-C wait. */
static bool go_on(int os, const char *call, const char *name, struct err *err)
{
        if (os == EINTR && !progress_cancelled(err))
                return true;
        err_os(err, os, "%s", call);
        return err_in_file(err, name);
}

/* Waits on a descriptor that was made non-blocking by somebody else. */
static bool wait_for(int fd, short events, const char *name, struct err *err)
{
        struct pollfd p = {.fd = fd, .events = events};

        if (poll(&p, 1, -1) >= 0)
                return true;
        return go_on(errno, "poll", name, err);
}

bool io_write_all(int fd, const void *bytes, size_t len, const char *name,
                  struct err *err)
{
        const uint8_t *p = bytes;

        while (len > 0) {
                ssize_t n = write(fd, p, len);

                if (n >= 0) {
                        p += n;
                        len -= (size_t)n;
                } else if (errno == EAGAIN) {
                        TRY(wait_for(fd, POLLOUT, name, err));
                } else {
                        TRY(go_on(errno, "write", name, err));
                }
        }
        return true;
}

bool io_writev(int fd, const struct iovec *vec, int count, size_t *done_out,
               const char *name, struct err *err)
{
        for (;;) {
                ssize_t n = writev(fd, vec, count);

                if (n >= 0) {
                        *done_out = (size_t)n;
                        return true;
                }
                if (errno == EAGAIN)
                        TRY(wait_for(fd, POLLOUT, name, err));
                else
                        TRY(go_on(errno, "write", name, err));
        }
}

bool io_read_some(int fd, void *bytes, size_t size, size_t *len_out,
                  const char *name, struct err *err)
{
        for (;;) {
                ssize_t n = read(fd, bytes, size);

                if (n >= 0) {
                        *len_out = (size_t)n;
                        return true;
                }
                if (errno == EAGAIN)
                        TRY(wait_for(fd, POLLIN, name, err));
                else
                        TRY(go_on(errno, "read", name, err));
        }
}

static bool ends_early(size_t wanted, size_t got, const char *name,
                       struct err *err)
{
        err_set(err, ERR_TRUNCATED, "needs %zu bytes, ends after %zu", wanted,
                got);
        return err_in_file(err, name);
}

bool io_read_all(int fd, void *bytes, size_t len, const char *name,
                 struct err *err)
{
        size_t done = 0;

        while (done < len) {
                size_t n;

                TRY(io_read_some(fd, (uint8_t *)bytes + done, len - done, &n,
                                 name, err));
                if (n == 0)
                        return ends_early(len, done, name, err);
                done += n;
        }
        return true;
}

bool io_pread_all(int fd, void *bytes, size_t len, uint64_t offset,
                  const char *name, struct err *err)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pread(fd, (uint8_t *)bytes + done, len - done,
                                  (off_t)(offset + done));

                if (n == 0) {
                        ends_early(len, done, name, err);
                        return err_at(err, offset);
                }
                if (n > 0)
                        done += (size_t)n;
                else if (!go_on(errno, "read", name, err))
                        return err_at(err, offset + done);
        }
        return true;
}

bool io_pwrite_all(int fd, const void *bytes, size_t len, uint64_t offset,
                   const char *name, struct err *err)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = pwrite(fd, (const uint8_t *)bytes + done,
                                   len - done, (off_t)(offset + done));

                if (n >= 0)
                        done += (size_t)n;
                else if (!go_on(errno, "write", name, err))
                        return err_at(err, offset + done);
        }
        return true;
}

void io_start_readahead(int fd, uint64_t offset, uint64_t len)
{
        (void)posix_fadvise(fd, (off_t)offset, (off_t)len, POSIX_FADV_WILLNEED);
}

void io_start_writeback(int fd, uint64_t offset, uint64_t len)
{
        (void)sync_file_range(fd, (off_t)offset, (off_t)len,
                              SYNC_FILE_RANGE_WRITE);
}

bool io_reopen_direct(int fd, int *fd_out, struct err *err)
{
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        *fd_out = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
        return *fd_out >= 0 || err_os(err, errno, "reopen");
}

bool io_open_read(const char *path, int *fd_out, struct err *err)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd < 0) {
                err_os(err, errno, "open");
                return err_in_file(err, path);
        }
        *fd_out = fd;
        return true;
}

static bool grow(char **bytes, size_t *size, size_t max, struct err *err)
{
        size_t bigger = *size ? *size * 2 : 4096;
        char *p;

        if (bigger > max + 1)
                bigger = max + 1;
        p = realloc(*bytes, bigger + 1);
        if (!p)
                return err_nomem(err);
        *bytes = p;
        *size = bigger;
        return true;
}

bool io_create_locked(const char *path, const void *bytes, size_t len,
                      int *fd_out, struct err *err)
{
        CLEANUP_FREE char *temporary = NULL;
        CLEANUP_FD int fd = -1;

        if (asprintf(&temporary, "%s.%ld", path, (long)getpid()) < 0)
                return err_nomem(err);
        fd = open(temporary,
                  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
                err_in_file(err, temporary);
                return err_os(err, errno, "cannot be made");
        }
        if (io_write_all(fd, bytes, len, temporary, err) &&
            rename(temporary, path) != 0)
                err_os(err, errno, "cannot be renamed");
        if (err->status != ERR_NONE) {
                unlink(temporary);
                return err_in_file(err, path);
        }
        *fd_out = steal_fd(&fd);
        return true;
}

bool io_open_locked(const char *path, int *fd_out, bool *ours_out,
                    struct err *err)
{
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0) {
                err_in_file(err, path);
                return err_os(err, errno, "cannot be opened");
        }
        *ours_out = flock(fd, LOCK_EX | LOCK_NB) == 0;
        *fd_out = fd;
        return true;
}

bool io_read_file(const char *path, size_t max, char **bytes_out,
                  size_t *len_out, struct err *err)
{
        CLEANUP_FREE char *bytes = NULL;
        CLEANUP_FD int fd = -1;
        size_t size = 0, len = 0, n;

        TRY(io_open_read(path, &fd, err));
        do {
                if (len == size)
                        TRY(grow(&bytes, &size, max, err));
                TRY(io_read_some(fd, bytes + len, size - len, &n, path, err));
                len += n;
                if (len > max) {
                        err_set(err, ERR_LIMIT, "longer than %zu bytes", max);
                        return err_in_file(err, path);
                }
        } while (n > 0);
        bytes[len] = '\0';
        *bytes_out = steal(bytes);
        *len_out = len;
        return true;
}

bool io_open_unlinked(const char *dir, int *fd_out, struct err *err)
{
        CLEANUP_FREE char *path = NULL;
        int fd;

        if (!dir)
                dir = getenv("TMPDIR");
        if (!dir || !dir[0])
                dir = "/var/tmp";
        fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
        if (fd < 0) {
                if (asprintf(&path, "%s/.stasis-XXXXXX", dir) < 0) {
                        path = NULL;
                        return err_nomem(err);
                }
                fd = mkostemp(path, O_CLOEXEC);
                if (fd >= 0)
                        unlink(path);
        }
        if (fd < 0) {
                err_os(err, errno, "creating a temporary file");
                return err_in_file(err, dir);
        }
        *fd_out = fd;
        return true;
}

bool io_set_nonblock(int fd, bool on, struct err *err)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0)
                return err_os(err, errno, "fcntl");
        flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        if (fcntl(fd, F_SETFL, flags) < 0)
                return err_os(err, errno, "fcntl");
        return true;
}

bool io_open_device(const char *path, int *fd_out, uint64_t *size_out,
                    struct err *err)
{
        CLEANUP_FD int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);

        if (fd < 0 || ioctl(fd, BLKGETSIZE64, size_out) < 0) {
                err_os(err, errno, "open");
                return err_in_file(err, path);
        }
        *fd_out = steal_fd(&fd);
        return true;
}

bool io_sync(int fd, const char *name, struct err *err)
{
        if (fsync(fd) == 0)
                return true;
        err_os(err, errno, "sync");
        return err_in_file(err, name);
}
