/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * micro frames LEVEL FILE
 *
 * The program's parts, each on its own.
 */
#include "bench/micro.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void micro_die(const char *what, const struct err *err)
{
        char line[1536];

        fprintf(stderr, "micro: %s%s%s\n", what, err ? ": " : "",
                err ? err_line(err, line, sizeof line) : "");
        exit(1);
}

uint8_t *micro_alloc(size_t size)
{
        uint8_t *bytes = aligned_alloc(64, (size + 63) / 64 * 64);

        if (!bytes)
                micro_die("no memory", NULL);
        memset(bytes, 1, size);
        return bytes;
}

int main(int argc, char **argv)
{
        if (argc == 4 && strcmp(argv[1], "frames") == 0)
                return micro_frames(argv[2], argv[3]);
        fprintf(stderr, "usage: micro frames LEVEL FILE\n");
        return 2;
}
