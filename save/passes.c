/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/passes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/spool.h"
#include "base/text.h"

#define LOG_MEMORY MiB
/* More than any sender makes; 24 MiB of memory. */
#define PASSES_MAX 1000000U
/* Lines that passes_show prints at most, and the widest bar. */
#define SHOWN_MAX 20U
#define BAR_WIDTH 40
/* QEMU's default limit of the pause at the end of a migration, seconds. */
#define PAUSE 0.3

struct pass {
        double began; /* seconds */
        uint64_t pages;
        uint64_t sent; /* bytes */
};

/* Pages one behind the other. */
struct run {
        unsigned block;
        uint64_t offset, pages;
};

struct passes {
        struct pass *list;
        unsigned count, room;
        double ended; /* 0: not yet */
        const struct ram_blocks *blocks;
        uint32_t page_size;
        unsigned block; /* of the last page */
        uint64_t offset;
        struct run run;
        struct spool *log; /* NULL: none is kept */
};

bool passes_new(bool log, const char *spool_dir, struct passes **out,
                struct err *err)
{
        struct passes *p = calloc(1, sizeof *p);

        if (!p)
                return err_nomem(err);
        if (log && !spool_new(spool_dir, LOG_MEMORY, &p->log, err)) {
                free(p);
                return false;
        }
        *out = p;
        return true;
}

void passes_free(struct passes *p)
{
        if (!p)
                return;
        spool_free(p->log);
        free(p->list);
        free(p);
}

void passes_blocks(struct passes *p, const struct ram_blocks *blocks)
{
        p->blocks = blocks;
}

/* ---- counting ------------------------------------------------------------ */

/* A quote in a name is doubled, as CSV has it. */
static size_t quote(const char *name, char *out)
{
        size_t n = 0;

        for (; *name; name++) {
                if (*name == '"')
                        out[n++] = '"';
                out[n++] = *name;
        }
        out[n] = '\0';
        return n;
}

static bool end_run(struct passes *p, struct err *err)
{
        char shown[1100], quoted[2200], line[2400];
        int len;

        if (!p->run.pages)
                return true;
        text_escape(p->blocks->blocks[p->run.block].name, shown, sizeof shown);
        quote(shown, quoted);
        len = snprintf(line, sizeof line,
                       "%u,\"%s\",0x%" PRIx64 ",%" PRIu64 "\n", p->count,
                       quoted, p->run.offset, p->run.pages);
        p->run.pages = 0;
        return spool_append(p->log, line, (size_t)len, err);
}

static bool log_page(struct passes *p, unsigned block, uint64_t offset,
                     struct err *err)
{
        struct run *r = &p->run;

        if (r->pages && r->block == block &&
            r->offset + r->pages * p->page_size == offset) {
                r->pages++;
                return true;
        }
        TRY(end_run(p, err));
        *r = (struct run){.block = block, .offset = offset, .pages = 1};
        return true;
}

