/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/fresh.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "qemu/identity.h"

/* The page map has eight bytes a page; these two bits are of pages that are
 * somewhere (Documentation/admin-guide/mm/pagemap.rst). */
#define ENTRY_SIZE 8
#define PRESENT    (UINT64_C(1) << 63)
#define SWAPPED    (UINT64_C(1) << 62)
#define ENTRIES    512 /* of one read */

/* More are not looked at; a machine has one or a few. */
#define REGIONS_MAX 64

/* A RAMBlock, or as much of it as private anonymous memory holds. */
struct region {
        char block[256];
        uint64_t begin, end; /* of offsets in the block */
        uint64_t address;    /* of the block's beginning, in the process */
};

struct fresh {
        int pagemap;
        uint64_t page; /* bytes */
        unsigned count;
        struct region regions[REGIONS_MAX];
};

/* "  0000000100000000-000000017fffffff (prio 0, ram): pc.ram @00000000c0000000"
 */
static bool parse_line(const char *line, uint64_t *gpa, struct region *r)
{
        uint64_t last;
        char *at;
        int n = 0;

        *r = (struct region){0};
        if (sscanf(line, " %" SCNx64 "-%" SCNx64 " (prio %*d, ram): %n", gpa,
                   &last, &n) != 2 ||
            n == 0 || last < *gpa)
                return false;
        snprintf(r->block, sizeof r->block, "%s", line + n);
        at = strstr(r->block, " @");
        if (at && sscanf(at, " @%" SCNx64, &r->begin) != 1)
                return false;
        if (at)
                *at = '\0';
        at = strstr(r->block, " KVM");
        if (at && !at[4])
                *at = '\0';
        r->end = r->begin + (last - *gpa) + 1;
        return r->end > r->begin;
}

/* "Host virtual address for 0x0 (pc.ram) is 0x7f..." */
static bool locate(struct qmp *q, uint64_t gpa, struct region *r, bool *found,
                   struct err *err)
{
        json_auto_t *answer = NULL;
        uint64_t address;
        char line[64], want[300];
        const char *s, *is;

        *found = false;
        snprintf(line, sizeof line, "gpa2hva 0x%" PRIx64, gpa);
        TRY(qmp_ask_human(q, line, &answer, err));
        s = json_string_value(answer);
        snprintf(want, sizeof want, "(%s) is 0x", r->block);
        is = s ? strstr(s, want) : NULL;
        if (is && sscanf(is + strlen(want) - 2, "%" SCNx64, &address) == 1 &&
            address > r->begin) {
                r->address = address - r->begin;
                *found = true;
        }
        return true;
}

/* Cuts r to what `maps` says is private and anonymous from its begin on. */
static void cut(const char *maps, struct region *r)
{
        uint64_t at = r->address + r->begin, end = r->address + r->end;

        for (const char *line = maps; line && at < end;) {
                uint64_t from, to, inode;
                char perms[8];
                const char *next = strchr(line, '\n');

                if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*x %*s %" SCNu64,
                           &from, &to, perms, &inode) == 4 &&
                    from <= at && at < to) {
                        if (strcmp(perms, "rw-p") != 0 || inode != 0)
                                break;
                        at = to;
                }
                line = next ? next + 1 : NULL;
        }
        r->end = (at < end ? at : end) - r->address;
}

static bool add(struct fresh *f, struct qmp *q, const char *maps,
                const char *line, struct err *err)
{
        struct region *r = &f->regions[f->count];
        uint64_t gpa;
        bool found;

        if (f->count == REGIONS_MAX || !parse_line(line, &gpa, r))
                return true;
        TRY(locate(q, gpa, r, &found, err));
        if (!found)
                return true;
        cut(maps, r);
        f->count += r->end > r->begin;
        return true;
}

/* Of all views the one of the machine's own memory. */
static bool read_view(struct fresh *f, struct qmp *q, char *text,
                      const char *maps, struct err *err)
{
        bool memory = false;
        char *line;

        while ((line = strsep(&text, "\r\n"))) {
                if (strncmp(line, "FlatView", 8) == 0)
                        memory = false;
                else if (strncmp(line, " AS \"memory\",", 13) == 0)
                        memory = true;
                else if (memory)
                        TRY(add(f, q, maps, line, err));
        }
        return true;
}

static bool learn(struct fresh *f, struct qmp *q, pid_t pid, struct err *err)
{
        CLEANUP_FREE char *maps = NULL, *text = NULL;
        json_auto_t *answer = NULL;
        struct err ignored = ERR_INIT;
        char path[64];
        size_t len;

        snprintf(path, sizeof path, "/proc/%ld/pagemap", (long)pid);
        if (!io_open_read(path, &f->pagemap, &ignored))
                return true;
        snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
        if (!io_read_file(path, 4 * MiB, &maps, &len, &ignored))
                return true;
        TRY(qmp_ask_human(q, "info mtree -f", &answer, err));
        if (!json_is_string(answer))
                return true;
        text = strdup(json_string_value(answer));
        if (!text)
                return err_nomem(err);
        return read_view(f, q, text, maps, err);
}

bool fresh_open(struct qmp *q, pid_t pid, struct fresh **out, struct err *err)
{
        struct fresh *f = calloc(1, sizeof *f);
        bool ok;

        *out = NULL;
        if (!f)
                return err_nomem(err);
        f->pagemap = -1;
        f->page = (uint64_t)sysconf(_SC_PAGESIZE);
        ok = learn(f, q, pid, err);
        if (ok && f->count > 0)
                *out = f;
        else
                fresh_close(f);
        return ok;
}

void fresh_close(struct fresh *f)
{
        if (!f)
                return;
        if (f->pagemap >= 0)
                close(f->pagemap);
        free(f);
}

static bool pages_are_fresh(const struct fresh *f, uint64_t first,
                            uint64_t count)
{
        uint64_t entries[ENTRIES];

        while (count > 0) {
                uint64_t now = count < ENTRIES ? count : ENTRIES;
                struct err ignored = ERR_INIT;

                if (!io_pread_all(f->pagemap, entries, (size_t)now * ENTRY_SIZE,
                                  first * ENTRY_SIZE, "pagemap", &ignored))
                        return false;
                for (uint64_t i = 0; i < now; i++)
                        if (entries[i] & (PRESENT | SWAPPED))
                                return false;
                first += now;
                count -= now;
        }
        return true;
}

bool fresh_is_zero(const struct fresh *f, const char *block, uint64_t offset,
                   uint64_t len)
{
        for (unsigned i = 0; f && i < f->count; i++) {
                const struct region *r = &f->regions[i];
                uint64_t at = r->address + offset;

                if (strcmp(r->block, block) == 0 && offset >= r->begin &&
                    offset + len <= r->end && at % f->page == 0 &&
                    len % f->page == 0)
                        return pages_are_fresh(f, at / f->page, len / f->page);
        }
        return false;
}
