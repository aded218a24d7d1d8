/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * micro [--json]            the program's parts, each on its own, in GB/s
 *                           beside memcpy in the same run
 * micro frames LEVEL FILE   what compressing FILE as a save does costs a thread
 */
#include "bench/micro.h"

#include "base/io.h"

#include <jansson.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 7

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

static int by_size(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

double micro_add(struct micro *m, const struct micro_case *c, const char *fmt,
                 ...)
{
        struct micro_row *row = &m->rows[m->count++];
        double seconds[ROUNDS];
        va_list ap;

        if (m->count > sizeof m->rows / sizeof m->rows[0])
                micro_die("too many rows", NULL);
        va_start(ap, fmt);
        vsnprintf(row->what, sizeof row->what, fmt, ap);
        va_end(ap);
        c->run(c->arg);
        for (unsigned i = 0; i < ROUNDS; i++)
                seconds[i] = c->run(c->arg);
        qsort(seconds, ROUNDS, sizeof seconds[0], by_size);
        row->median = c->bytes / seconds[ROUNDS / 2];
        row->least = c->bytes / seconds[ROUNDS - 1];
        row->most = c->bytes / seconds[0];
        row->each = c->items > 0 ? seconds[ROUNDS / 2] / c->items : 0;
        if (m->memcpy == 0)
                m->memcpy = row->median;
        micro_against(m, "memcpy", m->memcpy, c->goal);
        return row->median;
}

void micro_against(struct micro *m, const char *of, double rate, double goal)
{
        struct micro_row *row = &m->rows[m->count - 1];

        snprintf(row->of, sizeof row->of, "%s", of);
        row->ratio = row->median / rate;
        row->goal = goal;
}

/* What programs and libraries are made of, and never of zeros alone. */
static uint8_t *read_content(void)
{
        FILE *tar = popen("tar -C / -cf - usr/lib 2>/dev/null", "re");
        uint8_t *bytes = micro_alloc(MICRO_CONTENT);

        if (!tar || fread(bytes, 1, MICRO_CONTENT, tar) != MICRO_CONTENT)
                micro_die("/usr/lib has less than 128 MiB to measure with",
                          NULL);
        pclose(tar); /* tar has more to say: its status is of no interest */
        return bytes;
}

static void print_table(const struct micro *m)
{
        puts("| what | GB/s | lowest | highest | each | ratio | of | goal |\n"
             "|---|--:|--:|--:|--:|--:|---|--:|");
        for (unsigned i = 0; i < m->count; i++) {
                const struct micro_row *r = &m->rows[i];
                char each[32] = "", goal[32] = "";

                if (r->each > 0)
                        snprintf(each, sizeof each, "%.0f ns", r->each * 1e9);
                if (r->goal > 0)
                        snprintf(goal, sizeof goal, "%.2f", r->goal);
                printf("| %s | %.2f | %.2f | %.2f | %s | %.2f | %s | %s |\n",
                       r->what, r->median / 1e9, r->least / 1e9, r->most / 1e9,
                       each, r->ratio, r->of, goal);
        }
}

static void print_json(const struct micro *m)
{
        json_t *list = json_array();

        for (unsigned i = 0; list && i < m->count; i++) {
                const struct micro_row *r = &m->rows[i];

                json_array_append_new(
                        list,
                        json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:s, s:f}",
                                  "what", r->what, "bytes_per_second",
                                  r->median, "lowest", r->least, "highest",
                                  r->most, "seconds_each", r->each, "ratio",
                                  r->ratio, "of", r->of, "goal", r->goal));
        }
        if (json_array_size(list) != m->count)
                micro_die("no memory", NULL);
        json_dumpf(list, stdout, JSON_INDENT(1));
        putchar('\n');
        json_decref(list);
}

int main(int argc, char **argv)
{
        static struct micro m;
        bool json = argc == 2 && strcmp(argv[1], "--json") == 0;

        if (argc == 4 && strcmp(argv[1], "frames") == 0)
                return micro_frames(argv[2], argv[3]);
        if (argc > 1 && !json) {
                fputs("usage: micro [--json] | micro frames LEVEL FILE\n",
                      stderr);
                return 2;
        }
        m.content = read_content();
        micro_memory(&m);
        micro_codec(&m);
        micro_stream(&m);
        if (json)
                print_json(&m);
        else
                print_table(&m);
        free(m.content);
        return 0;
}
