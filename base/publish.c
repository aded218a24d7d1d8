/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * publish: the part of io that makes a file appear whole or not at all.
 * (base/io.h)
 *
 * All names are relative to a descriptor of the directory, so that a directory
 * that is renamed meanwhile does not separate the file from its name.
 *
 * Invariant: temp is a name in dir exactly while `named` is true; it is never
 * the published name.
 */
#include "base/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

struct publish {
        char *path;       /* as the user gave it */
        const char *base; /* its last component, in path */
        int dir, fd;
        bool replace, named;
        char temp[300];
};

#define TEMP_RANDOM 12 /* hex digits behind ".NAME.stasis-" */

static bool fail(struct publish *p, int os, const char *what, struct err *err)
{
        err_os(err, os, "%s", what);
        return err_in_file(err, p->path);
}

static void temp_prefix(const struct publish *p, char *out, size_t size)
{
        /* Room for the random part, below the usual limit of 255. */
        snprintf(out, size, ".%.200s.stasis-", p->base);
}

static bool temp_pick(struct publish *p, struct err *err)
{
        uint8_t random[TEMP_RANDOM / 2];
        size_t len;

        if (getrandom(random, sizeof random, 0) != sizeof random)
                return fail(p, errno, "getrandom", err);
        temp_prefix(p, p->temp, sizeof p->temp);
        len = strlen(p->temp);
        for (size_t i = 0; i < sizeof random; i++)
                snprintf(p->temp + len + 2 * i, 3, "%02x", random[i]);
        return true;
}

static bool is_temp_of(const struct publish *p, const char *entry)
{
        char prefix[300];
        size_t len;

        temp_prefix(p, prefix, sizeof prefix);
        len = strlen(prefix);
        return strncmp(entry, prefix, len) == 0 &&
               strlen(entry) == len + TEMP_RANDOM &&
               strspn(entry + len, "0123456789abcdef") == TEMP_RANDOM;
}

