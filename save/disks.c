/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/disks.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"
#include "format/name.h"
#include "format/pin.h"
#include "qcow/chain.h"
#include "qcow/lock.h"
#include "qemu/disks.h"
#include "qemu/export.h"
#include "qemu/identity.h"
#include "save/behind.h"
#include "save/disk_files.h"
#include "save/disk_nbd.h"
#include "save/disk_store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* QEMU lets go of its locks when it has inactivated an image, which may be
 * moments after the last byte of the stream. */
#define LOCK_MS 5000

struct disk {
        json_t *json; /* borrowed: the list's entry */
        bool overlay;
        bool asks_qemu;      /* it reads the disk for us */
        struct chain *chain; /* NULL after disks_release, or then */
        struct stat *before; /* of its files, when reading began */
};

struct disks {
        struct disk *list;
        size_t count;
        bool digest_bases;
        bool can_ask; /* QEMU has been found able to read for us */
        struct qmp *q;
        uint64_t data_bytes;
};

static bool about(const json_t *disk, struct err *err)
{
        char shown[200];

        text_escape(disk_name(disk), shown, sizeof shown);
        return err_doing(err, "disk %s", shown);
}

/* ---- which, and how ------------------------------------------------------ */

/* Any name that QEMU has for it will do. */
static bool is_called(const json_t *disk, const char *name, size_t len)
{
        const char *names[] = {disk_name(disk), json_word(disk, "node"),
                               json_word(disk, "device"),
                               json_word(disk, "qdev")};

        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (len > 0 && strlen(names[i]) == len &&
                    memcmp(names[i], name, len) == 0)
                        return true;
        return false;
}

static bool is_mode(const char *mode)
{
        return strcmp(mode, "overlay") == 0 || strcmp(mode, "full") == 0;
}

/* An external data file, which has no format of its own, is none. */
static bool has_backing(const json_t *disk)
{
        const json_t *images = json_object_get(disk, "chain");

        return json_word(json_array_get(images, 1), "format")[0] ||
               json_array_size(images) > 2;
}

/* What --disk says of this disk; NULL: nothing. */
static const char *chosen_mode(const json_t *disk,
                               const struct disks_options *o)
{
        for (unsigned i = 0; i < o->chosen_count; i++) {
                const char *c = o->chosen[i], *equals = strrchr(c, '=');
                size_t len = equals ? (size_t)(equals - c) : strlen(c);

                if (is_called(disk, c, len))
                        return equals ? equals + 1 : "overlay";
        }
        return NULL;
}

/* NULL: it is not stored. */
static const char *mode_of(const json_t *disk, const struct disks_options *o)
{
        const char *mode = chosen_mode(disk, o);

        if (mode)
                return strcmp(mode, "none") == 0 ? NULL : mode;
        if (!o->all || json_is_true(json_object_get(disk, "read_only")))
                return NULL;
        /* Variables of firmware are a small image of their own, and no
         * overlay of anything. */
        if (!has_backing(disk) &&
            strncmp(json_word(disk, "device"), "pflash", 6) == 0)
                return "full";
        return o->all;
}

static bool check_chosen(const json_t *list, const struct disks_options *o,
                         struct err *err)
{
        for (unsigned i = 0; i < o->chosen_count; i++) {
                const char *c = o->chosen[i], *equals = strrchr(c, '=');
                size_t len = equals ? (size_t)(equals - c) : strlen(c), k;
                char names[300] = "", shown[128];
                const json_t *disk;
                bool found = false;

                if (equals && !is_mode(equals + 1) &&
                    strcmp(equals + 1, "none") != 0)
                        return err_set(err, ERR_USAGE,
                                       "--disk %s: neither overlay, full nor "
                                       "none",
                                       c);
                json_array_foreach(list, k, disk)
                {
                        size_t used = strlen(names);

                        found |= is_called(disk, c, len);
                        snprintf(names + used, sizeof names - used, "%s%s",
                                 used ? ", " : "",
                                 text_escape(disk_name(disk), shown,
                                             sizeof shown));
                }
                if (!found)
                        return err_set(err, ERR_USAGE,
                                       "--disk %.*s: the VM has no such disk "
                                       "(it has: %s)",
                                       (int)len, c, names[0] ? names : "none");
        }
        return true;
}

