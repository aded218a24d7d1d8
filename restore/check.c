/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/check.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/text.h"
#include "format/fingerprint.h"
#include "format/manifest.h"
#include "qcow/lock.h"
#include "qemu/disks.h"
#include "qemu/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Reasons that the operator may know better about.  RAM of another size is
 * not among them: QEMU itself refuses it. */
static const char *const forcible[] = {"machine-type", "disks", NULL};

static bool is_forcible(const char *name)
{
        for (size_t i = 0; forcible[i]; i++)
                if (strcmp(forcible[i], name) == 0)
                        return true;
        return false;
}

bool check_init(struct check *c, const char *const *forced, unsigned count,
                const struct restored_disks *restored, struct err *err)
{
        *c = (struct check){
                .forced = forced, .forced_count = count, .restored = restored};
        for (unsigned i = 0; i < count; i++)
                if (!is_forcible(forced[i]))
                        return err_set(err, ERR_USAGE,
                                       "--force: '%s' is no reason that can be "
                                       "overridden (machine-type, disks)",
                                       forced[i]);
        return true;
}

static void against(struct check *c, const char *name, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static void against(struct check *c, const char *name, const char *fmt, ...)
{
        char why[400];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(why, sizeof why, fmt, ap);
        va_end(ap);
        for (unsigned i = 0; i < c->forced_count; i++) {
                if (strcmp(c->forced[i], name) == 0) {
                        log_warn("%s: %s (overridden by --force=%s)", name, why,
                                 name);
                        return;
                }
        }
        if (c->count == 0) {
                snprintf(c->first, sizeof c->first, "%s", why);
                snprintf(c->overrides, sizeof c->overrides, "%s",
                         is_forcible(name) ? name : "");
        } else if (strcmp(c->overrides, name) != 0) {
                c->overrides[0] = '\0';
        }
        c->count++;
        log_warn("%s: %s", name, why);
}

static bool check_type(struct check *c, const json_t *manifest, struct qmp *q,
                       struct err *err)
{
        const char *want = json_text(manifest, "machine.type");
        char have[256], shown[300];

        if (!want) {
                log_warn("the snapshot names no machine type (types up to 2.3 "
                         "do not): that it fits cannot be checked");
                return true;
        }
        TRY(identity_machine(q, have, sizeof have, err));
        if (have[0] && strcmp(want, have) != 0)
                against(c, "machine-type",
                        "the snapshot is of machine type %s, the target is %s",
                        text_escape(want, shown, sizeof shown), have);
        return true;
}

static bool check_arch(struct check *c, const json_t *manifest, struct qmp *q,
                       struct err *err)
{
        const char *want = json_text(manifest, "qemu.arch");
        char have[64], shown[100];

        TRY(identity_arch(q, have, sizeof have, err));
        if (want && have[0] && strcmp(want, have) != 0)
                against(c, "architecture",
                        "the snapshot is of a %s guest, the target is %s",
                        text_escape(want, shown, sizeof shown), have);
        return true;
}

static const json_t *find_block(const json_t *blocks, const char *name)
{
        const json_t *block;
        size_t i;

        json_array_foreach(blocks, i, block)
        {
                const char *n = json_text(block, "name");

                if (n && strcmp(n, name) == 0)
                        return block;
        }
        return NULL;
}

static uint64_t number(const json_t *object, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* A block may shrink or grow only if the target made it so (ACPI tables):
 * used and total then differ, or it may be told its new size at load. */
static void check_block(struct check *c, const struct ram_block_info *want,
                        const json_t *have)
{
        char shown[300];

        text_escape(want->name, shown, sizeof shown);
        if (!have)
                against(c, "ram-blocks", "the target has no RAMBlock %s",
                        shown);
        else if (want->size > number(have, "total"))
                against(c, "ram-blocks",
                        "RAMBlock %s has 0x%" PRIx64
                        " bytes in the snapshot, 0x%" PRIx64 " in the target%s",
                        shown, want->size, number(have, "total"),
                        strstr(want->name, "rom") || strstr(want->name, "bios")
                                ? " (a ROM that grew: give the target the "
                                  "older firmware)"
                                : "");
        else if (want->size != number(have, "used") &&
                 number(have, "used") == number(have, "total"))
                against(c, "ram-blocks",
                        "RAMBlock %s has 0x%" PRIx64
                        " bytes in the snapshot, 0x%" PRIx64 " in the target",
                        shown, want->size, number(have, "used"));
}

static void check_blocks(struct check *c, const json_t *manifest,
                         const json_t *blocks)
{
        const json_t *have;
        char shown[300];
        size_t i, n = manifest_ram_blocks(manifest);

        for (i = 0; i < n; i++) {
                struct ram_block_info want = manifest_ram_block(manifest, i);

                check_block(c, &want, find_block(blocks, want.name));
        }
        json_array_foreach(blocks, i, have)
        {
                const char *name = json_text(have, "name");

                if (name && !find_block(json_at(manifest, "ram_blocks"), name))
                        against(c, "ram-blocks",
                                "the target has RAMBlock %s (0x%" PRIx64
                                " bytes), the snapshot has not",
                                text_escape(name, shown, sizeof shown),
                                number(have, "used"));
        }
}

/* QEMU before 6.x cannot list its RAMBlocks: the main one's size must do. */
static bool check_main_memory(struct check *c, const json_t *manifest,
                              struct qmp *q, struct err *err)
{
        json_auto_t *id = NULL, *sizes = NULL;
        const json_t *block;
        const char *name;
        uint64_t have;

        TRY(qmp_ask(q, "qom-get",
                    json_pack("{s:s, s:s}", "path", "/machine", "property",
                              "memory-backend"),
                    &id, err));
        TRY(qmp_ask(q, "query-memory-size-summary", NULL, &sizes, err));
        name = json_string_value(id);
        have = number(sizes, "base-memory");
        block = name ? find_block(json_at(manifest, "ram_blocks"), name) : NULL;
        if (block && have && number(block, "size") != have)
                against(c, "ram-blocks",
                        "RAMBlock %s has 0x%" PRIx64
                        " bytes in the snapshot, 0x%" PRIx64 " in the target",
                        name, number(block, "size"), have);
        return true;
}

bool check_machine(struct check *c, const json_t *manifest, struct qmp *q,
                   struct err *err)
{
        json_auto_t *blocks = NULL;

        TRY(check_type(c, manifest, q, err));
        TRY(check_arch(c, manifest, q, err));
        TRY(identity_ram_blocks(q, &blocks, err));
        if (!blocks)
                return check_main_memory(c, manifest, q, err);
        check_blocks(c, manifest, blocks);
        return true;
}

/* The recorded images of one disk against the files that the target opened. */
static bool check_images(struct check *c, const char *name, const json_t *was,
                         const json_t *is, struct err *err)
{
        const json_t *image;
        size_t i;

        json_array_foreach(json_object_get(was, "chain"), i, image)
        {
                const json_t *print = json_object_get(image, "fingerprint");
                const char *path = json_text(
                        json_array_get(json_object_get(is, "chain"), i),
                        "file");
                char why[160], shown[300];

                if (!print)
                        continue;
                if (!path) {
                        against(c, "disks",
                                "disk %s: the target has no image %zu in its "
                                "backing chain",
                                name, i);
                        return true;
                }
                TRY(fingerprint_compare(print, path, why, err));
                if (why[0])
                        against(c, "disks",
                                "disk %s: %s is not as it was at the cut: %s%s",
                                name, text_escape(path, shown, sizeof shown),
                                why,
                                json_text(was, "stored")
                                        ? "; --disk restores it from the "
                                          "snapshot"
                                        : "");
        }
        return true;
}

static bool same_file(const char *a, const char *b)
{
        struct stat x, y;

        if (stat(a, &x) != 0 || stat(b, &y) != 0)
                return false;
        if (S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode))
                return x.st_rdev == y.st_rdev;
        return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The disk was made anew for this target: does that open it? */
static void check_restored(struct check *c, const char *name, const char *path,
                           const json_t *is)
{
        const char *opened = json_text(
                json_array_get(json_object_get(is, "chain"), 0), "file");
        char shown[300], made[300];

        if (opened && same_file(opened, path))
                return;
        against(c, "disks", "disk %s is now %s, but the target opened %s", name,
                text_escape(path, made, sizeof made),
                text_escape(opened ? opened : "something else", shown,
                            sizeof shown));
}

/* Somebody else writes it: most likely the VM that was saved. */
static bool check_unused(struct check *c, const char *name, const json_t *is,
                         struct err *err)
{
        const char *path = json_text(
                json_array_get(json_object_get(is, "chain"), 0), "file");
        struct err busy = ERR_INIT;
        CLEANUP_FD int fd = -1;

        if (!path || json_is_true(json_object_get(is, "read_only")) ||
            !io_open_read(path, &fd, &(struct err)ERR_INIT))
                return true;
        if (lock_check(fd, path, LOCK_TO_WRITE, &busy))
                return true;
        if (busy.status != ERR_MISMATCH) {
                *err = busy;
                return false;
        }
        against(c, "disk-in-use", "disk %s: %s: %s", name, busy.file, busy.why);
        return true;
}

static bool check_disk(struct check *c, const json_t *was, const json_t *have,
                       size_t position, struct err *err)
{
        const json_t *is = disks_counterpart(have, was, position);
        const char *path = restored_disks_path(c->restored, disk_name(was));
        char name[128];

        text_escape(disk_name(was), name, sizeof name);
        if (!is) {
                against(c, "disks", "the target has no disk %s", name);
                return true;
        }
        /* Of a recorded stream it is known how large it was at least. */
        if (number(was, "virtual_size") > number(is, "virtual_size") ||
            (!json_is_false(json_at(was, "virtual_size_known")) &&
             number(was, "virtual_size") != number(is, "virtual_size")))
                against(c, "disks",
                        "disk %s has %" PRIu64
                        " bytes in the snapshot, %" PRIu64 " in the target",
                        name, number(was, "virtual_size"),
                        number(is, "virtual_size"));
        TRY(check_unused(c, name, is, err));
        if (path) {
                check_restored(c, name, path, is);
                return true;
        }
        return check_images(c, name, was, is, err);
}

bool check_disks(struct check *c, const json_t *state, struct qmp *q, pid_t pid,
                 struct err *err)
{
        const json_t *list = json_object_get(state, "disks"), *disk;
        json_auto_t *have = NULL;
        size_t i;

        if (json_array_size(list) == 0)
                return true;
        TRY(disks_query(q, pid, &have, err));
        json_array_foreach(list, i, disk)
        {
                TRY(check_disk(c, disk, have, i, err));
        }
        return true;
}

bool check_verdict(const struct check *c, struct err *err)
{
        if (c->count == 0)
                return true;
        if (c->count > 1)
                return err_set(err, ERR_MISMATCH,
                               "does not fit the target, for the %u reasons "
                               "above%s%s",
                               c->count,
                               c->overrides[0] ? "; overridden by --force="
                                               : "",
                               c->overrides);
        return err_set(err, ERR_MISMATCH, "does not fit the target: %s%s%s",
                       c->first,
                       c->overrides[0] ? "; overridden by --force=" : "",
                       c->overrides);
}
