/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/behind.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"
#include "qcow/writer.h"
#include "qemu/disks.h"
#include "save/kept.h"
#include "save/leftovers.h"

#define NODE_PREFIX "stasis-behind-"
/* A job that makes no progress for so long will not end. */
#define JOB_SECONDS 60

struct overlay {
        const json_t *disk; /* borrowed */
        char *path;         /* of the temporary file; owned */
        char node[32];      /* its node */
        char base[64];      /* the node below it: the disk's top before */
        int fd;             /* of the file, to read it at the cut */
        bool made, added, active;
        struct kept *kept;
};

struct behind {
        struct overlay *list;
        size_t count;
        const char *spool_dir;
};

static bool about(const struct overlay *o, struct err *err)
{
        char shown[200];

        text_escape(disk_name(o->disk), shown, sizeof shown);
        return err_doing(err, "disk %s", shown);
}

bool behind_new(const char *spool_dir, struct behind **out, struct err *err)
{
        *out = calloc(1, sizeof **out);
        if (!*out)
                return err_nomem(err);
        (*out)->spool_dir = spool_dir;
        return true;
}

/* On the same file system as the image, and where QEMU may open it. */
static bool name_overlay(struct overlay *o, const char *image, struct err *err)
{
        uint32_t random;
        char id[16];

        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
                return err_os(err, errno, "getrandom");
        snprintf(id, sizeof id, "%08" PRIx32, random);
        snprintf(o->node, sizeof o->node, NODE_PREFIX "%s", id);
        o->path = leftovers_name(image, id);
        return o->path || err_nomem(err);
}

bool behind_add(struct behind *b, const json_t *disk, struct err *err)
{
        const json_t *top = json_array_get(json_object_get(disk, "chain"), 0);
        const char *image = json_text(top, "file");
        const char *node = json_text(disk, "node");
        struct overlay *grown;

        grown = realloc(b->list, (b->count + 1) * sizeof *grown);
        if (!grown)
                return err_nomem(err);
        b->list = grown;
        grown[b->count] = (struct overlay){.disk = disk, .fd = -1};
        b->count++;
        if (!image || image[0] != '/' || !node ||
            strlen(node) >= sizeof grown->base)
                return err_set(err, ERR_UNSUPPORTED,
                               "only a disk in a file can be copied behind "
                               "the running guest");
        strcpy(grown[b->count - 1].base, node);
        return name_overlay(&grown[b->count - 1], image, err);
}

/* An empty overlay that QEMU may open: owner and mode are the image's. */
static bool make(struct overlay *o, struct err *err)
{
        const json_t *top =
                json_array_get(json_object_get(o->disk, "chain"), 0);
        const char *format = json_text(top, "format");
        struct qcow2_writer_options w = {
                .size = (uint64_t)json_integer_value(
                        json_object_get(o->disk, "virtual_size")),
                .cluster_size = QCOW2_CLUSTER_DEFAULT,
                .backing_name = json_text(top, "file"),
                .backing_format = format && strcmp(format, "qcow2") == 0
                                          ? "qcow2"
                                          : "raw",
        };
        struct qcow2_writer *writer = NULL;
        struct publish *p = NULL;
        struct stat st;
        bool ok;

        ok = publish_open(o->path, 0, &p, err) &&
             qcow2_writer_new(publish_fd(p), o->path, &w, &writer, err) &&
             qcow2_writer_finish(writer, err);
        qcow2_writer_free(writer);
        if (ok && (stat(w.backing_name, &st) != 0 ||
                   fchmod(publish_fd(p), st.st_mode & 0666) != 0 ||
                   (fchown(publish_fd(p), st.st_uid, st.st_gid) != 0 &&
                    st.st_uid != geteuid())))
                ok = err_os(err, errno, "%s: owner and mode", o->path);
        ok = ok && publish_commit(p, err);
        publish_close(p);
        o->made = ok;
        return ok && io_open_read(o->path, &o->fd, err);
}

static bool attach(struct overlay *o, struct qmp *q, struct err *err)
{
        json_t *node = json_pack("{s:s, s:s, s:n, s:{s:s, s:s}}", "driver",
                                 "qcow2", "node-name", o->node, "backing",
                                 "file", "driver", "file", "filename", o->path);

        TRY(qmp_command(q, "blockdev-add", node, NULL, NULL, err));
        o->added = true;
        return true;
}

