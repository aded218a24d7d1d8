/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine without its devices: type, architecture, accelerator, CPUs, RAM.
 */
#include "restore/check.h"

#include "base/log.h"
#include "base/text.h"
#include "format/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* QEMU compares no more of its own type than the stream has: pc-q35-4.0 goes
 * into pc-q35-4.0.1 without a word. */
static bool check_type(struct check *c, const json_t *manifest,
                       const struct view *v, struct err *err)
{
        const char *want = json_text(manifest, "machine.type"),
                   *have = json_text(v->identity, "machine.type");
        char a[300], b[300];

        if (!want)
                return check_add(
                        c, "machine-type", REASON_WARNING, NULL, NULL, have,
                        err,
                        "the snapshot names no machine type (types up to 2.3 "
                        "do not): that it fits cannot be checked");
        if (!have || strcmp(want, have) == 0)
                return true;
        return check_add(
                c, "machine-type",
                strncmp(want, have, strlen(want)) == 0 ? REASON_WRONG
                                                       : REASON_REFUSED,
                "configuration", want, have, err,
                "the snapshot is of machine type %s, the target is %s",
                text_escape(want, a, sizeof a), text_escape(have, b, sizeof b));
}

static bool check_arch(struct check *c, const json_t *manifest,
                       const struct view *v, struct err *err)
{
        const char *want = json_text(manifest, "qemu.arch"),
                   *have = json_text(v->identity, "qemu.arch");
        char a[100], b[100];

        if (!want || !have || strcmp(want, have) == 0)
                return true;
        return check_add(c, "architecture", REASON_REFUSED, NULL, want, have,
                         err, "the snapshot is of a %s guest, the target is %s",
                         text_escape(want, a, sizeof a),
                         text_escape(have, b, sizeof b));
}

/* It loads, if both offer the same CPU; what is slower or lacks a clock shows
 * later. */
static bool check_accelerator(struct check *c, const json_t *manifest,
                              const struct view *v, struct err *err)
{
        const char *want = json_text(manifest, "accelerator"),
                   *have = json_text(v->identity, "accelerator");
        char a[100], b[100];

        if (!want || !have || strcmp(want, have) == 0)
                return true;
        return check_add(
                c, "accelerator", REASON_WARNING, NULL, want, have, err,
                "the snapshot was made under %s, the target "
                "runs under %s",
                text_escape(want, a, sizeof a), text_escape(have, b, sizeof b));
}

/* ---- CPUs ---------------------------------------------------------------- */

/* Boolean properties of a CPU that no guest sees as a feature. */
static bool is_setting(const char *name)
{
        static const char *const settings[] = {
                /* CPUID has them by topology, the property or not. */
                "ht",
                "cmp-legacy",
                "cmp_legacy",
                /* Of the CPU as an object, and how it is filled in. */
                "realized",
                "hotplugged",
                "hotpluggable",
                "migratable",
                "check",
                "enforce",
                "l3-cache",
                "legacy-cache",
                "full-cpuid-auto-level",
                "fill-mtrr-mask",
                "pmu",
                "start-powered-off",
                "legacy-instance-id",
                "host-cache-info",
                "cpuid-0xb",
                "tcg-cpuid",
                "vmware-cpuid-freq",
                "lmce",
                "kvm",
                "host-phys-bits",
                "kvm-no-smi-migration",
                "kvm-pv-enforce-cpuid",
                "arch-cap-always-on",
                "pdcm-always-on",
        };

        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
                if (strcmp(name, settings[i]) == 0)
                        return true;
        return strncmp(name, "x-", 2) == 0 || strncmp(name, "hv-", 3) == 0 ||
               strncmp(name, "legacy-", 7) == 0;
}

/* "sse4.1", "sse4_1" and "sse4-1" are one feature. */
static bool same_feature(const char *a, const char *b)
{
        for (; *a && *b; a++, b++) {
                bool both = strchr("._-", *a) && strchr("._-", *b);

                if (*a != *b && !both)
                        return false;
        }
        return *a == *b;
}

static bool has_feature(const json_t *list, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++) {
                const char *s = json_string_value(json_array_get(list, i));

                if (s && same_feature(s, name))
                        return true;
        }
        return false;
}

/* A guest that has found a feature uses it until it ends. */
static bool check_features(struct check *c, const json_t *want,
                           const json_t *have, struct err *err)
{
        json_auto_t *lost = json_array();
        char names[300] = "", shown[100];
        size_t i, used = 0;
        const json_t *item;

        json_array_foreach(want, i, item)
        {
                const char *name = json_string_value(item);

                if (!name || is_setting(name) ||
                    has_feature(have, json_array_size(have), name) ||
                    has_feature(lost, json_array_size(lost), name))
                        continue;
                if (json_array_append_new(lost, json_string(name)) != 0)
                        return err_nomem(err);
                if (used < sizeof names - 60)
                        used += (size_t)snprintf(
                                names + used, sizeof names - used, "%s%.50s",
                                used ? ", " : "",
                                text_escape(name, shown, sizeof shown));
        }
        if (json_array_size(lost) == 0 || json_array_size(have) == 0)
                return true;
        return check_add(c, "cpu-features", REASON_WRONG, "cpu", names, NULL,
                         err,
                         "the target's CPU lacks %zu feature%s that the "
                         "guest's had: %s",
                         json_array_size(lost),
                         json_array_size(lost) > 1 ? "s" : "", names);
}

