/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/disks.h"

#include <stdlib.h>
#include <string.h>

struct restored_disk {
        char *name;       /* owned */
        const char *path; /* borrowed from disks_wanted */
        struct place *place;
        bool committed;
};

struct restored_disks {
        struct restored_disk *list;
        size_t count;
};

/* "NAME=PATH"; *name: malloc'd. */
static bool split(const char *option, const char *word, char **name,
                  const char **path, struct err *err)
{
        const char *equals = strchr(word, '=');

        if (!equals || equals == word || !equals[1])
                return err_set(err, ERR_USAGE, "--%s %s: not NAME=PATH", option,
                               word);
        *name = strndup(word, (size_t)(equals - word));
        *path = equals + 1;
        return *name || err_nomem(err);
}

static const char *find_base(const struct disks_wanted *w, const char *name)
{
        size_t len = strlen(name);

        for (unsigned i = 0; i < w->base_count; i++)
                if (strncmp(w->bases[i], name, len) == 0 &&
                    w->bases[i][len] == '=')
                        return w->bases[i] + len + 1;
        return NULL;
}

const char *restored_disks_path(const struct restored_disks *d,
                                const char *name)
{
        for (size_t i = 0; d && i < d->count; i++)
                if (strcmp(d->list[i].name, name) == 0)
                        return d->list[i].path;
        return NULL;
}

static bool check_bases(const struct restored_disks *d,
                        const struct disks_wanted *w, struct err *err)
{
        for (unsigned i = 0; i < w->base_count; i++) {
                const char *path;
                char *name;
                bool known;

                TRY(split("base", w->bases[i], &name, &path, err));
                known = restored_disks_path(d, name) != NULL;
                free(name);
                if (!known)
                        return err_set(err, ERR_USAGE,
                                       "--base %s: no --disk of that name",
                                       w->bases[i]);
        }
        return true;
}

static bool name_all(struct restored_disks *d, const struct disks_wanted *w,
                     struct err *err)
{
        for (unsigned i = 0; i < w->disk_count; i++) {
                struct restored_disk *disk = &d->list[d->count];

                TRY(split("disk", w->disks[i], &disk->name, &disk->path, err));
                if (restored_disks_path(d, disk->name)) {
                        free(disk->name);
                        return err_set(err, ERR_USAGE, "--disk %s: given twice",
                                       w->disks[i]);
                }
                d->count++;
        }
        return check_bases(d, w, err);
}

static bool write_all(struct restored_disks *d, int in_fd, const char *in_name,
                      const json_t *state, const struct disks_wanted *w,
                      struct err *err)
{
        TRY(name_all(d, w, err));
        for (size_t i = 0; i < d->count; i++) {
                struct restored_disk *disk = &d->list[i];
                struct disk_out_options o = {
                        .path = disk->path,
                        .base = find_base(w, disk->name),
                        .overwrite = w->overwrite,
                        .threads = w->threads,
                        .progress = w->progress,
                };
                struct disk_info info;

                TRY(disk_out_find(state, disk->name, &info, err));
                TRY(disk_out_write(in_fd, in_name, &info, &o, &disk->place,
                                   err));
        }
        return true;
}

bool restored_disks_write(int in_fd, const char *in_name, const json_t *state,
                          const struct disks_wanted *wanted,
                          struct restored_disks **out, struct err *err)
{
        struct restored_disks *d = calloc(1, sizeof *d);
        bool ok;

        if (!d)
                return err_nomem(err);
        d->list = calloc(wanted->disk_count + 1, sizeof *d->list);
        ok = d->list ? write_all(d, in_fd, in_name, state, wanted, err)
                     : err_nomem(err);
        if (!ok) {
                restored_disks_free(d);
                return false;
        }
        *out = d;
        return true;
}

bool restored_disks_commit(struct restored_disks *d, struct err *err)
{
        for (size_t i = 0; i < d->count; i++) {
                if (!place_commit(d->list[i].place, err)) {
                        restored_disks_undo(d);
                        return false;
                }
                d->list[i].committed = true;
        }
        return true;
}

void restored_disks_undo(struct restored_disks *d)
{
        for (size_t i = 0; d && i < d->count; i++)
                if (d->list[i].committed)
                        place_undo(d->list[i].place);
}

void restored_disks_free(struct restored_disks *d)
{
        for (size_t i = 0; d && i < d->count; i++) {
                place_close(d->list[i].place);
                free(d->list[i].name);
        }
        if (d)
                free(d->list);
        free(d);
}