static bool mark(struct disks *d, struct disk *disk, const char *mode,
                 struct err *err)
{
        char dir[512];

        if (strcmp(mode, "overlay") == 0 && !has_backing(disk->json)) {
                err_set(err, ERR_USAGE,
                        "its image has no backing file, so there is no "
                        "overlay; full stores all of it (--disk %s=full)",
                        disk_name(disk->json));
                return about(disk->json, err);
        }
        disk->overlay = strcmp(mode, "overlay") == 0;
        name_disk_dir(disk_name(disk->json), dir);
        for (const struct disk *o = d->list; o < disk; o++)
                if (strcmp(json_word(o->json, "dir"), dir) == 0)
                        return err_set(err, ERR_UNSUPPORTED,
                                       "two disks are called %s: give them "
                                       "ids",
                                       disk_name(disk->json));
        TRY(json_put(disk->json, "stored", json_string(mode), err));
        TRY(json_put(disk->json, "name", json_string(disk_name(disk->json)),
                     err));
        return json_put(disk->json, "dir", json_string(dir), err);
}

/* Not a file of ours to read, or not of a kind that we can. */
static bool is_foreign(const struct err *err)
{
        return err->status == ERR_UNSUPPORTED || err->os == EACCES ||
               err->os == EPERM || err->os == ENOENT;
}

static bool ask_qemu(struct disks *d, struct disk *disk, struct err *why,
                     struct err *err)
{
        char line[1024], shown[200];

        text_escape(disk_name(disk->json), shown, sizeof shown);
        log_note("disk %s: %s: QEMU reads it", shown,
                 err_line(why, line, sizeof line));
        if (json_is_true(json_object_get(disk->json, "encrypted")))
                log_warn("disk %s is encrypted; its content in the snapshot "
                         "is not",
                         shown);
        if (!d->can_ask)
                TRY(export_possible(d->q, err));
        d->can_ask = true;
        disk->asks_qemu = true;
        return true;
}

static bool open_disk(struct disks *d, struct disk *disk, bool behind,
                      struct err *err)
{
        struct err why = ERR_INIT;

        if (disk_files_open(disk->json, &disk->chain, &why))
                return true;
        if (behind || !is_foreign(&why)) {
                *err = why;
                return false;
        }
        return ask_qemu(d, disk, &why, err);
}

bool disks_select(struct qmp *q, json_t *list,
                  const struct disks_options *options, struct disks **out,
                  struct err *err)
{
        struct disks *d = calloc(1, sizeof *d);
        json_t *json;
        bool ok;
        size_t i;

        if (!d)
                return err_nomem(err);
        d->q = q;
        d->digest_bases = options->digest_bases;
        d->list = calloc(json_array_size(list) + 1, sizeof *d->list);
        ok = d->list ? check_chosen(list, options, err) : err_nomem(err);
        json_array_foreach(list, i, json)
        {
                const char *mode = mode_of(json, options);
                struct disk *disk = &d->list[d->count];

                if (!ok || !mode)
                        continue;
                disk->json = json;
                d->count++;
                ok = mark(d, disk, mode, err) &&
                     (open_disk(d, disk, options->behind, err) ||
                      about(json, err));
        }
        if (!ok) {
                disks_free(d);
                return false;
        }
        *out = d;
        return true;
}

size_t disks_count(const struct disks *d)
{
        return d->count;
}

uint64_t disks_data_bytes(const struct disks *d)
{
        return d->data_bytes;
}

/* ---- while QEMU waits ---------------------------------------------------- */

static bool nobody_writes(const struct chain_file *f, int patience_ms,
                          struct err *err)
{
        static const struct timespec moment = {.tv_nsec = 10000000};

