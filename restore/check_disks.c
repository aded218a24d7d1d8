/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks that the snapshot left outside, or that a restore has made anew. */
#include "restore/check.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "format/fingerprint.h"
#include "format/manifest.h"
#include "qcow/lock.h"
#include "qemu/disks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t number(const json_t *object, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* The recorded images of one disk against the files that the target opened. */
static bool check_images(struct check *c, const char *name, const json_t *was,
                         const json_t *is, struct err *err)
{
        const json_t *image;
        size_t i;

        json_array_foreach(json_object_get(was, "chain"), i, image)
        {
                const json_t *print = json_object_get(image, "fingerprint");
                const char *path = json_text(
                        json_array_get(json_object_get(is, "chain"), i),
                        "file");
                char why[160], shown[300];

                if (!print)
                        continue;
                if (!path) {
                        return check_add(c, "disks", REASON_WRONG, name, NULL,
                                         NULL, err,
                                         "disk %s: the target has no image %zu "
                                         "in its backing chain",
                                         name, i);
                }
                TRY(fingerprint_compare(print, path, why, err));
                if (why[0])
                        TRY(check_add(
                                c, "disks", REASON_WRONG, name, NULL, path, err,
                                "disk %s: %s is not as it was at the cut: %s%s",
                                name, text_escape(path, shown, sizeof shown),
                                why,
                                json_text(was, "stored")
                                        ? "; --disk restores it from the "
                                          "snapshot"
                                        : ""));
        }
        return true;
}

static bool same_file(const char *a, const char *b)
{
        struct stat x, y;

        if (stat(a, &x) != 0 || stat(b, &y) != 0)
                return false;
        if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
                return x.st_rdev == y.st_rdev;
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The disk was made anew for this target: does that open it? */
static bool check_restored(struct check *c, const char *name, const char *path,
                           const json_t *is, struct err *err)
{
        const char *opened = json_text(
                json_array_get(json_object_get(is, "chain"), 0), "file");
        char shown[300], made[300];

        if (opened && same_file(opened, path))
                return true;
        return check_add(c, "disks", REASON_WRONG, name, path, opened, err,
                         "disk %s is now %s, but the target opened %s", name,
                         text_escape(path, made, sizeof made),
                         text_escape(opened ? opened : "something else", shown,
                                     sizeof shown));
}

/* Somebody else writes it: most likely the VM that was saved. */
static bool check_unused(struct check *c, const char *name, const json_t *is,
                         struct err *err)
{
        const char *path = json_text(
                json_array_get(json_object_get(is, "chain"), 0), "file");
        struct err busy = ERR_INIT;
        CLEANUP_FD int fd = -1;

        if (!path || json_is_true(json_object_get(is, "read_only")) ||
            !io_open_read(path, &fd, &(struct err)ERR_INIT))
                return true;
        if (lock_check(fd, path, LOCK_TO_WRITE, &busy))
                return true;
        if (busy.status != ERR_MISMATCH) {
                *err = busy;
                return false;
        }
        return check_add(c, "disk-in-use", REASON_REFUSED, name, NULL, path,
                         err, "disk %s: %s: %s", name, busy.file, busy.why);
}

static bool check_disk(struct check *c, const json_t *was, const json_t *have,
                       size_t position, struct err *err)
{
        const json_t *is = disks_counterpart(have, was, position);
        const char *path = restored_disks_path(c->restored, disk_name(was));
        char name[128], a[24], b[24];

        text_escape(disk_name(was), name, sizeof name);
        if (!is)
                return check_add(c, "disk-missing", REASON_WRONG, name, name,
                                 NULL, err, "the target has no disk %s", name);
        /* Of a recorded stream it is known how large it was at least. */
        if (number(was, "virtual_size") > number(is, "virtual_size") ||
            (!json_is_false(json_at(was, "virtual_size_known")) &&
             number(was, "virtual_size") != number(is, "virtual_size"))) {
                snprintf(a, sizeof a, "%" PRIu64, number(was, "virtual_size"));
                snprintf(b, sizeof b, "%" PRIu64, number(is, "virtual_size"));
                TRY(check_add(c, "disk-size", REASON_WRONG, name, a, b, err,
                              "disk %s has %s bytes in the snapshot, %s in the "
                              "target",
                              name, a, b));
        }
        TRY(check_unused(c, name, is, err));
        if (path)
                return check_restored(c, name, path, is, err);
        return check_images(c, name, was, is, err);
}

bool check_disks(struct check *c, const json_t *state, const struct view *v,
                 struct err *err)
{
        const json_t *list = json_object_get(state, "disks"), *disk;
        size_t i;

        json_array_foreach(list, i, disk)
        {
                TRY(check_disk(c, disk, v->disks, i, err));
        }
        return true;
}
