/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Disks: each becomes null-co, which reads as zeros and opens nothing, with the
 * size that the guest sees.  Each -blockdev is one, also the layers that only
 * others refer to: their names stay valid.
 */
#include "qemu/twin_private.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* References may go in circles; QEMU's own chains are no longer than this. */
#define MAX_DEPTH 64
#define NULL_SIZE "1073741824" /* null-co's own default */

/* ---- sizes --------------------------------------------------------------- */

/* Layers whose size is that of what they stand on, and the key to that. */
static const struct {
        const char *driver, *child;
} filters[] = {
        {"raw", "file"},
        {"throttle", "file"},
        {"copy-on-read", "file"},
        {"copy-before-write", "file"},
        {"snapshot-access", "file"},
        {"preallocate", "file"},
        {"compress", "file"},
        {"replication", "file"},
        {"blkreplay", "image"},
        {"blklogwrites", "file"},
        {"blkdebug", "image"},
        {"blkverify", "test"},
        {"quorum", "children.0"},
};

struct layer {
        const struct pairs *pairs;
        char prefix[256]; /* "", "file.", ... */
};

static bool find_node(const struct making *m, const char *name,
                      struct layer *out)
{
        *out = (struct layer){0};
        for (size_t i = 0; i < m->node_count; i++) {
                const char *is = pairs_get(&m->nodes[i], "node-name");

                out->pairs = &m->nodes[i];
                if (is && strcmp(is, name) == 0)
                        return true;
        }
        return false;
}

/* What stands under the key: a reference to another node or a layer within. */
static bool descend(const struct making *m, const struct layer *from,
                    const char *key, struct layer *out)
{
        const char *name = pairs_get_under(from->pairs, from->prefix, key);
        int n;

        if (name)
                return find_node(m, name, out);
        out->pairs = from->pairs;
        n = snprintf(out->prefix, sizeof out->prefix, "%s%s.", from->prefix,
                     key);
        return n > 0 && n < (int)sizeof out->prefix &&
               (pairs_get_under(out->pairs, out->prefix, "driver") ||
                pairs_get_under(out->pairs, out->prefix, "filename"));
}

static void asked_clear(struct asked *a)
{
        free(a->file);
        free(a->format);
        *a = (struct asked){0};
}

static uint64_t ask_size(const struct making *m, const char *file,
                         const char *format)
{
        const struct twin_options *o = m->options;

        asked_clear(m->asked);
        if (file)
                m->asked->file = strdup(file);
        if (format)
                m->asked->format = strdup(format);
        return file && o->disk_size ? o->disk_size(o->arg, file, format) : 0;
}

/* The file at the bottom. */
static const char *bottom(const struct making *m, struct layer at)
{
        const char *file = NULL;
        struct layer next;

        for (int i = 0; i < MAX_DEPTH && !file; i++) {
                file = pairs_get_under(at.pairs, at.prefix, "filename");
                if (!descend(m, &at, "file", &next))
                        break;
                at = next;
        }
        return file;
}

/* "16M": as QEMU reads sizes, in bytes if no unit follows. */
static uint64_t size_of(const char *text)
{
        static const char units[] = "bkmgtpe";
        char *end;
        uint64_t size = strtoull(text, &end, 0);
        const char *unit = *end ? strchr(units, *end | 0x20) : units;
        unsigned shift = unit ? 10 * (unsigned)(unit - units) : 0;

        return size << shift >> shift == size ? size << shift : 0;
}

static uint64_t layer_size(const struct making *m, struct layer at)
{
        for (int depth = 0; depth < MAX_DEPTH; depth++) {
                const char *driver, *size, *child = NULL;
                struct layer next;

                driver = pairs_get_under(at.pairs, at.prefix, "driver");
                size = pairs_get_under(at.pairs, at.prefix, "size");
                if (!driver) /* to be guessed from the file */
                        return ask_size(m, bottom(m, at), NULL);
                if (strncmp(driver, "null-", 5) == 0 && !size)
                        size = NULL_SIZE;
                if (size)
                        return size_of(size);
                for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
                        if (strcmp(filters[i].driver, driver) == 0)
                                child = filters[i].child;
                if (!child) {
                        bool format = descend(m, &at, "file", &next);

                        return ask_size(m, bottom(m, at),
                                        format ? driver : "raw");
                }
                if (!descend(m, &at, child, &next))
                        return 0;
                at = next;
        }
        return 0;
}