        for (int waited = 0;; waited += 10) {
                struct err busy = ERR_INIT;

                if (lock_check(f->fd, f->path, LOCK_TO_READ, &busy))
                        return true;
                if (busy.status != ERR_MISMATCH || waited >= patience_ms) {
                        *err = busy;
                        return false;
                }
                nanosleep(&moment, NULL);
        }
}

static bool look(const struct chain_file *f, struct stat *out, struct err *err)
{
        if (fstat(f->fd, out) == 0)
                return true;
        err_in_file(err, f->path);
        return err_os(err, errno, "fstat");
}

/* The files may be read from now on. */
static bool begin_reading(struct disk *disk, struct err *err)
{
        const struct chain *c = disk->chain;

        disk->before = calloc(c->count, sizeof *disk->before);
        if (!disk->before)
                return err_nomem(err);
        for (size_t i = 0; i < c->count; i++) {
                TRY(nobody_writes(&c->files[i], LOCK_MS, err));
                TRY(look(&c->files[i], &disk->before[i], err));
        }
        return true;
}

/* Was anything written meanwhile?  (A block device tells only who has it.) */
static bool end_reading(const struct disk *disk, struct err *err)
{
        const struct chain *c = disk->chain;

        for (size_t i = 0; i < c->count; i++) {
                const struct stat *was = &disk->before[i];
                struct stat is;

                TRY(nobody_writes(&c->files[i], 0, err));
                TRY(look(&c->files[i], &is, err));
                if (S_ISBLK(is.st_mode) ||
                    (is.st_size == was->st_size &&
                     is.st_mtim.tv_sec == was->st_mtim.tv_sec &&
                     is.st_mtim.tv_nsec == was->st_mtim.tv_nsec))
                        continue;
                err_in_file(err, c->files[i].path);
                return err_set(err, ERR_MISMATCH,
                               "somebody has written it while it was saved");
        }
        return true;
}

/* What the overlay needs below it. */
static bool pin_bases(const struct disks *d, struct disk *disk, struct err *err)
{
        json_t *images = json_object_get(disk->json, "chain");

        for (size_t i = 1; i < disk->chain->count; i++) {
                struct chain_part below = {.chain = disk->chain, .first = i};
                json_t *pin;

                TRY(pin_take(chain_part_read, &below,
                             image_size(disk->chain->files[i].image),
                             d->digest_bases, &pin, err));
                TRY(json_put(json_array_get(images, i), "pin", pin, err));
        }
        return true;
}

static bool store(struct disks *d, struct disk *disk,
                  const struct disk_source *source, struct writer *w,
                  uint64_t tag, struct progress *progress, struct err *err)
{
        struct disk_totals totals;

        TRY(json_put(disk->json, "virtual_size",
                     json_integer((json_int_t)source->size), err));
        TRY(json_put(disk->json, "granularity",
                     json_integer((json_int_t)source->granularity), err));
        TRY(disk_store(w, json_word(disk->json, "dir"), source, disk->overlay,
                       tag, progress, &totals, err));
        d->data_bytes += totals.data_bytes;
        return true;
}

/* False without err: QEMU is to be asked. */
static bool load_files(struct disks *d, struct disk *disk, bool behind,
                       struct err *err)
{
        struct err why = ERR_INIT;

        TRY(begin_reading(disk, err));
        if (chain_load(disk->chain, &why))
                return true;
        if (behind || !is_foreign(&why)) {
                *err = why;
                return false;
        }
        chain_close(disk->chain);
        disk->chain = NULL;
        ask_qemu(d, disk, &why, err);
        return false;
}

static bool store_files(struct disks *d, size_t n, struct writer *w,
                        uint64_t tag, struct behind *behind,
                        struct progress *progress, struct err *err)
{
        struct disk *disk = &d->list[n];
        struct disk_source source, below;
        struct files files;

        disk_files_source(disk->chain, disk->overlay, &files, &below);
        source = below;
        if (behind)
                behind_source(behind, n, &below, &source);
        TRY(store(d, disk, &source, w, tag, progress, err));
        if (disk->overlay)
                TRY(pin_bases(d, disk, err));
        return end_reading(disk, err);
}

/* ---- what QEMU reads for us ---------------------------------------------- */

