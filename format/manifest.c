/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format/manifest.h"

#include "base/limits.h"
#include "base/text.h"
#include "format/name.h"
#include "format/stasis_format.h"

#include <assert.h>
#include <string.h>

json_t *json_at(const json_t *value, const char *path)
{
        json_t *at = (json_t *)(uintptr_t)value;

        while (at && *path) {
                size_t len = strcspn(path, ".");
                char key[64];

                assert(len < sizeof key);
                memcpy(key, path, len);
                key[len] = '\0';
                at = json_object_get(at, key);
                path += len + (path[len] == '.');
        }
        return at;
}

const char *json_text(const json_t *value, const char *path)
{
        return json_string_value(json_at(value, path));
}

static bool bad(struct err *err, const char *key, enum status status,
                const char *why)
{
        err_in_section(err, MEMBER_MANIFEST);
        return err_set(err, status, "%s: %s", key, why);
}

static bool known_feature(const char *name)
{
        return strcmp(name, FEATURE_ZSTD) == 0 ||
               strcmp(name, FEATURE_DIGEST) == 0;
}

static bool check_features(const json_t *manifest, struct err *err)
{
        const json_t *list = json_at(manifest, "features.required");
        const json_t *feature;
        char shown[128];
        size_t i;

        if (!json_is_array(list))
                return bad(err, "features.required", ERR_CORRUPT, "not a list");
        json_array_foreach(list, i, feature)
        {
                const char *name = json_string_value(feature);

                if (!name)
                        return bad(err, "features.required", ERR_CORRUPT,
                                   "not a list of names");
                if (!known_feature(name)) {
                        err_in_section(err, MEMBER_MANIFEST);
                        return err_set(err, ERR_UNSUPPORTED,
                                       "the file needs feature '%s', which "
                                       "this release does not know; a newer "
                                       "stasis reads it",
                                       text_escape(name, shown, sizeof shown));
                }
        }
        return true;
}

bool manifest_requires(const json_t *manifest, const char *feature)
{
        const json_t *list = json_at(manifest, "features.required");
        const json_t *name;
        size_t i;

        json_array_foreach(list, i, name)
        {
                if (strcmp(json_string_value(name), feature) == 0)
                        return true;
        }
        return false;
}

static bool check_format(const json_t *manifest, struct err *err)
{
        const json_t *major = json_at(manifest, "format.major");

        if (!json_is_integer(major) || json_integer_value(major) < 1)
                return bad(err, "format.major", ERR_CORRUPT, "not a version");
        if (json_integer_value(major) > FORMAT_MAJOR) {
                err_in_section(err, MEMBER_MANIFEST);
                return err_set(err, ERR_UNSUPPORTED,
                               "format version %lld; this release reads up to "
                               "%d: use a newer stasis",
                               (long long)json_integer_value(major),
                               FORMAT_MAJOR);
        }
        TRY(check_features(manifest, err));
        if (!manifest_requires(manifest, FEATURE_DIGEST))
                return bad(err, "features.required", ERR_CORRUPT,
                           "no digest is named");
        return true;
}

static bool check_page_size(const json_t *manifest, struct err *err)
{
        json_int_t size = json_integer_value(
                json_object_get(manifest, "target_page_size"));

        if (size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX ||
            (size & (size - 1)) != 0)
                return bad(err, "target_page_size", ERR_CORRUPT,
                           "not a page size");
        return true;
}

/* Names differ, and each dir is its name's. */
static bool check_dir(const json_t *block, json_t *seen, struct err *err)
{
        const char *name = json_text(block, "name");
        const char *dir = json_text(block, "dir");
        char expected[512];

        if (!name || !dir)
                return bad(err, "ram_blocks", ERR_CORRUPT,
                           "an entry without name or dir");
        if (strcmp(dir, name_ram_dir(name, expected)) != 0)
                return bad(err, "ram_blocks", ERR_CORRUPT,
                           "a dir that is not its name's");
        if (json_object_get(seen, dir))
                return bad(err, "ram_blocks", ERR_CORRUPT, "a name twice");
        return json_object_set_new(seen, dir, json_true()) == 0 ||
               err_nomem(err);
}

static bool check_size(const json_t *block, uint64_t *total, struct err *err)
{
        json_int_t size = json_integer_value(json_object_get(block, "size"));

        if (size <= 0)
                return bad(err, "ram_blocks", ERR_CORRUPT,
                           "an entry without size");
        if ((uint64_t)size > LIMIT_RAM_BYTES - *total)
                return bad(err, "ram_blocks", ERR_LIMIT,
                           "more RAM than any machine has");
        *total += (uint64_t)size;
        return true;
}

static bool check_blocks(const json_t *manifest, struct err *err)
{
        const json_t *list = json_at(manifest, "ram_blocks");
        const json_t *block;
        uint64_t total = 0;
        json_t *seen;
        bool ok = true;
        size_t i;

        if (!json_is_array(list))
                return bad(err, "ram_blocks", ERR_CORRUPT, "not a list");
        if (json_array_size(list) > LIMIT_RAM_BLOCKS)
                return bad(err, "ram_blocks", ERR_LIMIT, "too many");
        seen = json_object();
        if (!seen)
                return err_nomem(err);
        json_array_foreach(list, i, block)
        {
                ok = ok && check_dir(block, seen, err) &&
                     check_size(block, &total, err);
        }
        json_decref(seen);
        return ok;
}

