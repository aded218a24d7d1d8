/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * manifest: stasis/manifest.json and stasis/state.json, made and checked.
 * Keys and rules: spec/stasis-format.md.  The values are jansson's; what is
 * here builds the parts that the format prescribes and refuses what a reader
 * cannot honour (unknown required features, a newer major version, values of
 * the wrong type, sizes above the limits).
 */
#ifndef STASIS_FORMAT_MANIFEST_H
#define STASIS_FORMAT_MANIFEST_H

#include "base/err.h"

#include <jansson.h>

/* ERR_CORRUPT, ERR_UNSUPPORTED or ERR_LIMIT, naming the key. */
bool manifest_check(const json_t *manifest, struct err *err);
bool state_check(const json_t *state, struct err *err);
/* Of a checked manifest. */
bool manifest_requires(const json_t *manifest, const char *feature);

struct ram_block_info {
        const char *name; /* borrowed from the manifest                      */
        const char *dir;  /* "ram/pc.ram"                                    */
        uint64_t size;    /* used length, bytes                              */
};

size_t manifest_ram_blocks(const json_t *manifest);
/* i < manifest_ram_blocks() of a checked manifest. */
struct ram_block_info manifest_ram_block(const json_t *manifest, size_t i);

/* A disk that is in the snapshot, as state.json tells it. */
struct disk_info {
        const json_t *json; /* its entry in `disks`                          */
        const char *name;   /* borrowed from the state, as is dir            */
        const char *dir;    /* "disk/drive0"                                 */
        uint64_t size;      /* virtual size, bytes                           */
        bool size_known;    /* false: size is where its last chunk ends      */
        uint32_t granularity;
        bool overlay; /* else in full */
};

size_t state_disks(const json_t *state);
/* i < state_disks() of a checked state. */
struct disk_info state_disk(const json_t *state, size_t i);

/* A string in the manifest by dotted path ("machine.type"), or NULL. */
const char *json_text(const json_t *value, const char *path);
/* A value by dotted path, or NULL; borrowed. */
json_t *json_at(const json_t *value, const char *path);

#endif