/* The node that an image of the chain is; false: not found. */
static bool find_node(const json_t *nodes, const json_t *image, char name[64])
{
        const json_t *node;
        size_t i;

        json_array_foreach(nodes, i, node)
        {
                const char *file = json_text(node, "image.filename");

                if (!file || strcmp(file, json_word(image, "name")) != 0 ||
                    strcmp(json_word(node, "drv"),
                           json_word(image, "format")) != 0)
                        continue;
                snprintf(name, 64, "%s", json_word(node, "node-name"));
                return true;
        }
        return false;
}

static bool pin_node(const struct disks *d, json_t *image, const char *node,
                     struct err *err)
{
        struct disk_source source;
        struct disk_nbd *nbd;
        json_t *pin = NULL;
        bool ok;

        TRY(disk_nbd_open(d->q, node, false, &nbd, &source, err));
        ok = pin_take(source.read, source.arg, source.size, d->digest_bases,
                      &pin, err);
        disk_nbd_close(nbd);
        return ok && json_put(image, "pin", pin, err);
}

static bool pin_nodes(const struct disks *d, struct disk *disk, struct err *err)
{
        json_t *image, *images = json_object_get(disk->json, "chain");
        json_auto_t *nodes = NULL;
        char name[64], shown[300];
        size_t i;

        TRY(qmp_ask(d->q, "query-named-block-nodes",
                    json_pack("{s:b}", "flat", 1), &nodes, err));
        json_array_foreach(images, i, image)
        {
                if (i == 0 || !json_word(image, "format")[0])
                        continue;
                text_escape(json_word(image, "name"), shown, sizeof shown);
                if (find_node(nodes, image, name))
                        TRY(pin_node(d, image, name, err));
                else
                        log_warn("%s: QEMU does not say which node it is: a "
                                 "restore will not notice if it has changed",
                                 shown);
        }
        return true;
}

static bool store_asked(struct disks *d, struct disk *disk, struct writer *w,
                        uint64_t tag, struct progress *progress,
                        struct err *err)
{
        struct disk_source source;
        struct disk_nbd *nbd;
        bool ok;

        TRY(disk_nbd_open(d->q, json_word(disk->json, "node"), disk->overlay,
                          &nbd, &source, err));
        ok = store(d, disk, &source, w, tag, progress, err);
        disk_nbd_close(nbd);
        return ok && (!disk->overlay || pin_nodes(d, disk, err));
}

static bool store_one(struct disks *d, size_t n, struct writer *w, uint64_t tag,
                      struct behind *behind, struct progress *progress,
                      struct err *err)
{
        struct disk *disk = &d->list[n];

        if (!disk->asks_qemu && load_files(d, disk, behind, err))
                return store_files(d, n, w, tag, behind, progress, err);
        return disk->asks_qemu && store_asked(d, disk, w, tag, progress, err);
}

bool disks_behind(const struct disks *d, struct behind *b, struct err *err)
{
        for (size_t i = 0; i < d->count; i++)
                if (!behind_add(b, d->list[i].json, err))
                        return about(d->list[i].json, err);
        return true;
}

bool disks_store(struct disks *d, struct writer *w, uint64_t tag,
                 struct behind *behind, struct progress *progress,
                 struct err *err)
{
        uint64_t total = 0;

        for (size_t i = 0; i < d->count; i++)
                total += (uint64_t)json_integer_value(
                        json_object_get(d->list[i].json, "virtual_size"));
        if (d->count > 0)
                progress_phase(progress, "saving disks", total);
        for (size_t i = 0; i < d->count; i++)
                if (!store_one(d, i, w, tag, behind, progress, err))
                        return about(d->list[i].json, err);
        return true;
}

void disks_release(struct disks *d)
{
        for (size_t i = 0; d && i < d->count; i++) {
                chain_close(d->list[i].chain);
                d->list[i].chain = NULL;
                free(d->list[i].before);
                d->list[i].before = NULL;
        }
}

void disks_free(struct disks *d)
{
        if (!d)
                return;
        disks_release(d);
        free(d->list);
        free(d);
}