bool manifest_check(const json_t *manifest, struct err *err)
{
        if (!json_is_object(manifest))
                return bad(err, "manifest", ERR_CORRUPT, "not a JSON object");
        TRY(check_format(manifest, err));
        TRY(check_page_size(manifest, err));
        return check_blocks(manifest, err);
}

static bool bad_state(struct err *err, enum status status, const char *why)
{
        err_in_section(err, MEMBER_STATE);
        return err_set(err, status, "%s", why);
}

static bool is_stored(const json_t *disk)
{
        return json_object_get(disk, "stored") != NULL;
}

static bool check_disk(const json_t *disk, json_t *seen, struct err *err)
{
        const char *stored = json_text(disk, "stored");
        const char *name = json_text(disk, "name");
        const char *dir = json_text(disk, "dir");
        json_int_t size = json_integer_value(json_at(disk, "virtual_size"));
        json_int_t unit = json_integer_value(json_at(disk, "granularity"));
        char expected[512];

        if (!stored ||
            (strcmp(stored, "overlay") != 0 && strcmp(stored, "full") != 0))
                return bad_state(err, ERR_CORRUPT,
                                 "disks: stored is neither overlay nor full");
        if (!name || !dir || strcmp(dir, name_disk_dir(name, expected)) != 0)
                return bad_state(err, ERR_CORRUPT,
                                 "disks: a dir that is not its name's");
        if (unit < 512 || unit > DISK_GRANULARITY_MAX || (unit & (unit - 1)))
                return bad_state(err, ERR_CORRUPT,
                                 "disks: granularity is none");
        if (size < 0 || size % 512)
                return bad_state(err, ERR_CORRUPT,
                                 "disks: virtual_size is none");
        if ((uint64_t)size > LIMIT_DISK_BYTES ||
            json_object_size(seen) >= LIMIT_DISKS)
                return bad_state(err, ERR_LIMIT,
                                 "disks: too many or too large");
        if (json_object_get(seen, dir))
                return bad_state(err, ERR_CORRUPT, "disks: a dir twice");
        return json_object_set_new(seen, dir, json_true()) == 0 ||
               err_nomem(err);
}

static bool check_disks(const json_t *state, struct err *err)
{
        json_auto_t *seen = json_object();
        const json_t *disk;
        size_t i;

        if (!seen)
                return err_nomem(err);
        json_array_foreach(json_object_get(state, "disks"), i, disk)
        {
                if (is_stored(disk))
                        TRY(check_disk(disk, seen, err));
        }
        return true;
}

bool state_check(const json_t *state, struct err *err)
{
        const json_t *range;
        size_t i;

        if (!json_is_object(state))
                return bad_state(err, ERR_CORRUPT, "not a JSON object");
        json_array_foreach(json_object_get(state, "absent"), i, range)
        {
                if (json_text(range, "block") &&
                    json_integer_value(json_object_get(range, "offset")) >= 0 &&
                    json_integer_value(json_object_get(range, "length")) > 0)
                        continue;
                return bad_state(err, ERR_CORRUPT,
                                 "absent: an entry without block, offset or "
                                 "length");
        }
        return check_disks(state, err);
}

size_t state_disks(const json_t *state)
{
        const json_t *disk;
        size_t i, n = 0;

        json_array_foreach(json_object_get(state, "disks"), i, disk)
        {
                n += is_stored(disk);
        }
        return n;
}

static const json_t *nth_stored(const json_t *state, size_t n)
{
        const json_t *disk;
        size_t i;

        json_array_foreach(json_object_get(state, "disks"), i, disk)
        {
                if (is_stored(disk) && n-- == 0)
                        return disk;
        }
        return NULL;
}

struct disk_info state_disk(const json_t *state, size_t i)
{
        const json_t *disk = nth_stored(state, i);

        assert(disk);
        return (struct disk_info){
                .json = disk,
                .name = json_text(disk, "name"),
                .dir = json_text(disk, "dir"),
                .size = (uint64_t)json_integer_value(
                        json_at(disk, "virtual_size")),
                .size_known =
                        !json_is_false(json_at(disk, "virtual_size_known")),
                .granularity = (uint32_t)json_integer_value(
                        json_at(disk, "granularity")),
                .overlay = strcmp(json_text(disk, "stored"), "overlay") == 0,
        };
}

size_t manifest_ram_blocks(const json_t *manifest)
{
        return json_array_size(json_object_get(manifest, "ram_blocks"));
}

struct ram_block_info manifest_ram_block(const json_t *manifest, size_t i)
{
        const json_t *block =
                json_array_get(json_object_get(manifest, "ram_blocks"), i);

        return (struct ram_block_info){
                .name = json_text(block, "name"),
                .dir = json_text(block, "dir"),
                .size = (uint64_t)json_integer_value(
                        json_object_get(block, "size")),
        };
}
