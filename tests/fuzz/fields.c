/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a device's description (JSON, up to the first NUL) and payload:
 * what is told of it must follow byte for byte, and be all of it if nothing is
 * found wrong.  (make fuzz)
 */
#include "qemu/fields.h"

#include <stdlib.h>
#include <string.h>

/* A few bytes of description can repeat a field millions of times. */
#define TOLD 100000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct told {
        size_t end;
        unsigned count;
};

static bool tell(void *arg, const struct field *f, struct err *err)
{
        struct told *t = arg;
        json_t *value;

        if (f->offset != t->end || !f->path || !f->type)
                abort();
        t->end += f->size;
        if (t->count % 64 == 0) {
                value = field_value(f);
                if (!value && f->kind != FIELD_NULL)
                        abort();
                json_decref(value);
        }
        return ++t->count < TOLD ||
               err_set(err, ERR_LIMIT, "enough for the fuzzer");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        const uint8_t *nul = memchr(bytes, '\0', len);
        size_t json = nul ? (size_t)(nul - bytes) : len;
        size_t payload = nul ? len - json - 1 : 0;
        struct err err = ERR_INIT;
        struct told told = {0};
        json_t *device = NULL;

        if (!fields_parse(bytes, json, &device, &err))
                return 0;
        if (fields_decode(device, nul ? nul + 1 : bytes, payload, tell, &told,
                          &err) &&
            told.end != payload)
                abort();
        json_decref(device);
        return 0;
}
