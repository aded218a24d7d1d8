/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/disk_files.h"

#include "base/limits.h"
#include "base/text.h"

#include <string.h>

bool disk_files_open(const json_t *disk, struct chain **out, struct err *err)
{
        const json_t *images = json_object_get(disk, "chain"), *image;
        enum image_format formats[CHAIN_MAX];
        const char *paths[CHAIN_MAX];
        size_t i, count = json_array_size(images);

        if (count == 0 || count > CHAIN_MAX)
                return err_set(err, ERR_UNSUPPORTED,
                               "QEMU tells no images of it, or too many");
        json_array_foreach(images, i, image)
        {
                const char *name =
                        json_string_value(json_object_get(image, "name"));
                const char *format =
                        json_string_value(json_object_get(image, "format"));
                char shown[300];

                text_escape(name ? name : "?", shown, sizeof shown);
                paths[i] = json_string_value(json_object_get(image, "file"));
                if (!format)
                        return err_set(err, ERR_UNSUPPORTED,
                                       "%s is an external data file, which "
                                       "stasis does not read",
                                       shown);
                if (!paths[i] || !image_format_named(format, &formats[i]))
                        return err_set(err, ERR_UNSUPPORTED,
                                       "%s (%s) is not an image file of a "
                                       "format that stasis reads (raw, qcow2)",
                                       shown, format);
        }
        return chain_open(paths, formats, count, out, err);
}

static bool overlay_extent(void *arg, uint64_t offset, uint64_t *len_out,
                           enum extent_kind *kind_out, struct err *err)
{
        const struct files *f = arg;

        return chain_extent(f->chain, 0, f->layers, offset, len_out, kind_out,
                            err);
}

static uint64_t round_up(uint64_t n, uint64_t most)
{
        uint64_t up = (n + FULL_GRANULARITY - 1) / FULL_GRANULARITY *
                      FULL_GRANULARITY;

        return up < most ? up : most;
}

/* Whole blocks: one that is data in any part is data.  offset: of a block. */
static bool full_extent(void *arg, uint64_t offset, uint64_t *len_out,
                        enum extent_kind *kind_out, struct err *err)
{
        const struct files *f = arg;
        uint64_t left = chain_size(f->chain) - offset, len, got;
        uint64_t block = round_up(1, left);
        enum extent_kind kind;

        TRY(overlay_extent(arg, offset, &len, &kind, err));
        *kind_out = kind == EXTENT_DATA ? EXTENT_DATA : EXTENT_ABSENT;
        if (len == left || *kind_out == EXTENT_DATA) {
                *len_out = round_up(len, left);
                return true;
        }
        *len_out = len - len % FULL_GRANULARITY;
        if (*len_out > 0)
                return true;
        for (got = len; got < block; got += len) {
                TRY(overlay_extent(arg, offset + got, &len, &kind, err));
                if (kind == EXTENT_DATA)
                        *kind_out = EXTENT_DATA;
        }
        *len_out = block;
        return true;
}

static bool read_files(void *arg, uint64_t offset, uint8_t *bytes, size_t len,
                       struct err *err)
{
        const struct files *f = arg;

        return chain_read(f->chain, 0, f->layers, offset, bytes, len, err);
}

void disk_files_source(struct chain *chain, bool overlay, struct files *files,
                       struct disk_source *out)
{
        uint32_t own = image_granularity(chain->files[0].image);

        *files = (struct files){
                .chain = chain,
                .layers = overlay ? 1 : chain->count,
        };
        *out = (struct disk_source){
                .arg = files,
                .size = chain_size(chain),
                .granularity = !overlay           ? FULL_GRANULARITY
                               : own < CHUNK_SIZE ? own
                                                  : (uint32_t)CHUNK_SIZE,
                .extent = overlay ? overlay_extent : full_extent,
                .read = read_files,
        };
}
