/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/lazy_fit.h"

#include "base/text.h"
#include "format/manifest.h"
#include "qemu/identity.h"
#include "qemu/postcopy.h"
#include "restore/unit.h"

#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

static const struct device_section *live_section(const struct devices *d)
{
        for (size_t i = 0; i < d->count; i++)
                if (d->list[i].live && strcmp(d->list[i].idstr, "ram") != 0)
                        return &d->list[i];
        return NULL;
}

void lazy_fit_snapshot(const struct state *saved, char why[600])
{
        const struct devices *d = &saved->devices;
        const struct device_section *live = live_section(d);
        const char *state = json_text(saved->state, "run_state");
        size_t len = postcopy_package(d, NULL) - POSTCOPY_PACKAGE_HEAD;
        char shown[320];

        why[0] = '\0';
        if (live)
                snprintf(why, 600,
                         "its section '%s' must be loaded whole before the "
                         "guest runs",
                         text_escape(live->idstr, shown, sizeof shown));
        else if (d->config.ignore_shared || d->config.mapped_ram)
                snprintf(why, 600,
                         "its stream is of a capability that postcopy does not "
                         "go with");
        else if (len > POSTCOPY_PACKAGE_MAX)
                snprintf(why, 600,
                         "its device state, %zu bytes, is more than QEMU takes "
                         "in one package",
                         len);
        /* What a postcopy's end makes of any other is `running` or `paused`. */
        else if (!state || (strcmp(state, "running") != 0 &&
                            strcmp(state, "paused") != 0))
                snprintf(why, 600, "the VM was %s, which postcopy would change",
                         state ? text_escape(state, shown, sizeof shown)
                               : "in a state that is not known");
}

static bool watchable(pid_t pid, const char *path)
{
        struct statfs fs;
        char seen[4200];

        snprintf(seen, sizeof seen, "/proc/%ld/%s/%s", (long)pid,
                 path[0] == '/' ? "root" : "cwd", path);
        /* What cannot be looked at is left to QEMU. */
        if (statfs(seen, &fs) != 0)
                return true;
        return fs.f_type == TMPFS_MAGIC || fs.f_type == HUGETLBFS_MAGIC;
}

static bool ask_property(struct qmp *q, const char *id, const char *property,
                         json_t **out, struct err *err)
{
        char path[300];

        snprintf(path, sizeof path, "/objects/%s", id);
        return qmp_ask(
                q, "qom-get",
                json_pack("{s:s,s:s}", "path", path, "property", property), out,
                err);
}

bool lazy_fit_memory(struct qmp *q, pid_t pid, char why[600], struct err *err)
{
        json_auto_t *list = NULL;
        const json_t *backend;
        size_t i;

        why[0] = '\0';
        TRY(qmp_ask(q, "query-memdev", NULL, &list, err));
        json_array_foreach(list, i, backend)
        {
                json_auto_t *path = NULL;
                const char *id = json_text(backend, "id");
                char shown[300];

                if (!id)
                        continue;
                TRY(ask_property(q, id, "mem-path", &path, err));
                if (!json_string_value(path) || !pid ||
                    watchable(pid, json_string_value(path)))
                        continue;
                snprintf(why, 600,
                         "memory backend %s is a file that is neither on tmpfs "
                         "nor on hugetlbfs, so QEMU cannot wait for its pages",
                         text_escape(id, shown, sizeof shown));
        }
        return true;
}

static uint64_t page_of(const json_t *list, const char *name)
{
        const json_t *b;
        size_t i;

        json_array_foreach(list, i, b)
        {
                const char *have = json_text(b, "name");

                if (have && strcmp(have, name) == 0)
                        return (uint64_t)json_integer_value(
                                json_object_get(b, "host_page"));
        }
        return 0;
}

/* QEMU would wait for its pages, too. */
static void look_for_more(const json_t *list, const struct ram_blocks *ram,
                          char why[600])
{
        const json_t *b;
        char shown[300];
        size_t i;

        json_array_foreach(list, i, b)
        {
                const char *name = json_text(b, "name");

                if (name && ram_blocks_find(ram, name) < 0)
                        snprintf(why, 600,
                                 "the target has RAMBlock %s, the snapshot has "
                                 "not",
                                 text_escape(name, shown, sizeof shown));
        }
}

bool lazy_fit_pages(struct qmp *q, const struct ram_blocks *ram,
                    uint64_t *host_pages, char why[600], struct err *err)
{
        json_auto_t *list = NULL;

        why[0] = '\0';
        TRY(identity_ram_blocks(q, &list, err));
        look_for_more(list, ram, why);
        for (unsigned i = 0; i < ram->count; i++) {
                uint64_t size = page_of(list, ram->blocks[i].name);
                char shown[300];

                host_pages[i] = size;
                text_escape(ram->blocks[i].name, shown, sizeof shown);
                if (!size || (size & (size - 1)) != 0)
                        snprintf(why, 600,
                                 "QEMU does not tell the page size of %s",
                                 shown);
                else if (size > UNIT_SIZE_MAX)
                        snprintf(why, 600,
                                 "%s is backed by pages of %llu"
                                 " MiB; at most 2 MiB are served one by one",
                                 shown, (unsigned long long)(size / MiB));
                else if (ram->blocks[i].size % size != 0)
                        snprintf(why, 600,
                                 "%s is not whole pages of %" PRIu64 " bytes",
                                 shown, size);
        }
        return true;
}
