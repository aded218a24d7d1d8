/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/disk_play.h"

#include "base/limits.h"
#include "format/manifest.h"
#include "format/name.h"

#include <stdlib.h>
#include <string.h>

/* As large as the disks of one stream are in all. (spec, "Limits") */
#define SIZE_MAX_PLAYED (1024 * TiB)

static bool zero(void *arg, uint64_t offset, uint64_t length, struct err *err)
{
        struct disk_play *p = arg;

        if (!p->emission)
                return true;
        if (offset % MiB || length % MiB || offset + length > SIZE_MAX_PLAYED)
                return err_set(err, ERR_CORRUPT,
                               "zeros that no record of block migration "
                               "has");
        return emission_disk(p->emission, p->section_id, p->device, offset,
                             NULL, length, err);
}

void disk_play_init(struct disk_play *p)
{
        *p = (struct disk_play){.emission = NULL};
        disk_walk_init(&p->walk, zero, p);
}

void disk_play_fini(struct disk_play *p)
{
        disk_walk_fini(&p->walk);
        free(p->gaps);
}

void disk_play_begin(struct disk_play *p, struct emission *e,
                     uint32_t section_id)
{
        p->emission = e;
        p->section_id = section_id;
}

/* dir: "disk/COMPONENT" */
static bool name_device(const char *dir, char device[256], struct err *err)
{
        char name[NAME_COMPONENT_MAX];

        if (!name_foreign(strchr(dir, '/') + 1, name))
                return err_set(err, ERR_UNSUPPORTED,
                               "the disk's name is too long to be used in a "
                               "stream");
        strcpy(device, name);
        return true;
}

bool disk_play_zeros(struct disk_play *p, const char *dir, const uint8_t *text,
                     size_t len, struct err *err)
{
        TRY(disk_walk_zeros(&p->walk, dir, text, len, err));
        return !p->emission || name_device(dir, p->device, err);
}

static bool add_gap(struct disk_play *p, uint64_t offset, uint64_t length,
                    struct err *err)
{
        if (p->gap_count == p->gap_room) {
                size_t room = p->gap_room ? 2 * p->gap_room : 64;
                struct disk_gap *grown = realloc(p->gaps, room * sizeof *grown);

                if (!grown)
                        return err_nomem(err);
                p->gaps = grown;
                p->gap_room = room;
        }
        p->gaps[p->gap_count++] = (struct disk_gap){
                .disk = p->walk.count - 1, .offset = offset, .length = length};
        return true;
}

bool disk_play_chunk(struct disk_play *p, const char *dir, uint64_t address,
                     const uint8_t *bytes, size_t len, struct err *err)
{
        size_t before = p->walk.count;
        uint64_t end = 0;

        if (before > 0 && strcmp(p->walk.list[before - 1].dir, dir) == 0)
                end = p->walk.list[before - 1].end;
        TRY(disk_walk_chunk(&p->walk, dir, address, len, err));
        if (!p->emission)
                return true;
        if (address % MiB || len != MiB || address >= SIZE_MAX_PLAYED)
                return err_set(err, ERR_CORRUPT,
                               "a chunk that no record of block migration "
                               "has");
        if (p->walk.count > before)
                TRY(name_device(dir, p->device, err));
        if (address > end)
                TRY(add_gap(p, end, address - end, err));
        return emission_disk(p->emission, p->section_id, p->device, address,
                             bytes, len, err);
}

bool disk_play_check(struct disk_play *p, const json_t *state, struct err *err)
{
        return disk_walk_end(&p->walk, state, err);
}

/* A disk that is all gap has no members. */
static bool fill(struct disk_play *p, const struct disk_info *info,
                 struct err *err)
{
        uint64_t end = 0, size = info->size + (MiB - info->size % MiB) % MiB;
        size_t disk = 0;

        if (size > SIZE_MAX_PLAYED)
                return err_set(err, ERR_LIMIT, "a disk of more than 1 PiB");
        TRY(name_device(info->dir, p->device, err));
        while (disk < p->walk.count &&
               strcmp(p->walk.list[disk].dir, info->dir) != 0)
                disk++;
        if (disk < p->walk.count)
                end = p->walk.list[disk].end;
        for (size_t i = 0; i < p->gap_count; i++)
                if (p->gaps[i].disk == disk)
                        TRY(emission_disk(p->emission, p->section_id, p->device,
                                          p->gaps[i].offset, NULL,
                                          p->gaps[i].length, err));
        return emission_disk(p->emission, p->section_id, p->device, end, NULL,
                             size - end, err);
}

bool disk_play_gaps(struct disk_play *p, const json_t *state, struct err *err)
{
        for (size_t i = 0; p->emission && i < state_disks(state); i++) {
                struct disk_info info = state_disk(state, i);

                if (!info.overlay)
                        TRY(fill(p, &info, err));
        }
        return true;
}
