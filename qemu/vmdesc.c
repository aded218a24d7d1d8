/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/vmdesc.h"

#include "base/cleanup.h"
#include "base/limits.h"

#include <jansson.h>
#include <string.h>

/* Structs within structs; QEMU's deepest is about 6. */
#define DEPTH_MAX 64

static void cleanup_json(json_t **value)
{
        json_decref(*value);
}

static bool bad(struct err *err, const char *why)
{
        err_in_section(err, "vmdesc");
        return err_set(err, ERR_CORRUPT, "%s", why);
}

/* n, or fallback when the key is absent; negative and huge values are bad. */
static bool whole(const json_t *object, const char *key, uint64_t fallback,
                  uint64_t max, uint64_t *out, struct err *err)
{
        const json_t *value = json_object_get(object, key);
        json_int_t n;

        *out = fallback;
        if (!value)
                return true;
        n = json_integer_value(value);
        if (!json_is_integer(value) || n < 0 || (uint64_t)n > max)
                return bad(err, "a size or count is no sane number");
        *out = (uint64_t)n;
        return true;
}

static bool add(uint64_t *sum, uint64_t n, struct err *err)
{
        *sum += n;
        return *sum <= LIMIT_TAIL_BYTES ||
               bad(err, "a device is larger than all device state may be");
}

static bool measure(const json_t *vmsd, unsigned depth, uint64_t *sum,
                    struct err *err);

static bool measure_subsections(const json_t *vmsd, unsigned depth,
                                uint64_t *sum, struct err *err)
{
        const json_t *list = json_object_get(vmsd, "subsections");
        const json_t *sub;
        size_t i;

        json_array_foreach(list, i, sub)
        {
                const char *name =
                        json_string_value(json_object_get(sub, "vmsd_name"));

                if (!name)
                        return bad(err, "a subsection without vmsd_name");
                /* type byte, counted name, version */
                TRY(add(sum, 1 + 1 + strlen(name) + 4, err));
                TRY(measure(sub, depth + 1, sum, err));
        }
        return true;
}

static bool measure(const json_t *vmsd, unsigned depth, uint64_t *sum,
                    struct err *err)
{
        const json_t *field;
        uint64_t size, count;
        size_t i;

        if (depth > DEPTH_MAX)
                return bad(err, "nested too deeply");
        json_array_foreach(json_object_get(vmsd, "fields"), i, field)
        {
                TRY(whole(field, "size", 0, LIMIT_TAIL_BYTES, &size, err));
                TRY(whole(field, "array_len", 1, UINT32_MAX, &count, err));
                if (size && count > LIMIT_TAIL_BYTES / size)
                        return bad(err, "an array is larger than all device "
                                        "state may be");
                TRY(add(sum, size * count, err));
        }
        return measure_subsections(vmsd, depth, sum, err);
}

static bool parse_device(const json_t *device, struct vmdesc_device *out,
                         struct err *err)
{
        const char *name = json_string_value(json_object_get(device, "name"));
        uint64_t instance;

        if (!name || strlen(name) >= sizeof out->idstr)
                return bad(err, "a device without a name of 1 to 255 bytes");
        strcpy(out->idstr, name);
        TRY(whole(device, "instance_id", 0, UINT32_MAX, &instance, err));
        out->instance_id = (uint32_t)instance;
        return measure(device, 0, &out->bytes, err);
}

bool vmdesc_parse(const uint8_t *json, size_t len, struct vmdesc *out,
                  struct err *err)
{
        CLEANUP(cleanup_json) json_t *root = NULL;
        struct vmdesc v = {0};
        const json_t *devices, *device;
        uint64_t page_size;
        size_t i;

        root = json_loadb((const char *)json, len, 0, NULL);
        devices = json_object_get(root, "devices");
        if (!json_is_array(devices))
                return bad(err, "not JSON with a list of devices");
        TRY(whole(root, "page_size", 0, UINT32_MAX, &page_size, err));
        v.page_size = (uint32_t)page_size;
        v.count = json_array_size(devices);
        v.devices = calloc(v.count + 1, sizeof *v.devices);
        if (!v.devices)
                return err_nomem(err);
        json_array_foreach(devices, i, device)
        {
                if (!parse_device(device, &v.devices[i], err)) {
                        vmdesc_fini(&v);
                        return false;
                }
        }
        *out = v;
        return true;
}

void vmdesc_fini(struct vmdesc *v)
{
        free(v->devices);
        *v = (struct vmdesc){0};
}