/* All at one instant, or none. */
static bool switch_all(struct behind *b, struct qmp *q, struct err *err)
{
        json_t *actions = json_array();

        for (size_t i = 0; i < b->count; i++) {
                const struct overlay *o = &b->list[i];

                json_array_append_new(
                        actions, json_pack("{s:s, s:{s:s, s:s}}", "type",
                                           "blockdev-snapshot", "data", "node",
                                           o->base, "overlay", o->node));
        }
        TRY(qmp_command(q, "transaction",
                        json_pack("{s:o}", "actions", actions), NULL, NULL,
                        err));
        for (size_t i = 0; i < b->count; i++)
                b->list[i].active = true;
        return true;
}

static bool begin(struct behind *b, struct qmp *q, struct err *err)
{
        for (size_t i = 0; i < b->count; i++)
                if (!make(&b->list[i], err) || !attach(&b->list[i], q, err))
                        return about(&b->list[i], err);
        return switch_all(b, q, err);
}

/* A signal must not keep us from learning what QEMU has done: what we do not
 * know of we could not undo. */
bool behind_begin(struct behind *b, struct qmp *q, struct err *err)
{
        bool was = qmp_steadfast(q, true);
        bool ok = begin(b, q, err);

        qmp_steadfast(q, was);
        return ok;
}

bool behind_cut(struct behind *b, struct err *err)
{
        for (size_t i = 0; i < b->count; i++) {
                struct overlay *o = &b->list[i];

                if (!kept_read(o->fd, o->path, b->spool_dir, &o->kept, err))
                        return about(o, err);
        }
        return true;
}

void behind_source(struct behind *b, size_t n, const struct disk_source *below,
                   struct disk_source *out)
{
        kept_over(b->list[n].kept, below, out);
}

/* ---- as it was before ---------------------------------------------------- */

static bool find_job(struct qmp *q, const char *id, json_t **out,
                     struct err *err)
{
        json_auto_t *jobs = NULL;
        json_t *job;
        size_t i;

        *out = NULL;
        TRY(qmp_command(q, "query-block-jobs", NULL, &jobs, NULL, err));
        json_array_foreach(jobs, i, job)
        {
                const char *device = json_text(job, "device");

                if (device && strcmp(device, id) == 0)
                        *out = json_incref(job);
        }
        return true;
}

/* Until the job is no more; how it ended shows in what stands where then. */
static bool await_job(struct qmp *q, const char *id, struct err *err)
{
        static const struct timespec moment = {.tv_nsec = 20000000};
        time_t deadline = time(NULL) + JOB_SECONDS;
        json_int_t before = -1;

        while (time(NULL) < deadline) {
                json_auto_t *job = NULL;
                json_int_t done;

                TRY(find_job(q, id, &job, err));
                if (!job)
                        return true;
                done = json_integer_value(json_object_get(job, "offset"));
                if (done != before)
                        deadline = time(NULL) + JOB_SECONDS;
                before = done;
                if (json_is_true(json_object_get(job, "ready")))
                        qmp_command(q, "job-complete",
                                    json_pack("{s:s}", "id", id), NULL, NULL,
                                    &(struct err)ERR_INIT);
                nanosleep(&moment, NULL);
        }
        return err_set(err, ERR_QEMU, "QEMU's job %s does not end", id);
}

/* Whether a disk still stands on that node. */
static bool stands_on(struct qmp *q, const char *node, bool *out,
                      struct err *err)
{
        json_auto_t *blocks = NULL;
        json_t *block;
        size_t i;

        *out = false;
        TRY(qmp_command(q, "query-block", NULL, &blocks, NULL, err));
        json_array_foreach(blocks, i, block)
        {
                const char *top = json_text(block, "inserted.node-name");

                *out |= top && strcmp(top, node) == 0;
        }
        return true;
}

/* key, below: "base-node" and a node, or "base" and a file's name. */
static bool commit(struct qmp *q, const char *node, const char *key,
                   const char *below, struct err *err)
{
        bool still;

        TRY(qmp_command(q, "block-commit",
                        json_pack("{s:s, s:s, s:s}", "job-id", node, "device",
                                  node, key, below),
                        NULL, NULL, err));
        TRY(await_job(q, node, err));
        TRY(stands_on(q, node, &still, err));
        if (still)
                return err_set(err, ERR_QEMU,
                               "QEMU could not commit it (its log says why)");
        return true;
}

