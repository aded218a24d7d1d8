/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/json.h"

bool json_put(json_t *object, const char *key, json_t *value, struct err *err)
{
        if (!value || json_object_set_new(object, key, value) != 0)
                return err_nomem(err);
        return true;
}

const char *json_word(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));

        return s ? s : "";
}
