/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/disks.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "qemu/identity.h"

/* Deeper chains are cut; QEMU itself is slow there. */
#define CHAIN_MAX 200

static bool copy(json_t *to, const char *key, const json_t *from,
                 const char *from_key, struct err *err)
{
        json_t *value = json_object_get(from, from_key);

        return !value || json_put(to, key, json_incref(value), err);
}

/* The path of a plain file or block device; false: it is something else
 * (json:..., nbd://..., a name relative to an unknown directory). */
static bool local_path(const char *name, pid_t pid, char out[PATH_MAX])
{
        size_t first = strcspn(name, ":/");
        char link[64], cwd[PATH_MAX];
        ssize_t n;

        if (name[0] == '/')
                return snprintf(out, PATH_MAX, "%s", name) < PATH_MAX;
        if (name[first] == ':' || !name[0] || !pid)
                return false;
        snprintf(link, sizeof link, "/proc/%ld/cwd", (long)pid);
        n = readlink(link, cwd, sizeof cwd - 1);
        if (n <= 0)
                return false;
        cwd[n] = 0;
        return snprintf(out, PATH_MAX, "%s/%s", cwd, name) < PATH_MAX;
}

static bool add_image(json_t *chain, const char *name, const json_t *image,
                      pid_t pid, struct err *err)
{
        json_auto_t *entry = json_pack("{s:s}", "name", name);
        char path[PATH_MAX];

        if (!entry)
                return err_nomem(err);
        if (local_path(name, pid, path))
                TRY(json_put(entry, "file", json_string(path), err));
        TRY(copy(entry, "format", image, "format", err));
        TRY(copy(entry, "virtual_size", image, "virtual-size", err));
        return json_array_append(chain, entry) == 0 || err_nomem(err);
}

/* The image, its external data file, its backing file, and so on. */
static bool add_chain(const json_t *image, pid_t pid, json_t *disk,
                      struct err *err)
{
        json_auto_t *chain = json_array();

        for (int depth = 0; image && depth < CHAIN_MAX; depth++) {
                const char *name =
                        json_string_value(json_object_get(image, "filename"));
                const char *data = NULL;

                if (name)
                        TRY(add_image(chain, name, image, pid, err));
                json_unpack((json_t *)(uintptr_t)image, "{s:{s:{s:s}}}",
                            "format-specific", "data", "data-file", &data);
                if (data)
                        TRY(add_image(chain, data, NULL, pid, err));
                image = json_object_get(image, "backing-image");
        }
        return json_put(disk, "chain", json_incref(chain), err);
}

/* Bitmaps that are kept in the image: their content goes with the disk. */
static bool add_bitmaps(const json_t *inserted, json_t *disk, struct err *err)
{
        json_auto_t *names = json_array();
        json_t *bitmap;
        size_t i;

        json_array_foreach(json_object_get(inserted, "dirty-bitmaps"), i,
                           bitmap)
        {
                json_t *name = json_object_get(bitmap, "name");

                if (name &&
                    json_is_true(json_object_get(bitmap, "persistent")) &&
                    json_array_append(names, name) != 0)
                        return err_nomem(err);
        }
        return !json_array_size(names) ||
               json_put(disk, "bitmaps", json_incref(names), err);
}

/* As the operator knows it: the id of the drive or of the device, whose part
 * "virtio-backend" may be what has the disk. */
static bool add_name(json_t *disk, struct err *err)
{
        static const char prefix[] = "/machine/peripheral/";
        const char *name = json_word(disk, "device"),
                   *qdev = json_word(disk, "qdev");
        size_t len = strlen(name);

        if (len == 0 && strncmp(qdev, prefix, sizeof prefix - 1) == 0) {
                name = qdev + sizeof prefix - 1;
                len = strcspn(name, "/");
        }
        if (len == 0) {
                name = json_word(disk, "node");
                len = strlen(name);
        }
        return len == 0 || json_put(disk, "name", json_stringn(name, len), err);
}

static bool add_disk(const json_t *block, pid_t pid, json_t *list,
                     struct err *err)
{
        const json_t *inserted = json_object_get(block, "inserted");
        const json_t *image = json_object_get(inserted, "image");
        json_auto_t *disk = json_object();
        json_t *ro = json_object_get(inserted, "ro");

        if (!inserted)
                return true;
        TRY(copy(disk, "device", block, "device", err));
        TRY(copy(disk, "qdev", block, "qdev", err));
        TRY(copy(disk, "node", inserted, "node-name", err));
        TRY(add_name(disk, err));
        TRY(json_put(disk, "read_only", json_boolean(json_is_true(ro)), err));
        TRY(copy(disk, "removable", block, "removable", err));
        TRY(copy(disk, "format", inserted, "drv", err));
        if (json_is_true(json_object_get(inserted, "encrypted")))
                TRY(json_put(disk, "encrypted", json_true(), err));
        TRY(copy(disk, "virtual_size", image, "virtual-size", err));
        TRY(add_chain(image, pid, disk, err));
        TRY(add_bitmaps(inserted, disk, err));
        return json_array_append(list, disk) == 0 || err_nomem(err);
}

bool disks_query(struct qmp *q, pid_t pid, json_t **out, struct err *err)
{
        json_auto_t *blocks = NULL, *list = json_array();
        json_t *block;
        size_t i;

        TRY(qmp_ask(q, "query-block", NULL, &blocks, err));
        json_array_foreach(blocks, i, block)
        {
                TRY(add_disk(block, pid, list, err));
        }
        *out = json_incref(list);
        return list || err_nomem(err);
}

const char *disk_name(const json_t *disk)
{
        return json_word(disk, "name")[0] ? json_word(disk, "name") : "a disk";
}

const json_t *disks_counterpart(const json_t *list, const json_t *disk,
                                size_t position)
{
        static const char *const keys[] = {"qdev", "device"};
        const json_t *other;

        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
                size_t i;

                json_array_foreach(list, i, other)
                {
                        if (json_word(disk, keys[k])[0] &&
                            strcmp(json_word(disk, keys[k]),
                                   json_word(other, keys[k])) == 0)
                                return other;
                }
        }
        return json_array_get(list, position);
}
