/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pages IMAGE: the RAM of the guest in tests/guest/pages.S, judged.  The
 * counters of the pages from 1 MiB on must be n + 1 up to one place and n
 * behind it: anything else is RAM from more than one moment.  Prints "N
 * POSITION".
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/io.h"
#include "base/limits.h"

#define FIRST (1 * MiB)
#define LAST  (64 * MiB)
#define PAGE  4096

static unsigned counter(const unsigned char *p)
{
        return p[0] | (unsigned)p[1] << 8 | (unsigned)p[2] << 16 |
               (unsigned)p[3] << 24;
}

int main(int argc, char **argv)
{
        struct err err = ERR_INIT;
        char *image, line[1536];
        unsigned first, step = 0, last;
        size_t len, position = LAST;

        if (argc != 2)
                return 2;
        if (!io_read_file(argv[1], LAST, &image, &len, &err)) {
                fprintf(stderr, "%s\n", err_line(&err, line, sizeof line));
                return 1;
        }
        if (len != LAST) {
                fprintf(stderr, "%zu bytes, not 64 MiB\n", len);
                return 1;
        }
        first = last = counter((unsigned char *)image + FIRST);
        for (size_t at = FIRST; at < LAST; at += PAGE) {
                unsigned now = counter((unsigned char *)image + at);

                if (now == last)
                        continue;
                if (step++ || now + 1 != first) {
                        fprintf(stderr, "0x%zx: %u behind %u, begun at %u\n",
                                at, now, last, first);
                        return 1;
                }
                last = now;
                position = at;
        }
        printf("%u 0x%zx\n", first, position);
        free(image);
        return first > 1 ? 0 : 1;
}
