/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/leftovers.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"
#include "qcow/image.h"
#include "qcow/lock.h"

#define ID_DIGITS 8

char *leftovers_name(const char *image, const char *id)
{
        const char *slash = strrchr(image, '/');
        const char *base = slash ? slash + 1 : image;
        char *path;

        if (asprintf(&path, "%.*s.%.200s.stasis-%s.qcow2", (int)(base - image),
                     image, base, id) < 0)
                return NULL;
        return path;
}

/* Nothing was ever written to it. */
static bool is_empty(int fd, const char *path)
{
        struct err ignored = ERR_INIT;
        struct image *i = NULL;
        enum extent_kind kind = EXTENT_DATA;
        uint64_t len = 0;
        bool empty;

        empty = image_open(fd, path, IMAGE_QCOW2, &i, &ignored) &&
                image_size(i) > 0 &&
                image_extent(i, 0, &len, &kind, &ignored) &&
                kind == EXTENT_ABSENT && len == image_size(i);
        image_close(i);
        return empty;
}

static void sweep_one(const char *path)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FD int fd = -1;
        char shown[300];

        if (!io_open_read(path, &fd, &ignored) ||
            !lock_check(fd, path, LOCK_TO_WRITE, &ignored))
                return;
        if (is_empty(fd, path)) {
                unlink(path);
                return;
        }
        log_warn("%s holds what a VM wrote after a save of it was killed, and "
                 "is not in use: if the disk lacks that, qemu-img commit puts "
                 "it there",
                 text_escape(path, shown, sizeof shown));
}

/* Is it one of those of this image?  Then id gets its digits. */
static bool is_leftover(const char *entry, const char *base, char id[16])
{
        char prefix[300];
        size_t len;

        snprintf(prefix, sizeof prefix, ".%.200s.stasis-", base);
        len = strlen(prefix);
        if (strncmp(entry, prefix, len) != 0 ||
            strspn(entry + len, "0123456789abcdef") != ID_DIGITS ||
            strcmp(entry + len + ID_DIGITS, ".qcow2") != 0)
                return false;
        snprintf(id, 16, "%.*s", ID_DIGITS, entry + len);
        return true;
}

static void sweep_beside(const char *image)
{
        const char *base = strrchr(image, '/') + 1;
        CLEANUP_FREE char *dir = strndup(image, (size_t)(base - image));
        DIR *d = dir ? opendir(dir) : NULL;
        struct dirent *entry;
        char id[16];

        while (d && (entry = readdir(d))) {
                CLEANUP_FREE char *path = NULL;

                if (!is_leftover(entry->d_name, base, id))
                        continue;
                path = leftovers_name(image, id);
                if (path)
                        sweep_one(path);
        }
        if (d)
                closedir(d);
}

void leftovers_sweep(const json_t *disks)
{
        const json_t *disk;
        size_t i;

        json_array_foreach(disks, i, disk)
        {
                const json_t *top =
                        json_array_get(json_object_get(disk, "chain"), 0);
                const char *image = json_text(top, "file");

                if (image && image[0] == '/')
                        sweep_beside(image);
        }
}