static bool remove_one(struct overlay *o, struct qmp *q, struct err *err)
{
        if (o->active && !commit(q, o->node, "base-node", o->base, err)) {
                log_warn(
                        "the VM's disk %s is now %s, on top of what it was: "
                        "keep that file. Another save of this VM, or "
                        "block-commit of node %s, ends it; when the VM is off, "
                        "qemu-img commit does",
                        disk_name(o->disk), o->path, o->node);
                return about(o, err);
        }
        o->active = false;
        /* The name first: a file with what is committed by now would look like
         * one that a VM lacks. */
        if (o->made && unlink(o->path) != 0)
                return err_os(err, errno, "%s", o->path);
        o->made = false;
        if (o->added)
                TRY(qmp_command(q, "blockdev-del",
                                json_pack("{s:s}", "node-name", o->node), NULL,
                                NULL, err));
        o->added = false;
        return true;
}

bool behind_end(struct behind *b, struct qmp *q, struct progress *progress,
                struct err *err)
{
        bool ok = true;

        progress_phase(progress, "committing", 0);
        for (size_t i = 0; i < b->count; i++)
                ok &= remove_one(&b->list[i], q, err);
        return ok;
}

void behind_free(struct behind *b)
{
        for (size_t i = 0; b && i < b->count; i++) {
                kept_free(b->list[i].kept);
                cleanup_fd_(&b->list[i].fd);
                free(b->list[i].path);
        }
        if (b)
                free(b->list);
        free(b);
}

/* ---- after a save that was killed ---------------------------------------- */

static bool is_ours(const char *node)
{
        return node && strncmp(node, NODE_PREFIX, strlen(NODE_PREFIX)) == 0;
}

/* QEMU tells the overlay itself as json:, because it was given no backing
 * file; what is below it tells where it is. */
static bool recover_one(struct qmp *q, const json_t *block, struct err *err)
{
        const char *node = json_text(block, "inserted.node-name");
        const char *below =
                json_text(block, "inserted.image.backing-image.filename");
        const char *image =
                json_text(block, "inserted.image.full-backing-filename");
        CLEANUP_FREE char *path = NULL;

        if (!is_ours(node))
                return true;
        if (!below || !image || image[0] != '/')
                return err_set(err, ERR_QEMU,
                               "QEMU does not say what is below %s, a "
                               "temporary overlay that an earlier save left",
                               node);
        path = leftovers_name(image, node + strlen(NODE_PREFIX));
        if (!path)
                return err_nomem(err);
        log_note("an earlier save left the temporary overlay %s: it is "
                 "committed first",
                 path);
        return commit(q, node, "base", below, err);
}

/* Commits that nobody was left to complete. */
static bool recover_jobs(struct qmp *q, struct err *err)
{
        json_auto_t *jobs = NULL;
        json_t *job;
        size_t i;

        TRY(qmp_command(q, "query-block-jobs", NULL, &jobs, NULL, err));
        json_array_foreach(jobs, i, job)
        {
                const char *id = json_text(job, "device");

                if (is_ours(id))
                        TRY(await_job(q, id, err));
        }
        return true;
}

/* The file of a node that QEMU tells as json:, or by its name.  malloc'd;
 * NULL: it does not say. */
static char *file_of(const json_t *node)
{
        const char *name = json_text(node, "image.filename");
        json_auto_t *words = NULL;
        const char *file;

        if (name && name[0] == '/')
                return strdup(name);
        if (!name || strncmp(name, "json:", 5) != 0)
                return NULL;
        words = json_loads(name + 5, 0, NULL);
        file = json_text(words, "file.filename");
        return file && file[0] == '/' ? strdup(file) : NULL;
}

/* Made and not yet used, or committed and not yet removed. */
static bool recover_unused(struct qmp *q, struct err *err)
{
        json_auto_t *nodes = NULL;
        json_t *node;
        size_t i;

        TRY(qmp_command(q, "query-named-block-nodes", NULL, &nodes, NULL, err));
        json_array_foreach(nodes, i, node)
        {
                const char *name = json_text(node, "node-name");
                CLEANUP_FREE char *path = NULL;

                if (!is_ours(name))
                        continue;
                path = file_of(node);
                if (path && unlink(path) != 0 && errno != ENOENT)
                        return err_os(err, errno, "%s", path);
                TRY(qmp_command(q, "blockdev-del",
                                json_pack("{s:s}", "node-name", name), NULL,
                                NULL, err));
        }
        return true;
}

bool behind_recover(struct qmp *q, struct err *err)
{
        json_auto_t *blocks = NULL;
        json_t *block;
        size_t i;

        TRY(recover_jobs(q, err));
        TRY(qmp_command(q, "query-block", NULL, &blocks, NULL, err));
        json_array_foreach(blocks, i, block)
        {
                TRY(recover_one(q, block, err));
        }
        return recover_unused(q, err);
}
