/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/view.h"

#include "format/manifest.h"
#include "qemu/disks.h"
#include "qemu/identity.h"

#include <stdio.h>
#include <string.h>

/* QEMU before 6.x cannot list its RAMBlocks: the main one's size must do. */
static bool ask_memory(struct qmp *q, struct view *v, struct err *err)
{
        json_auto_t *id = NULL, *sizes = NULL;
        const char *name;

        TRY(qmp_ask(q, "qom-get",
                    json_pack("{s:s, s:s}", "path", "/machine", "property",
                              "memory-backend"),
                    &id, err));
        TRY(qmp_ask(q, "query-memory-size-summary", NULL, &sizes, err));
        name = json_string_value(id);
        snprintf(v->memory_id, sizeof v->memory_id, "%s", name ? name : "");
        v->memory = (uint64_t)json_integer_value(
                json_object_get(sizes, "base-memory"));
        return true;
}

/* Functions of one bus and, behind bridges, of others; as sections name them:
 * slots from the root on, "1e.0:01.0". */
static bool add_functions(const json_t *devices, const char *before,
                          json_t *list, struct err *err)
{
        const json_t *device;
        size_t i;

        json_array_foreach(devices, i, device)
        {
                const json_t *behind = json_at(device, "pci_bridge.devices");
                char path[200];
                int n = snprintf(path, sizeof path, "%s%s%02x.%x", before,
                                 before[0] ? ":" : "",
                                 (unsigned)json_integer_value(
                                         json_object_get(device, "slot")) &
                                         0xff,
                                 (unsigned)json_integer_value(
                                         json_object_get(device, "function")) &
                                         0xf);

                if (n < 0 || (size_t)n >= sizeof path)
                        continue;
                if (json_array_append_new(list, json_string(path)) != 0)
                        return err_nomem(err);
                if (behind)
                        TRY(add_functions(behind, path, list, err));
        }
        return true;
}

static bool ask_pci(struct qmp *q, struct view *v, struct err *err)
{
        json_auto_t *buses = NULL, *list = json_array();
        const json_t *bus;
        size_t i;

        TRY(qmp_ask(q, "query-pci", NULL, &buses, err));
        /* With several root buses (pxb) a section's name does not tell which.
         */
        if (json_array_size(buses) != 1)
                return true;
        json_array_foreach(buses, i, bus)
        {
                TRY(add_functions(json_object_get(bus, "devices"), "", list,
                                  err));
        }
        v->pci = json_incref(list);
        return list || err_nomem(err);
}

bool view_ask(struct qmp *q, pid_t pid, struct view *out, struct err *err)
{
        *out = (struct view){.identity = json_object()};
        if (!out->identity)
                return err_nomem(err);
        TRY(identity_describe(q, pid, out->identity, err));
        TRY(identity_ram_blocks(q, &out->ram_blocks, err));
        if (!out->ram_blocks)
                TRY(ask_memory(q, out, err));
        TRY(ask_pci(q, out, err));
        return disks_query(q, pid, &out->disks, err);
}

void view_fini(struct view *v)
{
        json_decref(v->identity);
        json_decref(v->ram_blocks);
        json_decref(v->pci);
        json_decref(v->disks);
        devices_fini(&v->devices);
        *v = (struct view){0};
}
