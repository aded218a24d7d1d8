/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io: the one place that opens, syncs, links and renames.
 *
 * publish: a file that appears under its name whole and durable, or not at
 * all.  It is written without a name (O_TMPFILE) or, where the file system
 * has none, under a locked temporary name ".NAME.stasis-XXXXXX" which a later
 * publish of the same name removes when nobody holds its lock.  Until
 * publish_commit nothing is visible and an older file stays as it was;
 * kill -9 leaves nothing (O_TMPFILE), or a temporary that is swept later.
 */
#ifndef STASIS_BASE_IO_H
#define STASIS_BASE_IO_H

#include "base/err.h"

#include <sys/types.h>

/* Whole reads and writes; short counts are handled, and EINTR unless it came
 * of a signal that asks us to end (ERR_CANCELLED).  `name` is for errors.
 * io_read_some returns 0 bytes at end of file. */
bool io_write_all(int fd, const void *bytes, size_t len, const char *name,
                  struct err *err);
/* One writev that makes progress; *done_out > 0. */
struct iovec;
bool io_writev(int fd, const struct iovec *vec, int count, size_t *done_out,
               const char *name, struct err *err);
bool io_read_some(int fd, void *bytes, size_t size, size_t *len_out,
                  const char *name, struct err *err);
/* ERR_TRUNCATED when the file ends first. */
bool io_read_all(int fd, void *bytes, size_t len, const char *name,
                 struct err *err);
bool io_pread_all(int fd, void *bytes, size_t len, uint64_t offset,
                  const char *name, struct err *err);
bool io_pwrite_all(int fd, const void *bytes, size_t len, uint64_t offset,
                   const char *name, struct err *err);

/* What will be read soon is fetched without waiting; a hint. */
void io_start_readahead(int fd, uint64_t offset, uint64_t len);

/* Sends written pages on their way to the disk without waiting; a hint. */
void io_start_writeback(int fd, uint64_t offset, uint64_t len);

/* O_RDONLY|O_CLOEXEC. */
bool io_open_read(const char *path, int *fd_out, struct err *err);
/* A small file of ours, mode 0600, that appears whole and locked (flock) for as
 * long as *fd_out is open; an older one is replaced. */
bool io_create_locked(const char *path, const void *bytes, size_t len,
                      int *fd_out, struct err *err);
/* The same once more: false in *ours_out when somebody else has the lock. */
bool io_open_locked(const char *path, int *fd_out, bool *ours_out,
                    struct err *err);
/* A whole small file; bytes_out is malloc'd, NUL-terminated. */
bool io_read_file(const char *path, size_t max, char **bytes_out,
                  size_t *len_out, struct err *err);
/* An unlinked, read-write file in dir (NULL: $TMPDIR or /var/tmp). */
bool io_open_unlinked(const char *dir, int *fd_out, struct err *err);
bool io_set_nonblock(int fd, bool on, struct err *err);
/* The same file once more, for writes past the page cache (O_DIRECT). */
bool io_reopen_direct(int fd, int *fd_out, struct err *err);
/* A block device for writing, exclusively (O_EXCL): err->os is EBUSY when it
 * is mounted or held by the kernel otherwise. */
bool io_open_device(const char *path, int *fd_out, uint64_t *size_out,
                    struct err *err);
bool io_sync(int fd, const char *name, struct err *err);

struct publish;

enum publish_flags {
        PUBLISH_REPLACE = 1, /* an existing file is replaced, atomically     */
};

/* Fails with ERR_USAGE at once when path exists and PUBLISH_REPLACE is not
 * given, or when path is not a regular file.  Mode 0600. */
bool publish_open(const char *path, unsigned flags, struct publish **out,
                  struct err *err);
/* The descriptor: O_RDWR, stays owned by p. */
int publish_fd(const struct publish *p);
/* fsync, link or rename into place, fsync the directory.  On failure nothing
 * has appeared (only when the directory cannot be synced may an older file
 * already have been replaced by the whole new one).  A file that came into
 * being under the name meanwhile is ERR_IO, unless PUBLISH_REPLACE. */
bool publish_commit(struct publish *p, struct err *err);
/* After a commit: removes the name again if it is still this file's. */
void publish_withdraw(struct publish *p);
/* Frees p; without a commit before, the file vanishes.  NULL is fine. */
void publish_close(struct publish *p);

#endif
