/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/base.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "format/pin.h"
#include "qcow/lock.h"

#include <errno.h>
#include <string.h>

static void cleanup_chain(struct chain **c)
{
        chain_close(*c);
}

static bool format_at(const json_t *image, enum image_format *out,
                      struct err *err)
{
        const char *name = json_text(image, "format");

        *out = IMAGE_RAW;
        if (name && image_format_named(name, out))
                return true;
        return err_set(err, ERR_UNSUPPORTED,
                       "its base is of a format that stasis does not read");
}

/* Says what to do about a file that is not there. */
static bool not_there(const struct disk_info *disk, const char *path,
                      struct err *err)
{
        char shown[300];

        if (err->os != ENOENT && err->os != EACCES && err->os != ENOTDIR)
                return false;
        err_clear(err);
        err_in_file(err, path);
        return err_set(err, ERR_MISMATCH,
                       "a base of disk %s is not there, or not to be read; "
                       "--base %s=PATH says where it is now",
                       text_escape(disk->name, shown, sizeof shown), shown);
}

static bool open_recorded(const struct disk_info *disk, struct chain **out,
                          struct err *err)
{
        const json_t *images = json_object_get(disk->json, "chain");
        enum image_format formats[CHAIN_MAX];
        const char *paths[CHAIN_MAX];
        size_t count = json_array_size(images);

        if (count < 2 || count > CHAIN_MAX)
                return err_set(err, ERR_MISMATCH,
                               "the snapshot does not say what its base is: "
                               "give --base");
        for (size_t i = 1; i < count; i++) {
                const json_t *image = json_array_get(images, i);

                TRY(format_at(image, &formats[i - 1], err));
                paths[i - 1] = json_text(image, "file");
                if (!paths[i - 1])
                        return err_set(err, ERR_MISMATCH,
                                       "its base was not a file: give --base");
        }
        for (size_t i = 0; i < count - 1; i++) {
                CLEANUP(cleanup_chain) struct chain *one = NULL;

                if (!chain_open(&paths[i], &formats[i], 1, &one, err))
                        return not_there(disk, paths[i], err);
        }
        TRY(chain_open(paths, formats, count - 1, out, err));
        return chain_load(*out, err);
}

static bool open_given(const struct disk_info *disk, const char *given,
                       struct chain **out, struct err *err)
{
        const json_t *base =
                json_array_get(json_object_get(disk->json, "chain"), 1);
        const char *name = base ? json_text(base, "format") : NULL;
        enum image_format format;

        /* What was on the network, or of another format, is given raw. */
        if (!name || !image_format_named(name, &format))
                format = IMAGE_RAW;
        return chain_resolve(given, format, out, err) ||
               not_there(disk, given, err);
}

/* The deepest that differs is named: what stands on it differs, too. */
static bool compare(const struct disk_info *disk, struct chain *chain,
                    bool given, struct err *err)
{
        const json_t *images = json_object_get(disk->json, "chain");
        char shown[128], why[200];

        for (size_t i = given ? 1 : chain->count; i > 0; i--) {
                const json_t *pin =
                        json_object_get(json_array_get(images, i), "pin");
                struct chain_part below = {.chain = chain, .first = i - 1};

                if (!pin)
                        continue;
                TRY(pin_compare(pin, chain_part_read, &below,
                                image_size(chain->files[i - 1].image), why,
                                err));
                if (!why[0])
                        continue;
                err_in_file(err, chain->files[i - 1].path);
                return err_set(err, ERR_MISMATCH,
                               "not the base that disk %s was saved on: %s",
                               text_escape(disk->name, shown, sizeof shown),
                               why);
        }
        return true;
}

bool base_open(const struct disk_info *disk, const char *given,
               struct chain **out, struct err *err)
{
        CLEANUP(cleanup_chain) struct chain *chain = NULL;

        TRY(given ? open_given(disk, given, &chain, err)
                  : open_recorded(disk, &chain, err));
        for (size_t i = 0; i < chain->count; i++)
                TRY(lock_hold(chain->files[i].fd, chain->files[i].path,
                              LOCK_TO_READ, err));
        TRY(compare(disk, chain, given != NULL, err));
        *out = steal(chain);
        return true;
}
