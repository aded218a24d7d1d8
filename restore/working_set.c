/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A text: a head line, then a line for each run of pages that were asked for
 * one after the other.
 *
 *   stasis-working-set 1 SNAPSHOT-ID PAGE-SIZE
 *   DIR OFFSET PAGES
 */
#include "restore/working_set.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "format/name.h"
#include "restore/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "stasis-working-set 1 "

/* A line's length is at most that of a directory and two numbers. */
#define FILE_MAX (256 * MiB)

void working_set_fini(struct working_set *w)
{
        free(w->list);
        *w = (struct working_set){0};
}

void working_set_add(struct working_set *w, unsigned block, uint64_t page)
{
        if (w->count == w->room) {
                size_t room = w->room ? 2 * w->room : 4096;
                struct working_page *grown;

                if (w->count >= WORKING_SET_MAX)
                        return;
                grown = realloc(w->list, room * sizeof *grown);
                if (!grown)
                        return;
                w->list = grown;
                w->room = room;
        }
        w->list[w->count++] =
                (struct working_page){.block = block, .page = page};
}

char *working_set_path(const char *snapshot)
{
        char *path;

        return asprintf(&path, "%s.working-set", snapshot) < 0 ? NULL : path;
}

/* How many pages from i on follow each other. */
static size_t run_at(const struct working_set *w, size_t i)
{
        size_t n = 1;

        while (i + n < w->count && w->list[i + n].block == w->list[i].block &&
               w->list[i + n].page == w->list[i].page + n)
                n++;
        return n;
}

static bool print(const struct working_set *w, const struct layout *l,
                  const char *snapshot_id, FILE *to)
{
        char dir[512];
        size_t run;

        fprintf(to, HEAD "%s %u\n", snapshot_id, l->page_size);
        for (size_t i = 0; i < w->count; i += run) {
                const struct working_page *p = &w->list[i];

                run = run_at(w, i);
                fprintf(to, "%s %llx %zu\n",
                        name_ram_dir(l->ram->blocks[p->block].name, dir),
                        (unsigned long long)(p->page * l->page_size), run);
        }
        return !ferror(to);
}

static void cleanup_publish(struct publish **p)
{
        publish_close(*p);
}

bool working_set_write(const struct working_set *w, const struct layout *l,
                       const char *path, const char *snapshot_id,
                       struct err *err)
{
        CLEANUP(cleanup_publish) struct publish *p = NULL;
        CLEANUP_FREE char *text = NULL;
        size_t len = 0;
        FILE *to = open_memstream(&text, &len);
        bool ok;

        if (!to)
                return err_nomem(err);
        ok = print(w, l, snapshot_id, to);
        if (fclose(to) != 0 || !ok)
                return err_nomem(err);
        TRY(publish_open(path, PUBLISH_REPLACE, &p, err));
        TRY(io_write_all(publish_fd(p), text, len, path, err));
        return publish_commit(p, err);
}

static bool bad(unsigned line, struct err *err)
{
        return err_set(err, ERR_CORRUPT, "line %u: not of a working set", line);
}

static bool read_head(const char *line, const struct layout *l,
                      const char *snapshot_id, struct err *err)
{
        char id[64];
        unsigned page_size;

        if (sscanf(line, HEAD "%63s %u", id, &page_size) != 2)
                return bad(1, err);
        if (strcmp(id, snapshot_id) != 0 || page_size != l->page_size)
                return err_set(err, ERR_MISMATCH,
                               "the working set of another snapshot");
        return true;
}

static int find_dir(const struct layout *l, const char *dir)
{
        char have[512];

        for (unsigned i = 0; i < l->ram->count; i++)
                if (strcmp(name_ram_dir(l->ram->blocks[i].name, have), dir) ==
                    0)
                        return (int)i;
        return -1;
}

static bool read_line(struct working_set *w, const char *line, unsigned number,
                      const struct layout *l, struct err *err)
{
        unsigned long long offset, pages;
        char dir[512];
        int block, used = 0;

        if (sscanf(line, "%511s %llx %llu%n", dir, &offset, &pages, &used) !=
                    3 ||
            line[used])
                return bad(number, err);
        block = find_dir(l, dir);
        if (block < 0 || offset % l->page_size || pages == 0 ||
            offset >= l->ram->blocks[block].size ||
            pages > (l->ram->blocks[block].size - offset) / l->page_size)
                return bad(number, err);
        for (uint64_t i = 0; i < pages; i++)
                working_set_add(w, (unsigned)block, offset / l->page_size + i);
        return true;
}

bool working_set_read(struct working_set *w, const struct layout *l,
                      const char *path, const char *snapshot_id,
                      struct err *err)
{
        CLEANUP_FREE char *text = NULL;
        struct err failed = ERR_INIT;
        unsigned number = 0;
        char *rest, *line;
        size_t len;

        *w = (struct working_set){0};
        if (!io_read_file(path, FILE_MAX, &text, &len, &failed)) {
                if (failed.os == ENOENT)
                        return true;
                *err = failed;
                return false;
        }
        rest = text;
        while ((line = strsep(&rest, "\n"))) {
                bool ok = true;

                if (++number == 1)
                        ok = read_head(line, l, snapshot_id, err);
                else if (line[0])
                        ok = read_line(w, line, number, l, err);
                if (!ok)
                        return err_in_file(err, path);
        }
        return true;
}