/* What was asked for is the disk of that node name. */
static bool add_disk(struct making *m, const char *node, struct err *err)
{
        struct twin *t = m->twin;
        struct twin_disk *grown;
        char *copy;

        if (!m->asked->file || !node)
                return true;
        copy = strdup(node);
        grown = realloc(t->disks, (t->disk_count + 1) * sizeof *grown);
        if (grown)
                t->disks = grown;
        if (!grown || !copy) {
                free(copy);
                return err_nomem(err);
        }
        t->disks[t->disk_count++] = (struct twin_disk){
                .node = copy,
                .file = steal(m->asked->file),
                .format = steal(m->asked->format),
        };
        return true;
}

/* ---- blockdev ------------------------------------------------------------ */

bool making_nodes(struct making *m, struct err *err)
{
        size_t most = 0;

        for (char *const *w = m->words; *w; w++)
                most++;
        m->nodes = calloc(most + 1, sizeof *m->nodes);
        if (!m->nodes)
                return err_nomem(err);
        for (char *const *w = m->words; w[0] && w[1]; w++) {
                bool ok;

                if (strcmp(w[0] + (strncmp(w[0], "--", 2) == 0), "-blockdev") !=
                    0)
                        continue;
                ok = pairs_parse(w[1], "driver", &m->nodes[m->node_count++],
                                 err);
                if (!ok)
                        return err_in_section(err, "-blockdev");
        }
        return true;
}

static bool add_size(struct pairs *p, uint64_t size, struct err *err)
{
        char text[24];

        snprintf(text, sizeof text, "%" PRIu64, size);
        return pairs_add(p, "driver", "null-co", err) &&
               pairs_add(p, "read-zeroes", "on", err) &&
               (size == 0 || pairs_add(p, "size", text, err));
}

static bool is_node_name(const char *key)
{
        size_t n = strlen(key), tail = strlen("node-name");

        return n >= tail && strcmp(key + n - tail, "node-name") == 0 &&
               (n == tail || key[n - tail - 1] == '.');
}

static bool make_layer(struct making *m, const struct layer *layer,
                       const char *arg, struct err *err)
{
        struct pairs out = {0};
        uint64_t size;
        bool ok;

        asked_clear(m->asked);
        size = layer_size(m, *layer);
        ok = add_size(&out, size, err) &&
             add_disk(m,
                      pairs_get_under(layer->pairs, layer->prefix, "node-name"),
                      err) &&
             pairs_add(
                     &out, "node-name",
                     pairs_get_under(layer->pairs, layer->prefix, "node-name"),
                     err) &&
             pairs_add(
                     &out, "read-only",
                     pairs_get_under(layer->pairs, layer->prefix, "read-only"),
                     err) &&
             making_pairs(m, "blockdev", &out, err) &&
             (size > 0 ||
              making_missing(m, "blockdev", arg, "size unknown", err));
        pairs_fini(&out);
        return ok;
}

/* Layers within have names too, by which devices may call them. */
bool make_blockdev(struct making *m, const char *name, const char *arg,
                   struct err *err)
{
        struct pairs p;
        bool ok = pairs_parse(arg, "driver", &p, err);

        (void)name;
        for (size_t i = 0; ok && i < p.count; i++) {
                const char *key = p.list[i].key;
                struct layer layer = {.pairs = &p};
                size_t len = strlen(key) - (is_node_name(key) ? 9 : 0);

                if (!is_node_name(key))
                        continue;
                if (len >= sizeof layer.prefix)
                        ok = err_set(err, ERR_LIMIT, "nested too deep");
                memcpy(layer.prefix, key, ok ? len : 0);
                ok = ok && make_layer(m, &layer, arg, err);
        }
        pairs_fini(&p);
        return ok;
}

/* ---- drive --------------------------------------------------------------- */

