/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line of /proc/self/mountinfo (proc(5)):
 *
 *   36 35 98:0 /root /mount\040point rw,noatime shared:1 - ext4 /dev/sda1 rw
 *
 * 98:0 is the device, but for file systems (btrfs) that have made-up numbers;
 * of these the source is one.
 */
#include "restore/mounted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/io.h"

#define MOUNTINFO_MAX (16 << 20)

/* The whole disk that a partition is part of, or the device itself. */
static dev_t whole_of(dev_t device)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *text = NULL;
        unsigned major, minor;
        struct stat st;
        char path[96];
        size_t len;

        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition",
                 major(device), minor(device));
        if (stat(path, &st) != 0)
                return device;
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev",
                 major(device), minor(device));
        if (!io_read_file(path, 64, &text, &len, &ignored) ||
            sscanf(text, "%u:%u", &major, &minor) != 2)
                return device;
        return makedev(major, minor);
}

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

bool mounted_at(dev_t device, char *out, size_t size)
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