static bool check_cpu(struct check *c, const json_t *manifest,
                      const struct view *v, struct err *err)
{
        const json_t *want = json_object_get(manifest, "cpu"),
                     *have = json_object_get(v->identity, "cpu");
        const char *model = json_text(want, "model"),
                   *their = json_text(have, "model");
        json_int_t n = json_integer_value(json_object_get(want, "count")),
                   k = json_integer_value(json_object_get(have, "count"));
        char a[100], b[100];

        if (n && k && n != k) {
                snprintf(a, sizeof a, "%" JSON_INTEGER_FORMAT, n);
                snprintf(b, sizeof b, "%" JSON_INTEGER_FORMAT, k);
                TRY(check_add(c, "cpu-count",
                              n > k ? REASON_REFUSED : REASON_WRONG, "cpu", a,
                              b, err,
                              "the snapshot has %s CPU%s, the target %s: give "
                              "it the same -smp",
                              a, n > 1 ? "s" : "", b));
        }
        if (model && their && strcmp(model, their) != 0)
                TRY(check_add(c, "cpu-model", REASON_WARNING, "cpu", model,
                              their, err,
                              "the snapshot's CPU model is %s, the target's %s",
                              text_escape(model, a, sizeof a),
                              text_escape(their, b, sizeof b)));
        return check_features(c, json_object_get(want, "features"),
                              json_object_get(have, "features"), err);
}

/* ---- RAM ----------------------------------------------------------------- */

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

/* Firmware and option ROMs: their sizes come from files that a newer package
 * may have made larger. */
static bool is_rom(const char *name)
{
        size_t len = strlen(name);

        return strncmp(name, "/rom@", 5) == 0 ||
               (len > 4 && strcmp(name + len - 4, ".rom") == 0) ||
               strcmp(name, "pc.bios") == 0 ||
               strncmp(name, "system.flash", 12) == 0;
}

static bool wrong_size(struct check *c, const char *name, uint64_t want,
                       uint64_t have, struct err *err)
{
        bool rom = is_rom(name);
        char shown[300], a[24], b[24];

        snprintf(a, sizeof a, "0x%" PRIx64, want);
        snprintf(b, sizeof b, "0x%" PRIx64, have);
        return check_add(
                c, rom ? "rom-size" : "ram-size", REASON_REFUSED, name, a, b,
                err,
                "RAMBlock %s has %s bytes in the snapshot, %s in the "
                "target%s",
                text_escape(name, shown, sizeof shown), a, b,
                !rom ? ": give it the same memory (-m)"
                : have > want
                        ? ": a ROM that has grown since: use the firmware "
                          "files of that time (romfile=, -bios, -L), or "
                          "romsize="
                        : ": a ROM that was larger: use the firmware files of "
                          "that time (romfile=, -bios, -L), or romsize=");
}

/* A block may shrink or grow only if the target made it so (ACPI tables):
 * used and total then differ, or it may be told its new size at load. */
static bool check_block(struct check *c, const struct ram_block_info *want,
                        const json_t *have, struct err *err)
{
        char shown[300], size[24];

        text_escape(want->name, shown, sizeof shown);
        if (!have) {
                snprintf(size, sizeof size, "0x%" PRIx64, want->size);
                return check_add(c, "ram-missing", REASON_REFUSED, want->name,
                                 size, NULL, err,
                                 "the target has no RAMBlock %s", shown);
        }
        if (want->size > number(have, "total"))
                return wrong_size(c, want->name, want->size,
                                  number(have, "total"), err);
        if (want->size == number(have, "used") ||
            number(have, "used") != number(have, "total") ||
            strncmp(want->name, "/rom@", 5) == 0)
                return true;
        return wrong_size(c, want->name, want->size, number(have, "used"), err);
}

static bool check_blocks(struct check *c, const json_t *manifest,
                         const json_t *blocks, struct err *err)
{
        const json_t *have;
        char shown[300], size[24];
        size_t i, n = manifest_ram_blocks(manifest);

        for (i = 0; i < n; i++) {
                struct ram_block_info want = manifest_ram_block(manifest, i);

                TRY(check_block(c, &want, find_block(blocks, want.name), err));
        }
        json_array_foreach(blocks, i, have)
        {
                const char *name = json_text(have, "name");

                if (!name || find_block(json_at(manifest, "ram_blocks"), name))
                        continue;
                snprintf(size, sizeof size, "0x%" PRIx64, number(have, "used"));
                TRY(check_add(c, "ram-extra", REASON_WRONG, name, NULL, size,
                              err,
                              "the target has RAMBlock %s (%s bytes), the "
                              "snapshot has not",
                              text_escape(name, shown, sizeof shown), size));
        }
        return true;
}

static bool check_memory(struct check *c, const json_t *manifest,
                         const struct view *v, struct err *err)
{
        const json_t *block;

        if (v->ram_blocks)
                return check_blocks(c, manifest, v->ram_blocks, err);
        block = find_block(json_at(manifest, "ram_blocks"), v->memory_id);
        if (!block || !v->memory || number(block, "size") == v->memory)
                return true;
        return wrong_size(c, v->memory_id, number(block, "size"), v->memory,
                          err);
}

bool check_machine(struct check *c, const json_t *manifest,
                   const struct view *v, struct err *err)
{
        return check_type(c, manifest, v, err) &&
               check_arch(c, manifest, v, err) &&
               check_accelerator(c, manifest, v, err) &&
               check_cpu(c, manifest, v, err) &&
               check_memory(c, manifest, v, err);
}