/* What makes the device, and the write cache that it tells the guest of. */
static const char *const drive_keys[] = {
        "if",    "bus",       "unit",   "index",           "media",
        "id",    "readonly",  "werror", "rerror",          "cache",
        "addr",  "read-only", "serial", "cache.writeback", "cyls",
        "heads", "secs",      "trans",  "node-name",       NULL,
};

static bool has_medium(const struct pairs *p)
{
        const char *file = pairs_get(p, "file");

        if (file && *file)
                return true;
        return pairs_get(p, "driver") || pairs_get(p, "format") ||
               pairs_get(p, "filename") || (!file && pairs_have(p, "file"));
}

/* A file name may be a node in JSON. */
static uint64_t file_size(const struct making *m, const char *file,
                          const char *format)
{
        struct err ignored = ERR_INIT;
        struct pairs p;
        uint64_t size = 0;

        if (strncmp(file, "json:", 5) != 0)
                return ask_size(m, file, format);
        if (pairs_parse(file + 5, NULL, &p, &ignored))
                size = layer_size(m, (struct layer){.pairs = &p});
        pairs_fini(&p);
        return size;
}

static uint64_t drive_size(const struct making *m, const struct pairs *p)
{
        const char *file = pairs_get(p, "file");
        const char *format = pairs_get(p, "format");
        struct layer layer;

        if (!format)
                format = pairs_get(p, "driver");
        /* The name of a -blockdev does as well. */
        if (file && find_node(m, file, &layer))
                return layer_size(m, layer);
        if (file)
                return file_size(m, file, format);
        layer = (struct layer){.pairs = p};
        if (pairs_get(p, "driver"))
                return layer_size(m, layer);
        return ask_size(m, bottom(m, layer), format);
}

static bool add_drive(struct making *m, struct pairs *p, const char *name,
                      const char *arg, struct err *err)
{
        const char *interface = pairs_get(p, "if"),
                   *node = pairs_get(p, "node-name");
        bool medium = has_medium(p), named;
        uint64_t size = 0;
        char made[40];

        asked_clear(m->asked);
        if (medium)
                size = drive_size(m, p);

        if (medium && size == 0) {
                /* A machine refuses flash of a size that is not its own. */
                if (interface && strcmp(interface, "pflash") == 0)
                        return err_set(err, ERR_MISMATCH,
                                       "the size of the flash is not known");
                TRY(making_missing(m, name, arg, "size unknown", err));
        }
        snprintf(made, sizeof made, "stasis-disk%u", m->drives++);
        named = !node && m->asked->file;
        TRY(add_disk(m, node ? node : made, err));
        pairs_keep(p, drive_keys);
        TRY(!medium || add_size(p, size, err));
        if (named)
                TRY(pairs_add(p, "node-name", made, err));
        return making_pairs(m, "drive", p, err);
}

bool make_drive(struct making *m, const char *name, const char *arg,
                struct err *err)
{
        struct pairs p;
        bool ok = pairs_parse(arg, NULL, &p, err) &&
                  add_drive(m, &p, name, arg, err);

        pairs_fini(&p);
        return ok;
}

/* -hda FILE and the like; as QEMU itself makes a -drive of them. */
bool make_disk_file(struct making *m, const char *name, const char *arg,
                    struct err *err)
{
        static const struct {
                const char *name, *interface, *index, *media;
        } disks[] = {
                {"hda", NULL, "0", "disk"},
                {"hdb", NULL, "1", "disk"},
                {"hdc", NULL, "2", "disk"},
                {"hdd", NULL, "3", "disk"},
                {"cdrom", NULL, "2", "cdrom"},
                {"fda", "floppy", "0", NULL},
                {"fdb", "floppy", "1", NULL},
                {"pflash", "pflash", NULL, NULL},
                {"mtdblock", "mtd", NULL, NULL},
                {"sd", "sd", NULL, NULL},
        };
        struct pairs p = {0};
        size_t i = 0;
        bool ok;

        while (strcmp(disks[i].name, name) != 0)
                i++;
        ok = pairs_add(&p, "if", disks[i].interface, err) &&
             pairs_add(&p, "index", disks[i].index, err) &&
             pairs_add(&p, "media", disks[i].media, err) &&
             pairs_add(&p, "file", arg, err) &&
             add_drive(m, &p, name, arg, err);
        pairs_fini(&p);
        return ok;
}
