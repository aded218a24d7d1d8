/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is a partition of what: /sys/dev/block/MAJOR:MINOR is the directory of
 * the device, with one for each of its partitions, or in that of the whole.
 *
 * A line of /proc/self/mountinfo (proc(5)):
 *
 *   36 35 98:0 /root /mount\040point rw,noatime shared:1 - ext4 /dev/sda1 rw
 *
 * 98:0 is the device, but for file systems (btrfs) that have made-up numbers;
 * of these the source is one.
 */
#include "restore/device.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "qcow/lock.h"

#define MOUNTINFO_MAX (16 << 20)

/* The device that /sys/dev/block/PATH describes: its number, and its node's
 * name below /dev. */
static bool describe(const char *path, dev_t *device, char name[128])
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *text = NULL;
        unsigned major, minor;
        char file[400];
        const char *at;
        size_t len;

        snprintf(file, sizeof file, "/sys/dev/block/%s/uevent", path);
        if (!io_read_file(file, 65536, &text, &len, &ignored) ||
            sscanf(text, "MAJOR=%u MINOR=%u", &major, &minor) != 2)
                return false;
        *device = makedev(major, minor);
        at = strstr(text, "DEVNAME=");
        return at && sscanf(at, "DEVNAME=%127s", name) == 1;
}

static bool is_partition(const char *path)
{
        struct stat st;
        char file[400];

        snprintf(file, sizeof file, "/sys/dev/block/%s/partition", path);
        return stat(file, &st) == 0;
}

/* The whole disk that a partition is part of, or the device itself. */
static dev_t whole_of(dev_t device)
{
        char path[64], name[128];
        dev_t whole;

        snprintf(path, sizeof path, "%u:%u", major(device), minor(device));
        if (!is_partition(path))
                return device;
        strcat(path, "/..");
        return describe(path, &whole, name) ? whole : device;
}

/* ---- mounts ----------------------------------------------------------- */

/* "\040" is a space. */
static void unescape(const char *s, char *out, size_t size)
{
        size_t n = 0;

        while (*s && n + 1 < size) {
                unsigned code;

                if (s[0] == '\\' && sscanf(s + 1, "%3o", &code) == 1) {
                        out[n++] = (char)code;
                        s += strnlen(s, 4);
                } else {
                        out[n++] = *s++;
                }
        }
        out[n] = '\0';
}

static bool is_of(const char *line, dev_t device, char *out, size_t size)
{
        char point[4096], source[4096], plain[4096];
        const char *rest = strstr(line, " - ");
        unsigned major, minor;
        struct stat st;
        dev_t found;

        if (!rest ||
            sscanf(line, "%*u %*u %u:%u %*s %4095s", &major, &minor, point) !=
                    3 ||
            sscanf(rest, " - %*s %4095s", source) != 1)
                return false;
        found = makedev(major, minor);
        if (major == 0) {
                unescape(source, plain, sizeof plain);
                if (stat(plain, &st) != 0 || !S_ISBLK(st.st_mode))
                        return false;
                found = st.st_rdev;
        }
        if (found != device && whole_of(found) != device)
                return false;
        unescape(point, out, size);
        return true;
}

bool device_mounted_at(dev_t device, char *out, size_t size)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *text = NULL;
        char *rest, *line;
        size_t len;

        if (!io_read_file("/proc/self/mountinfo", MOUNTINFO_MAX, &text, &len,
                          &ignored))
                return false;
        for (rest = text; (line = strsep(&rest, "\n"));)
                if (is_of(line, device, out, size))
                        return true;
        return false;
}

/* ---- locks ------------------------------------------------------------ */

static bool check_node(const char *path, struct err *err)
{
        struct err ignored = ERR_INIT;
        char name[128], node[160];
        CLEANUP_FD int fd = -1;
        dev_t device;

        if (!describe(path, &device, name))
                return true;
        snprintf(node, sizeof node, "/dev/%s", name);
        if (!io_open_read(node, &fd, &ignored))
                return true;
        return lock_check(fd, node, LOCK_TO_WRITE, err);
}

bool device_check_kin(dev_t device, struct err *err)
{
        char own[64], dir[96], path[330];
        struct dirent *e;
        bool ok = true;
        DIR *d;

        snprintf(own, sizeof own, "%u:%u", major(device), minor(device));
        if (is_partition(own)) {
                snprintf(path, sizeof path, "%s/..", own);
                return check_node(path, err);
        }
        snprintf(dir, sizeof dir, "/sys/dev/block/%s", own);
        d = opendir(dir);
        while (ok && d && (e = readdir(d))) {
                snprintf(path, sizeof path, "%s/%s", own, e->d_name);
                if (e->d_name[0] != '.' && is_partition(path))
                        ok = check_node(path, err);
        }
        if (d)
                closedir(d);
        return ok;
}
