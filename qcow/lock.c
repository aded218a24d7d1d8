/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who holds a lock is not in the kernel's answer (an open file has no pid).
 * /proc/PID/fdinfo/N lists the locks of that very open file, and
 * /proc/PID/fd/N is its inode; /proc/locks would have to be matched by device
 * numbers, which some file systems (btrfs, overlayfs) show otherwise there.
 */
#include "qcow/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

enum {
        USES = 100,   /* + permission: I use it          */
        DENIES = 200, /* + permission: nobody else may   */
};

enum permission {
        CONSISTENT_READ,
        WRITE,
        WRITE_UNCHANGED,
        RESIZE,
        GRAPH_MOD, /* QEMU up to 6.1 */
        PERMISSIONS,
};

struct range {
        off_t start, len;
};

/* What is in the way, and what others are to see of us. */
struct rules {
        struct range busy[3];
        struct range held[3]; /* len 0: none */
        const char *what;
};

static const struct rules rules[] = {
        [LOCK_TO_READ] = {{{USES + WRITE, 1},
                           {USES + RESIZE, 1},
                           {DENIES + CONSISTENT_READ, 1}},
                          {{USES + CONSISTENT_READ, 1},
                           {DENIES + WRITE, 1},
                           {DENIES + RESIZE, 1}},
                          "is being written by"},
        [LOCK_TO_WRITE] = {{{USES, PERMISSIONS}, {DENIES, PERMISSIONS}},
                           {{USES + CONSISTENT_READ, 2},
                            {USES + RESIZE, 1},
                            {DENIES, RESIZE + 1}},
                           "is in use by"},
};

/* ---- who it is -------------------------------------------------------- */

/* Whether fdinfo text has a lock that touches range:
 * "lock:\t1: OFDLCK  ADVISORY  READ -1 fe:00:1234 100 100". */
static bool has_lock(const char *text, struct range range)
{
        const char *line = text;

        while ((line = strstr(line, "lock:"))) {
                unsigned long long start, end;
                char last[24];

                line += 5;
                if (sscanf(line, "%*s OFDLCK %*s %*s %*s %*s %llu %23s", &start,
                           last) != 2)
                        continue;
                end = strcmp(last, "EOF") ? strtoull(last, NULL, 10)
                                          : UINT64_MAX;
                if (start < (unsigned long long)(range.start + range.len) &&
                    end >= (unsigned long long)range.start)
                        return true;
        }
        return false;
}

static bool holds(const char *pid, const char *fd, struct range range)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *text = NULL;
        char path[64];
        size_t len;

        snprintf(path, sizeof path, "/proc/%.10s/fdinfo/%.10s", pid, fd);
        return io_read_file(path, 65536, &text, &len, &ignored) &&
               has_lock(text, range);
}

static bool process_holds(const char *pid, const struct stat *file,
                          struct range range)
{
        char path[64];
        struct dirent *e;
        struct stat st;
        bool found = false;
        DIR *d;

        snprintf(path, sizeof path, "/proc/%.10s/fd", pid);
        d = opendir(path);
        if (!d)
                return false;
        while (!found && (e = readdir(d)))
                found = fstatat(dirfd(d), e->d_name, &st, 0) == 0 &&
                        st.st_ino == file->st_ino &&
                        st.st_dev == file->st_dev &&
                        holds(pid, e->d_name, range);
        closedir(d);
        return found;
}

/* "qemu-system-x86 (pid 4711)" */
static void describe(const char *pid, char *out, size_t size)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *comm = NULL;
        char path[64], safe[64] = "?";
        size_t len;

        snprintf(path, sizeof path, "/proc/%.10s/comm", pid);
        if (io_read_file(path, 64, &comm, &len, &ignored)) {
                comm[strcspn(comm, "\n")] = '\0';
                text_escape(comm, safe, sizeof safe);
        }
        snprintf(out, size, "%s (pid %.10s)", safe, pid);
}

static void find_holder(const struct stat *file, struct range range, char *out,
                        size_t size)
{
        struct dirent *e;
        DIR *proc = opendir("/proc");

        snprintf(out, size, "a process that /proc does not show");
        while (proc && (e = readdir(proc)))
                if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
                    process_holds(e->d_name, file, range)) {
                        describe(e->d_name, out, size);
                        break;
                }
        if (proc)
                closedir(proc);
}

static bool in_use(int fd, const char *name, struct range range,
                   const char *what, struct err *err)
{
        char holder[128];
        struct stat st;

        if (fstat(fd, &st) < 0) {
                err_os(err, errno, "stat");
                return err_in_file(err, name);
        }
        find_holder(&st, range, holder, sizeof holder);
        err_set(err, ERR_MISMATCH, "%s %s", what, holder);
        return err_in_file(err, name);
}

/* ---- locks ------------------------------------------------------------ */

static bool lock_call(int fd, const char *name, int call, short type,
                      struct range range, struct flock *f, struct err *err)
{
        /* l_pid must be 0. */
        *f = (struct flock){.l_type = type,
                            .l_whence = SEEK_SET,
                            .l_start = range.start,
                            .l_len = range.len};
        while (fcntl(fd, call, f) < 0)
                if (errno != EINTR) {
                        err_os(err, errno, "lock");
                        return err_in_file(err, name);
                }
        return true;
}

bool lock_check(int fd, const char *name, enum lock_use use, struct err *err)
{
        const struct rules *r = &rules[use];

        for (size_t i = 0; i < 3 && r->busy[i].len > 0; i++) {
                struct range found;
                struct flock f;

                TRY(lock_call(fd, name, F_OFD_GETLK, F_WRLCK, r->busy[i], &f,
                              err));
                if (f.l_type == F_UNLCK)
                        continue;
                found.start = f.l_start;
                found.len = f.l_len ? f.l_len : 1;
                return in_use(fd, name, found, r->what, err);
        }
        return true;
}

bool lock_hold(int fd, const char *name, enum lock_use use, struct err *err)
{
        const struct rules *r = &rules[use];
        struct flock f;
        bool held = true;

        /* Even locks that are taken for a moment can make a QEMU's own attempt
         * fail: none where the answer is known. */
        TRY(lock_check(fd, name, use, err));
        for (size_t i = 0; held && i < 3 && r->held[i].len > 0; i++)
                held = lock_call(fd, name, F_OFD_SETLK, F_RDLCK, r->held[i], &f,
                                 err);
        /* Who comes at the same moment sees ours, or we see theirs. */
        if (held && lock_check(fd, name, use, err))
                return true;
        lock_drop(fd);
        return false;
}

void lock_drop(int fd)
{
        struct err ignored = ERR_INIT;
        struct flock f;

        (void)lock_call(fd, "", F_OFD_SETLK, F_UNLCK,
                        (struct range){USES, PERMISSIONS}, &f, &ignored);
        (void)lock_call(fd, "", F_OFD_SETLK, F_UNLCK,
                        (struct range){DENIES, PERMISSIONS}, &f, &ignored);
}