/* Whoever writes a temporary holds its lock, and death lets go of it. */
static void sweep_one(const struct publish *p, const char *entry)
{
        CLEANUP_FD int fd = openat(
                p->dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
                unlinkat(p->dir, entry, 0);
}

/* What killed writers of this name left behind; failing to tidy is no reason
 * to fail. */
static void sweep(const struct publish *p)
{
        int fd = openat(p->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *entry;

        if (!d) {
                if (fd >= 0)
                        close(fd);
                return;
        }
        while ((entry = readdir(d)))
                if (is_temp_of(p, entry->d_name))
                        sweep_one(p, entry->d_name);
        closedir(d);
}

static bool open_dir(struct publish *p, struct err *err)
{
        char *slash = strrchr(p->path, '/');
        CLEANUP_FREE char *dir = NULL;

        p->base = slash ? slash + 1 : p->path;
        if (!p->base[0] || !strcmp(p->base, ".") || !strcmp(p->base, "..")) {
                err_set(err, ERR_USAGE, "not a file name");
                return err_in_file(err, p->path);
        }
        if (!slash)
                dir = strdup(".");
        else
                dir = strndup(p->path,
                              slash == p->path ? 1 : (size_t)(slash - p->path));
        if (!dir)
                return err_nomem(err);
        p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (p->dir < 0) {
                err_os(err, errno, "opening the directory");
                return err_in_file(err, dir);
        }
        return true;
}

/* Early, so that nobody waits for a save that could not be published. */
static bool check_target(struct publish *p, struct err *err)
{
        struct stat st;

        if (fstatat(p->dir, p->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? true : fail(p, errno, "stat", err);
        if (!S_ISREG(st.st_mode))
                err_set(err, ERR_USAGE,
                        "exists and is not a regular file; nothing but a "
                        "regular file is replaced");
        else if (!p->replace)
                err_set(err, ERR_USAGE, "exists; --force replaces it");
        else
                return true;
        return err_in_file(err, p->path);
}

/* Between its making and its locking a temporary can be taken for a dead
 * writer's and be swept: then another is made. */
static bool open_named(struct publish *p, struct err *err)
{
        struct stat st;

        for (;;) {
                TRY(temp_pick(p, err));
                p->fd = openat(p->dir, p->temp,
                               O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
                if (p->fd < 0)
                        return fail(p, errno, "creating a temporary file", err);
                p->named = true;
                if (flock(p->fd, LOCK_EX) < 0 || fstat(p->fd, &st) < 0)
                        return fail(p, errno, "locking a temporary file", err);
                if (st.st_nlink > 0)
                        return true;
                p->named = false;
                close(p->fd);
        }
}

static bool open_file(struct publish *p, struct err *err)
{
        p->fd = openat(p->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (p->fd >= 0)
                return true;
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT &&
            errno != EINVAL)
                return fail(p, errno, "creating a file in its directory", err);
        return open_named(p, err);
}

bool publish_open(const char *path, unsigned flags, struct publish **out,
                  struct err *err)
{
        struct publish *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        p->dir = p->fd = -1;
        p->replace = flags & PUBLISH_REPLACE;
        p->path = strdup(path);
        if (!p->path)
                err_nomem(err);
        else if (open_dir(p, err) && check_target(p, err)) {
                sweep(p);
                if (open_file(p, err)) {
                        *out = p;
                        return true;
                }
        }
        publish_close(p);
        return false;
}

int publish_fd(const struct publish *p)
{
        return p->fd;
}

/* Gives the unnamed file a name: through /proc, since AT_EMPTY_PATH needs a
 * capability that users lack. */
static int link_unnamed(const struct publish *p, const char *name)
{
        char proc[64];

        snprintf(proc, sizeof proc, "/proc/self/fd/%d", p->fd);
        if (linkat(AT_FDCWD, proc, p->dir, name, AT_SYMLINK_FOLLOW) == 0)
                return 0;
        if (errno != ENOENT)
                return -1;
        return linkat(p->fd, "", p->dir, name, AT_EMPTY_PATH);
}

/* Replacing needs a rename, and a rename needs a name. */
static bool ensure_named(struct publish *p, struct err *err)
{
        if (p->named)
                return true;
        TRY(temp_pick(p, err));
        if (flock(p->fd, LOCK_EX | LOCK_NB) < 0)
                return fail(p, errno, "locking the file", err);
        if (link_unnamed(p, p->temp) < 0)
                return fail(p, errno, "linking the file", err);
        p->named = true;
        return true;
}

static bool appeared(struct publish *p, int os, struct err *err)
{
        if (os != EEXIST)
                return fail(p, os, "giving the file its name", err);
        err_set(err, ERR_IO, "a file of that name has appeared meanwhile");
        return err_in_file(err, p->path);
}

static bool place_new(struct publish *p, struct err *err)
{
        if (!p->named) {
                if (link_unnamed(p, p->base) < 0)
                        return appeared(p, errno, err);
                return true;
        }
        /* link, not rename: it never replaces. */
        if (linkat(p->dir, p->temp, p->dir, p->base, 0) == 0) {
                unlinkat(p->dir, p->temp, 0);
                p->named = false;
                return true;
        }
        if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
                return appeared(p, errno, err);
        /* A file system without hard links. */
        if (renameat2(p->dir, p->temp, p->dir, p->base, RENAME_NOREPLACE) < 0)
                return appeared(p, errno, err);
        p->named = false;
        return true;
}

static bool place_over(struct publish *p, struct err *err)
{
        TRY(ensure_named(p, err));
        if (renameat(p->dir, p->temp, p->dir, p->base) < 0)
                return fail(p, errno, "replacing the older file", err);
        p->named = false;
        return true;
}

/* Some file systems cannot sync a directory, and say so by EINVAL. */
static bool sync_dir(struct publish *p, struct err *err)
{
        if (fsync(p->dir) < 0 && errno != EINVAL)
                return fail(p, errno, "syncing the directory", err);
        return true;
}

bool publish_commit(struct publish *p, struct err *err)
{
        if (fsync(p->fd) < 0)
                return fail(p, errno, "sync", err);
        if (p->replace)
                return place_over(p, err) && sync_dir(p, err);
        TRY(place_new(p, err));
        if (sync_dir(p, err))
                return true;
        unlinkat(p->dir, p->base, 0);
        return false;
}

void publish_withdraw(struct publish *p)
{
        struct stat ours, there;

        if (fstat(p->fd, &ours) == 0 &&
            fstatat(p->dir, p->base, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
            ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
                unlinkat(p->dir, p->base, 0);
}

void publish_close(struct publish *p)
{
        if (!p)
                return;
        if (p->named)
                unlinkat(p->dir, p->temp, 0);
        if (p->fd >= 0)
                close(p->fd);
        if (p->dir >= 0)
                close(p->dir);
        free(p->path);
        free(p);
}