static bool begin_pass(struct passes *p, struct err *err)
{
        TRY(end_run(p, err));
        if (p->count == PASSES_MAX)
                return err_set(err, ERR_LIMIT, "more than %u passes",
                               PASSES_MAX);
        if (p->count == p->room) {
                unsigned room = p->room ? 2 * p->room : 64;
                struct pass *grown = realloc(p->list, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                p->list = grown;
                p->room = room;
        }
        p->list[p->count++] = (struct pass){.began = clock_now()};
        return true;
}

bool passes_page(struct passes *p, unsigned block, uint64_t offset,
                 uint32_t page_size, size_t sent, struct err *err)
{
        bool ahead =
                block > p->block || (block == p->block && offset > p->offset);

        p->page_size = page_size;
        if (p->count == 0 || !ahead)
                TRY(begin_pass(p, err));
        p->block = block;
        p->offset = offset;
        p->list[p->count - 1].pages++;
        p->list[p->count - 1].sent += sent;
        return !p->log || p->count == 1 || log_page(p, block, offset, err);
}

bool passes_end(struct passes *p, struct err *err)
{
        p->ended = clock_now();
        return end_run(p, err);
}

unsigned passes_count(const struct passes *p)
{
        return p->count;
}

uint64_t passes_pages(const struct passes *p, unsigned pass)
{
        return p->list[pass - 1].pages;
}

double passes_age(const struct passes *p)
{
        return p->count ? clock_now() - p->list[p->count - 1].began : 0;
}

/* ---- what it means ------------------------------------------------------- */

/* Seconds of the passes from `first` to `last`, counted from 0. */
static double duration(const struct passes *p, unsigned first, unsigned last)
{
        double end = last + 1 < p->count ? p->list[last + 1].began : p->ended;

        return end - p->list[first].began;
}

/* How fast the guest wrote what came in these passes (not the first one), in
 * bytes a second: it did so since the pass before each began. */
static double write_rate(const struct passes *p, unsigned first, unsigned last)
{
        double seconds = p->list[last].began - p->list[first - 1].began;
        double bytes = 0;

        for (unsigned i = first; i <= last; i++)
                bytes += (double)p->list[i].pages * p->page_size;
        return seconds > 0 ? bytes / seconds : 0;
}

/* Over all the time: it may have written nothing in the end. */
static double mean_rate(const struct passes *p)
{
        double bytes = 0, seconds = p->ended - p->list[0].began;

        for (unsigned i = 1; i < p->count; i++)
                bytes += (double)p->list[i].pages * p->page_size;
        return seconds > 0 ? bytes / seconds : 0;
}

/* Each pass sends what was written during the one before, until what is left
 * fits into the pause.  < 0: it never does. */
static double migration_seconds(const struct passes *p, double bytes_per_second)
{
        double left = (double)p->list[0].sent, seconds = 0;
        double rate = mean_rate(p);

        if (left > bytes_per_second * PAUSE && rate >= bytes_per_second)
                return -1;
        while (left > bytes_per_second * PAUSE) {
                seconds += left / bytes_per_second;
                left *= rate / bytes_per_second;
        }
        return seconds + left / bytes_per_second;
}

static const unsigned speeds[] = {1, 10, 25}; /* Gbit/s */

json_t *passes_json(const struct passes *p)
{
        json_t *list = json_array();

        for (unsigned i = 0; list && i < p->count; i++) {
                json_t *pass = json_pack("{s:I, s:f}", "pages",
                                         (json_int_t)p->list[i].pages,
                                         "seconds", duration(p, i, i));

                if (!pass || json_array_append_new(list, pass) != 0) {
                        json_decref(list);
                        return NULL;
                }
        }
        return list;
}

json_t *passes_workload(const struct passes *p)
{
        json_t *list = json_array();

        for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
                double s = migration_seconds(p, speeds[i] * 125e6);

                json_array_append_new(
                        list, json_pack("{s:i, s:o}", "gbit_per_second",
                                        (int)speeds[i], "seconds",
                                        s < 0 ? json_null() : json_real(s)));
        }
        return json_pack("{s:I, s:o}", "bytes_per_second",
                         (json_int_t)mean_rate(p), "migrations", list);
}

static void show_rows(const struct passes *p, FILE *to)
{
        unsigned shown = p->count - 1;
        unsigned step = (shown + SHOWN_MAX - 1) / SHOWN_MAX;
        double most = 0;

        for (unsigned i = 1; i < p->count; i += step) {
                unsigned last = i + step < p->count ? i + step : p->count;
                double rate = write_rate(p, i, last - 1);

                most = rate > most ? rate : most;
        }
        for (unsigned i = 1; i < p->count; i += step) {
                unsigned last = i + step < p->count ? i + step : p->count;
                double rate = write_rate(p, i, last - 1);
                uint64_t pages = 0;

                for (unsigned k = i; k < last; k++)
                        pages += p->list[k].pages;
                fprintf(to, "%6u %9.3f %10" PRIu64 " %10.1f  %.*s\n", last,
                        duration(p, i, last - 1), pages, rate / MiB,
                        most > 0 ? (int)(rate / most * BAR_WIDTH) : 0,
                        "########################################");
        }
}

void passes_show(const struct passes *p, FILE *to)
{
        if (p->count < 2) {
                fprintf(to, "the guest wrote to no memory\n");
                return;
        }
        fprintf(to, "  pass   seconds      pages  MiB/s written\n");
        fprintf(to, "%6u %9.3f %10" PRIu64 "\n", 1U, duration(p, 0, 0),
                p->list[0].pages);
        show_rows(p, to);
        fprintf(to, "the guest writes to %.1f MiB of memory a second\n",
                mean_rate(p) / MiB);
        for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
                double s = migration_seconds(p, speeds[i] * 125e6);

                if (s < 0)
                        fprintf(to,
                                "at %2u Gbit/s a migration would not end by "
                                "itself\n",
                                speeds[i]);
                else
                        fprintf(to,
                                "at %2u Gbit/s a migration would take %.1f s\n",
                                speeds[i], s);
        }
}

bool passes_write_log(struct passes *p, const char *path, struct err *err)
{
        static const char head[] = "pass,block,offset,pages\n";
        struct publish *file = NULL;
        const uint8_t *bytes;
        bool ok;

        TRY(spool_view(p->log, &bytes, err));
        ok = publish_open(path, PUBLISH_REPLACE, &file, err) &&
             io_write_all(publish_fd(file), head, sizeof head - 1, path, err) &&
             io_write_all(publish_fd(file), bytes, (size_t)spool_size(p->log),
                          path, err) &&
             publish_commit(file, err);
        publish_close(file);
        return ok;
}
