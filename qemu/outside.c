/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/outside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "qemu/disks.h"
#include "qemu/identity.h"

static bool warn(json_t *warnings, struct err *err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static bool warn(json_t *warnings, struct err *err, const char *fmt, ...)
{
        va_list ap;
        json_t *s;

        va_start(ap, fmt);
        s = json_vsprintf(fmt, ap);
        va_end(ap);
        if (!s || json_array_append_new(warnings, s) != 0)
                return err_nomem(err);
        return true;
}

static bool find_disks(const json_t *disks, bool ending, json_t *warnings,
                       struct err *err)
{
        const json_t *disk, *bitmap;
        char name[128], file[512];
        size_t i, k;

        json_array_foreach(disks, i, disk)
        {
                const json_t *top =
                        json_array_get(json_object_get(disk, "chain"), 0);

                text_escape(disk_name(disk), name, sizeof name);
                text_escape(json_word(top, "name"), file, sizeof file);
                if (!json_is_true(json_object_get(disk, "read_only")) &&
                    !json_object_get(disk, "stored"))
                        TRY(warn(warnings, err,
                                 "disk %s (%s) is not in the snapshot%s", name,
                                 file,
                                 ending ? ": keep it as it is"
                                        : ": the snapshot fits it only until "
                                          "the VM writes to it again"));
                json_array_foreach(json_object_get(disk, "bitmaps"), k, bitmap)
                {
                        const char *s = json_string_value(bitmap);

                        text_escape(s ? s : "", file, sizeof file);
                        TRY(warn(warnings, err,
                                 "dirty bitmap %s of disk %s lives in its "
                                 "image, not in the snapshot",
                                 file, name));
                }
        }
        return true;
}

static bool find_memory(const json_t *manifest, json_t *warnings,
                        struct err *err)
{
        const json_t *backend;
        char id[128];
        size_t i;

        json_array_foreach(json_object_get(manifest, "memory"), i, backend)
        {
                bool share = json_is_true(json_object_get(backend, "share"));

                text_escape(json_word(backend, "id"), id, sizeof id);
                if (strcmp(json_word(backend, "type"), "memory-backend-file") ==
                    0)
                        TRY(warn(warnings, err,
                                 "memory %s is a file: the snapshot has its "
                                 "content, a restore %s",
                                 id,
                                 share ? "overwrites the file given then"
                                       : "leaves the file alone"));
                else if (share)
                        TRY(warn(warnings, err,
                                 "memory %s is shared: the snapshot has its "
                                 "content, not the state of other processes "
                                 "that use it",
                                 id));
        }
        return true;
}

static bool find_devices(const json_t *manifest, json_t *warnings,
                         struct err *err)
{
        static const struct {
                const char *prefix, *why;
        } kinds[] = {
                {"vfio-", "the state of the host's device"},
                {"vhost-user-", "the state of the process that serves it"},
                {"vhost-vsock-", "its open connections"},
                {"ivshmem-", "the state of others that share its memory"},
                {"virtio-9p-", "the host's directory"},
        };
        const json_t *device;
        char id[128];
        size_t i;

        json_array_foreach(json_object_get(manifest, "devices"), i, device)
        {
                for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
                        const char *type = json_word(device, "type");

                        if (strncmp(type, kinds[k].prefix,
                                    strlen(kinds[k].prefix)) != 0)
                                continue;
                        text_escape(json_word(device, "id"), id, sizeof id);
                        TRY(warn(warnings, err,
                                 "device %s%s%s: the snapshot does not hold "
                                 "%s",
                                 type, id[0] ? " " : "", id, kinds[k].why));
                }
        }
        return true;
}

bool outside_find(struct qmp *q, const json_t *manifest, const json_t *disks,
                  bool ending, json_t *warnings, struct err *err)
{
        json_auto_t *network = NULL;

        TRY(find_disks(disks, ending, warnings, err));
        TRY(find_memory(manifest, warnings, err));
        TRY(find_devices(manifest, warnings, err));
        TRY(qmp_ask_human(q, "info network", &network, err));
        if (network && strstr(json_string_value(network), "type=vhost-user"))
                TRY(warn(warnings, err,
                         "a network is served by vhost-user: the snapshot does "
                         "not hold the state of that process"));
        return true;
}
