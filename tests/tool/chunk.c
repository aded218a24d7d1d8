/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chunk FILE: how long one chunk of RAM takes to be read, checked and unpacked
 * when nothing else is done, in microseconds: median and 99th percentile of
 * 2,000, taken from all over the file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "base/limits.h"
#include "format/manifest.h"
#include "format/places.h"

#define COUNT 2000

static double us_now(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* The chunks of the largest RAMBlock. */
static bool measure(const struct places *p, unsigned dir, uint64_t chunks,
                    struct err *err)
{
        static uint8_t raw[CHUNK_SIZE];
        static double took[COUNT];
        struct place_buffer *b = place_buffer_new();
        unsigned n = 0;
        bool ok = true;

        /* A step that has no factor in common with a power of two. */
        for (uint64_t i = 0; ok && n < COUNT && i < 8 * chunks; i++) {
                uint64_t chunk = i * 769 % chunks;
                double begun = us_now();
                size_t len;

                if (!places_has(p, dir, chunk))
                        continue;
                ok = places_read(p, b, dir, chunk, raw, &len, err);
                took[n++] = us_now() - begun;
        }
        place_buffer_free(b);
        if (!ok || n == 0)
                return ok && err_set(err, ERR_USAGE, "no chunks");
        qsort(took, n, sizeof *took, compare);
        printf("%.0f %.0f\n", took[n / 2], took[n * 99 / 100]);
        return true;
}

static bool run(const char *path, struct err *err)
{
        struct reader_options how = {.threads = 0};
        const json_t *list, *block;
        const char *dirs[LIMIT_RAM_BLOCKS];
        uint64_t sizes[LIMIT_RAM_BLOCKS];
        struct places *p;
        struct reader *r;
        unsigned most = 0;
        size_t i;
        int fd;

        TRY(io_open_read(path, &fd, err));
        TRY(reader_open(fd, path, &how, &r, err));
        list = json_at(reader_manifest(r), "ram_blocks");
        json_array_foreach(list, i, block)
        {
                dirs[i] = json_text(block, "dir");
                sizes[i] = (uint64_t)json_integer_value(
                        json_object_get(block, "size"));
                if (sizes[i] > sizes[most])
                        most = (unsigned)i;
        }
        TRY(places_new(r, dirs, sizes, (unsigned)i, &p, err));
        TRY(measure(p, most, sizes[most] / CHUNK_SIZE, err));
        places_free(p);
        reader_close(r);
        return true;
}

int main(int argc, char **argv)
{
        struct err err = ERR_INIT;
        char line[1536];

        if (argc != 2)
                return 2;
        if (run(argv[1], &err))
                return 0;
        fprintf(stderr, "chunk: %s\n", err_line(&err, line, sizeof line));
        return 1;
}
