/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcowcat FORMAT FILE          what a guest would read, on standard output
 * qcowcat FORMAT FILE map      its extents: OFFSET LENGTH KIND, of the whole chain
 * qcowcat FORMAT FILE vmstate  the VM state of the first internal snapshot
 * qcowcat FORMAT FILE bitmaps  the names of its bitmaps
 */
#include "base/io.h"
#include "qcow/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP (1u << 20)

static bool cat(struct chain *c, uint8_t *buffer, struct err *err)
{
        uint64_t size = chain_size(c);

        for (uint64_t at = 0; at < size; at += STEP) {
                size_t len = size - at < STEP ? (size_t)(size - at) : STEP;

                TRY(chain_read(c, 0, c->count, at, buffer, len, err));
                TRY(io_write_all(1, buffer, len, "standard output", err));
        }
        return true;
}

static bool map(struct chain *c, struct err *err)
{
        static const char *const kinds[] = {"absent", "zero", "data"};
        uint64_t size = chain_size(c), begin = 0, len;
        enum extent_kind kind, last = EXTENT_ABSENT;

        for (uint64_t at = 0; at < size; at += len) {
                TRY(chain_extent(c, 0, c->count, at, &len, &kind, err));
                if (at > 0 && kind != last) {
                        printf("%" PRIu64 " %" PRIu64 " %s\n", begin,
                               at - begin, kinds[last]);
                        begin = at;
                }
                last = kind;
        }
        if (size > 0)
                printf("%" PRIu64 " %" PRIu64 " %s\n", begin, size - begin,
                       kinds[last]);
        return true;
}

static bool vm_state(struct image *i, uint8_t *buffer, struct err *err)
{
        uint64_t size;

        if (image_snapshots(i) == 0)
                return err_set(err, ERR_USAGE, "no internal snapshot");
        size = image_snapshot_at(i, 0).vm_state_size;
        for (uint64_t at = 0; at < size; at += STEP) {
                size_t len = size - at < STEP ? (size_t)(size - at) : STEP;

                TRY(image_vm_state_read(i, 0, at, buffer, len, err));
                TRY(io_write_all(1, buffer, len, "standard output", err));
        }
        return true;
}

static bool run(int argc, char **argv, struct chain **c, uint8_t *buffer,
                struct err *err)
{
        enum image_format format;
        struct image *top;

        if (argc < 3 || !image_format_named(argv[1], &format))
                return err_set(err, ERR_USAGE, "qcowcat FORMAT FILE [WHAT]");
        TRY(chain_resolve(argv[2], format, c, err));
        top = (*c)->files[0].image;
        if (argc == 3)
                return cat(*c, buffer, err);
        if (strcmp(argv[3], "map") == 0)
                return map(*c, err);
        if (strcmp(argv[3], "vmstate") == 0)
                return vm_state(top, buffer, err);
        for (size_t n = 0; n < image_bitmaps(top); n++)
                puts(image_bitmap_name(top, n));
        return true;
}

int main(int argc, char **argv)
{
        struct err err = ERR_INIT;
        struct chain *c = NULL;
        uint8_t *buffer = malloc(STEP);
        char line[1536];
        bool ok = run(argc, argv, &c, buffer, &err);

        chain_close(c);
        free(buffer);
        if (ok)
                return 0;
        fprintf(stderr, "qcowcat: %s\n", err_line(&err, line, sizeof line));
        return err_exit_code(&err);
}
