/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place [--overwrite] PATH SIZE STEP...
 *      opens PATH as the place of a disk of SIZE bytes and takes the steps:
 *      fill:OFFSET:LEN (bytes of 0x5a), zero:OFFSET:LEN, commit, undo,
 *      wait (says "open", until its stdin ends)
 *
 * As the program: exit codes, one line on stderr.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "restore/place.h"

static bool fill(struct place *p, uint64_t offset, uint64_t len,
                 struct err *err)
{
        uint8_t *bytes = malloc(len);
        bool ok;

        if (!bytes)
                return err_nomem(err);
        memset(bytes, 0x5a, len);
        ok = io_pwrite_all(place_fd(p), bytes, len, offset, "place", err);
        free(bytes);
        return ok;
}

static bool step(struct place *p, const char *what, struct err *err)
{
        unsigned long long offset, len;

        if (sscanf(what, "fill:%llu:%llu", &offset, &len) == 2)
                return fill(p, offset, len, err);
        if (sscanf(what, "zero:%llu:%llu", &offset, &len) == 2)
                return place_discard(p, offset, len, err);
        if (!strcmp(what, "commit"))
                return place_commit(p, err);
        if (!strcmp(what, "undo")) {
                place_undo(p);
                return true;
        }
        if (!strcmp(what, "wait")) {
                puts("open");
                fflush(stdout);
                while (getchar() != EOF)
                        ;
                return true;
        }
        return err_set(err, ERR_USAGE, "no such step: %s", what);
}

int main(int argc, char **argv)
{
        struct place_options o = {.overwrite = false};
        struct err err = ERR_INIT;
        struct place *p = NULL;
        char line[1536];
        bool ok;
        int i = 1;

        if (i < argc && !strcmp(argv[i], "--overwrite")) {
                o.overwrite = true;
                i++;
        }
        if (argc - i < 2) {
                fputs("usage: place [--overwrite] PATH SIZE STEP...\n", stderr);
                return 2;
        }
        o.size = strtoull(argv[i + 1], NULL, 10);
        ok = place_open(argv[i], &o, &p, &err);
        for (i += 2; ok && i < argc; i++)
                ok = step(p, argv[i], &err);
        place_close(p);
        if (!ok)
                fprintf(stderr, "place: %s\n",
                        err_line(&err, line, sizeof line));
        return err_exit_code(&err);
}
