/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/birth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* A random UUID (RFC 9562, version 4). */
static bool make_uuid(char out[37], struct err *err)
{
        uint8_t u[16];

        if (getrandom(u, sizeof u, 0) != (ssize_t)sizeof u)
                return err_os(err, errno, "getrandom");
        u[6] = (uint8_t)((u[6] & 0x0f) | 0x40);
        u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
        snprintf(out, 37,
                 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                 "%02x%02x%02x%02x%02x%02x",
                 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
                 u[10], u[11], u[12], u[13], u[14], u[15]);
        return true;
}

static bool find_time(int64_t *out, struct err *err)
{
        const char *pinned = getenv("SOURCE_DATE_EPOCH");
        char *end;

        *out = (int64_t)time(NULL);
        if (!pinned)
                return true;
        errno = 0;
        *out = strtoll(pinned, &end, 10);
        /* tar's octal field holds no later time. */
        if (errno || end == pinned || *end || *out < 0 ||
            *out > INT64_C(077777777777))
                return err_set(err, ERR_USAGE,
                               "SOURCE_DATE_EPOCH is not a number of seconds");
        return true;
}

bool birth_describe(json_t *manifest, const char *source, int64_t *time_out,
                    struct err *err)
{
        const char *pinned = getenv("STASIS_ID");
        char created[32], id[37];
        struct tm tm;
        time_t t;

        TRY(find_time(time_out, err));
        t = (time_t)*time_out;
        if (!gmtime_r(&t, &tm))
                return err_os(err, errno, "gmtime");
        strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &tm);
        TRY(make_uuid(id, err));
        if (json_object_set_new(manifest, "created", json_string(created)) ||
            json_object_set_new(manifest, "id",
                                json_string(pinned ? pinned : id)) ||
            json_object_set_new(manifest, "source", json_string(source)))
                return err_nomem(err);
        return true;
}
