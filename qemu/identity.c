/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/identity.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json.h"
#include "base/limits.h"

bool qmp_ask(struct qmp *q, const char *command, json_t *arguments,
             json_t **out, struct err *err)
{
        struct err refused = ERR_INIT;
        struct qmp_error qerr;

        *out = NULL;
        if (qmp_command(q, command, arguments, out, &qerr, &refused) ||
            qerr.class[0])
                return true;
        *err = refused;
        return false;
}

bool qmp_ask_human(struct qmp *q, const char *line, json_t **out,
                   struct err *err)
{
        return qmp_ask(q, "human-monitor-command",
                       json_pack("{s:s}", "command-line", line), out, err);
}

static bool qom_get(struct qmp *q, const char *path, const char *property,
                    json_t **out, struct err *err)
{
        return qmp_ask(
                q, "qom-get",
                json_pack("{s:s,s:s}", "path", path, "property", property), out,
                err);
}

/* ---- the process --------------------------------------------------------- */

unsigned long long identity_start_time(pid_t pid)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *stat = NULL;
        unsigned long long start = 0;
        char path[64], *p;
        size_t len;

        snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
        if (!io_read_file(path, 4096, &stat, &len, &ignored))
                return 0;
        /* The second field, the name, may hold anything but ends in ')'. */
        p = strrchr(stat, ')');
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        if (p)
                sscanf(p, "%llu", &start);
        return start;
}

static bool has_thread(pid_t pid, json_int_t thread)
{
        char path[96];

        snprintf(path, sizeof path, "/proc/%ld/task/%" JSON_INTEGER_FORMAT,
                 (long)pid, thread);
        return pid > 0 && access(path, F_OK) == 0;
}

static pid_t process_of_thread(json_int_t thread)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *status = NULL;
        char path[64], *p;
        size_t len;
        long pid = 0;

        snprintf(path, sizeof path, "/proc/%" JSON_INTEGER_FORMAT "/status",
                 thread);
        if (io_read_file(path, 64 * KiB, &status, &len, &ignored) &&
            (p = strstr(status, "\nTgid:")))
                sscanf(p, "\nTgid: %ld", &pid);
        return (pid_t)pid;
}

/* An unpacked QEMU runs under its loader: the name is somewhere in argv. */
static bool looks_like_qemu(pid_t pid)
{
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *cmdline = NULL;
        char path[64];
        size_t len;

        snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
        return pid > 0 &&
               io_read_file(path, 4 * MiB, &cmdline, &len, &ignored) &&
               memmem(cmdline, len, "qemu", 4) != NULL;
}

bool identity_pid(struct qmp *q, pid_t *out, struct err *err)
{
        json_auto_t *cpus = NULL;
        pid_t peer = qmp_peer_pid(q), other;
        json_int_t thread;

        *out = 0;
        TRY(qmp_ask(q, "query-cpus-fast", NULL, &cpus, err));
        thread = json_integer_value(
                json_object_get(json_array_get(cpus, 0), "thread-id"));
        if (has_thread(peer, thread)) {
                *out = peer;
                return true;
        }
        /* The socket was made by somebody else (a management layer). */
        other = process_of_thread(thread);
        if (looks_like_qemu(other))
                *out = other;
        else if (looks_like_qemu(peer))
                *out = peer; /* its own PID namespace */
        return true;
}

/* ---- single facts -------------------------------------------------------- */

static void copy_member(const json_t *object, const char *key, char *out,
                        size_t size)
{
        const char *s = json_string_value(json_object_get(object, key));

        snprintf(out, size, "%s", s ? s : "");
}

bool identity_machine(struct qmp *q, char *out, size_t size, struct err *err)
{
        static const char suffix[] = "-machine";
        json_auto_t *type = NULL;
        const char *s;
        size_t len;

        TRY(qom_get(q, "/machine", "type", &type, err));
        s = json_string_value(type);
        snprintf(out, size, "%s", s ? s : "");
        len = strlen(out);
        if (len >= sizeof suffix - 1 &&
            strcmp(out + len - (sizeof suffix - 1), suffix) == 0)
                out[len - (sizeof suffix - 1)] = 0;
        return true;
}

bool identity_run_state(struct qmp *q, char *out, size_t size, struct err *err)
{
        json_auto_t *status = NULL;

        TRY(qmp_command(q, "query-status", NULL, &status, NULL, err));
        copy_member(status, "status", out, size);
        return true;
}

bool identity_arch(struct qmp *q, char *out, size_t size, struct err *err)
{
        json_auto_t *target = NULL;

        TRY(qmp_ask(q, "query-target", NULL, &target, err));
        copy_member(target, "arch", out, size);
        return true;
}

/* "  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000"
 * and, in newer ones, more columns. */
static bool add_block(json_t *list, const char *line, struct err *err)
{
        uint64_t offset, used, total, unit_bytes;
        char name[256], unit[16];
        unsigned page;
        json_t *block;

        if (sscanf(line,
                   " %255s %u %15s 0x%" SCNx64 " 0x%" SCNx64 " 0x%" SCNx64,
                   name, &page, unit, &offset, &used, &total) != 6)
                return true; /* the table's head */
        if (used > LIMIT_RAM_BYTES || total > LIMIT_RAM_BYTES)
                return err_set(err, ERR_LIMIT, "RAMBlock %s is too large",
                               name);
        unit_bytes = strcmp(unit, "KiB") == 0   ? KiB
                     : strcmp(unit, "MiB") == 0 ? MiB
                     : strcmp(unit, "GiB") == 0 ? GiB
                                                : 1;
        block = json_pack("{s:s,s:I,s:I,s:I}", "name", name, "used",
                          (json_int_t)used, "total", (json_int_t)total,
                          "host_page", (json_int_t)(page * unit_bytes));
        if (!block || json_array_append_new(list, block) != 0)
                return err_nomem(err);
        return true;
}

bool identity_ram_blocks(struct qmp *q, json_t **out, struct err *err)
{
        json_auto_t *answer = NULL, *list = json_array();
        CLEANUP_FREE char *text = NULL;
        const char *s;
        char *rest, *line;

        *out = NULL;
        TRY(qmp_ask(q, "x-query-ramblock", NULL, &answer, err));
        s = json_string_value(json_object_get(answer, "human-readable-text"));
        if (!s) { /* before QEMU 6.2 */
                json_decref(answer);
                answer = NULL;
                TRY(qmp_ask_human(q, "info ramblock", &answer, err));
                s = json_string_value(answer);
        }
        if (!s)
                return true;
        text = strdup(s);
        if (!text || !list)
                return err_nomem(err);
        rest = text;
        while ((line = strsep(&rest, "\r\n")))
                TRY(add_block(list, line, err));
        if (json_array_size(list))
                *out = json_incref(list);
        return true;
}

/* ---- the description ----------------------------------------------------- */

static bool describe_argv(pid_t pid, json_t *vm, struct err *err)
{
        unsigned long long before = identity_start_time(pid);
        struct err ignored = ERR_INIT;
        CLEANUP_FREE char *cmdline = NULL;
        json_auto_t *argv = json_array();
        char path[64];
        size_t len;

        snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
        if (!pid || !io_read_file(path, 4 * MiB, &cmdline, &len, &ignored))
                return true;
        for (size_t at = 0; at < len; at += strlen(cmdline + at) + 1) {
                /* NULL where it is not UTF-8. */
                json_t *arg = json_string(cmdline + at);

                if (!arg)
                        return true;
                if (json_array_append_new(argv, arg) != 0)
                        return err_nomem(err);
        }
        /* The process that was asked, not another with its number. */
        if (before && before == identity_start_time(pid))
                return json_put(vm, "argv", json_incref(argv), err);
        return true;
}

static bool describe_vm(struct qmp *q, pid_t pid, json_t *manifest,
                        struct err *err)
{
        static const char unset[] = "00000000-0000-0000-0000-000000000000";
        json_auto_t *name = NULL, *uuid = NULL;
        json_auto_t *vm = json_object();
        char text[256];

        TRY(qmp_ask(q, "query-name", NULL, &name, err));
        copy_member(name, "name", text, sizeof text);
        if (text[0])
                TRY(json_put(vm, "name", json_string(text), err));
        TRY(qmp_ask(q, "query-uuid", NULL, &uuid, err));
        copy_member(uuid, "UUID", text, sizeof text);
        if (text[0] && strcmp(text, unset) != 0)
                TRY(json_put(vm, "uuid", json_string(text), err));
        TRY(describe_argv(pid, vm, err));
        return json_put(manifest, "vm", json_incref(vm), err);
}

bool identity_package(struct qmp *q, char *out, size_t size, struct err *err)
{
        json_auto_t *version = NULL;

        TRY(qmp_ask(q, "query-version", NULL, &version, err));
        copy_member(version, "package", out, size);
        return true;
}

static bool describe_qemu(struct qmp *q, json_t *manifest, struct err *err)
{
        json_auto_t *qemu = json_object();
        char text[256];

        TRY(json_put(qemu, "version", json_string(qmp_version(q)), err));
        TRY(identity_package(q, text, sizeof text, err));
        if (text[0])
                TRY(json_put(qemu, "package", json_string(text), err));
        TRY(identity_arch(q, text, sizeof text, err));
        if (text[0])
                TRY(json_put(qemu, "arch", json_string(text), err));
        return json_put(manifest, "qemu", json_incref(qemu), err);
}

static bool describe_accelerator(struct qmp *q, json_t *manifest,
                                 struct err *err)
{
        json_auto_t *all = NULL, *kvm = NULL;
        const char *name;

        TRY(qmp_ask(q, "query-accelerators", NULL, &all, err));
        name = json_string_value(json_object_get(all, "enabled"));
        if (!name) { /* before QEMU 10.2 */
                TRY(qmp_ask(q, "query-kvm", NULL, &kvm, err));
                name = json_is_true(json_object_get(kvm, "enabled")) ? "kvm"
                                                                     : "tcg";
        }
        return json_put(manifest, "accelerator", json_string(name), err);
}

/* "qemu64-x86_64-cpu" is model "qemu64". */
static void cut_model(char *type, const char *arch)
{
        char suffix[96];
        size_t len = strlen(type), n;

        snprintf(suffix, sizeof suffix, "-%s-cpu", arch);
        n = strlen(suffix);
        if (len > n && strcmp(type + len - n, suffix) == 0)
                type[len - n] = 0;
}

/* Features that x86 sets by the topology when the CPU is made, whatever its
 * model says. */
static bool is_topology(const char *name)
{
        return strcmp(name, "ht") == 0 || strcmp(name, "cmp-legacy") == 0 ||
               strcmp(name, "cmp_legacy") == 0;
}

/* What a model has and this host or accelerator cannot give is taken away from
 * the CPU, and x86 tells what that was. */
enum filter { FILTER_UNKNOWN, FILTER_TOOK_NONE, FILTER_TOOK_SOME };

static bool ask_filter(struct qmp *q, const char *path, enum filter *out,
                       struct err *err)
{
        json_auto_t *words = NULL;
        const json_t *word;
        size_t i;

        TRY(qom_get(q, path, "filtered-features", &words, err));
        *out = words ? FILTER_TOOK_NONE : FILTER_UNKNOWN;
        json_array_foreach(words, i, word)
        {
                if (json_integer_value(json_object_get(word, "features")) != 0)
                        *out = FILTER_TOOK_SOME;
        }
        return true;
}

/* Each question costs QEMU a third of a millisecond, and there are 400
 * properties: only those are asked for that the model's expansion (which knows
 * what -cpu added) leaves open. */
static bool has_feature(struct qmp *q, const char *path, const char *name,
                        const json_t *expanded, enum filter filter,
                        bool *has_out, struct err *err)
{
        json_auto_t *value = NULL;

        *has_out = json_is_true(expanded);
        if (!json_is_boolean(expanded) || strcmp(name, "realized") == 0) {
                *has_out = false;
                return true;
        }
        if (filter != FILTER_UNKNOWN && !is_topology(name) &&
            (!*has_out || filter == FILTER_TOOK_NONE))
                return true;
        TRY(qom_get(q, path, name, &value, err));
        *has_out = json_is_true(value);
        return true;
}

static bool describe_features(struct qmp *q, const char *model,
                              const char *path, json_t *cpu, struct err *err)
{
        json_auto_t *expansion = NULL, *features = json_array();
        json_t *props, *expanded;
        enum filter filter;
        const char *name;

        TRY(qmp_ask(q, "query-cpu-model-expansion",
                    json_pack("{s:s,s:{s:s}}", "type", "full", "model", "name",
                              model),
                    &expansion, err));
        props = json_object_get(json_object_get(expansion, "model"), "props");
        if (!props)
                return true;
        TRY(ask_filter(q, path, &filter, err));
        json_object_foreach(props, name, expanded)
        {
                bool has;

                TRY(has_feature(q, path, name, expanded, filter, &has, err));
                if (has &&
                    json_array_append_new(features, json_string(name)) != 0)
                        return err_nomem(err);
        }
        return json_put(cpu, "features", json_incref(features), err);
}

static bool describe_cpu(struct qmp *q, json_t *manifest, struct err *err)
{
        json_auto_t *cpus = NULL, *type = NULL;
        json_auto_t *cpu = json_object();
        char model[256], arch[64];
        const char *path;

        TRY(qmp_ask(q, "query-cpus-fast", NULL, &cpus, err));
        path = json_string_value(
                json_object_get(json_array_get(cpus, 0), "qom-path"));
        if (!path)
                return true;
        TRY(json_put(cpu, "count",
                     json_integer((json_int_t)json_array_size(cpus)), err));
        TRY(qom_get(q, path, "type", &type, err));
        if (json_is_string(type)) {
                TRY(identity_arch(q, arch, sizeof arch, err));
                snprintf(model, sizeof model, "%s", json_string_value(type));
                cut_model(model, arch);
                TRY(json_put(cpu, "model", json_string(model), err));
                TRY(describe_features(q, model, path, cpu, err));
        }
        return json_put(manifest, "cpu", json_incref(cpu), err);
}

static bool add_devices(struct qmp *q, const char *path, bool named,
                        json_t *list, struct err *err)
{
        json_auto_t *children = NULL;
        json_t *child;
        size_t i;

        TRY(qmp_ask(q, "qom-list", json_pack("{s:s}", "path", path), &children,
                    err));
        json_array_foreach(children, i, child)
        {
                char type[256], name[256];
                json_t *device;

                copy_member(child, "type", type, sizeof type);
                copy_member(child, "name", name, sizeof name);
                if (strncmp(type, "child<", 6) != 0)
                        continue;
                type[strlen(type) - 1] = 0;
                device = json_pack("{s:s}", "type", type + 6);
                if (!device || json_array_append_new(list, device) != 0)
                        return err_nomem(err);
                if (named)
                        TRY(json_put(device, "id", json_string(name), err));
        }
        return true;
}

static bool describe_devices(struct qmp *q, json_t *manifest, struct err *err)
{
        json_auto_t *list = json_array();

        TRY(add_devices(q, "/machine/peripheral", true, list, err));
        TRY(add_devices(q, "/machine/peripheral-anon", false, list, err));
        return json_put(manifest, "devices", json_incref(list), err);
}

static bool describe_memory(struct qmp *q, json_t *manifest, struct err *err)
{
        json_auto_t *backends = NULL, *list = json_array();
        json_t *backend;
        size_t i;

        TRY(qmp_ask(q, "query-memdev", NULL, &backends, err));
        json_array_foreach(backends, i, backend)
        {
                json_auto_t *type = NULL, *entry = NULL;
                const char *id =
                        json_string_value(json_object_get(backend, "id"));
                char path[300];

                if (!id)
                        continue;
                snprintf(path, sizeof path, "/objects/%s", id);
                TRY(qom_get(q, path, "type", &type, err));
                entry = json_pack(
                        "{s:s,s:O?,s:b,s:O?}", "id", id, "size",
                        json_object_get(backend, "size"), "share",
                        json_is_true(json_object_get(backend, "share")), "type",
                        type);
                if (!entry || json_array_append(list, entry) != 0)
                        return err_nomem(err);
        }
        return json_put(manifest, "memory", json_incref(list), err);
}

bool identity_describe(struct qmp *q, pid_t pid, json_t *manifest,
                       struct err *err)
{
        json_auto_t *machine = NULL;
        char text[256];

        TRY(describe_vm(q, pid, manifest, err));
        TRY(describe_qemu(q, manifest, err));
        TRY(identity_machine(q, text, sizeof text, err));
        if (text[0]) {
                machine = json_pack("{s:s}", "type", text);
                TRY(json_put(manifest, "machine", json_incref(machine), err));
        }
        TRY(describe_accelerator(q, manifest, err));
        TRY(describe_cpu(q, manifest, err));
        TRY(describe_memory(q, manifest, err));
        TRY(describe_devices(q, manifest, err));
        TRY(identity_run_state(q, text, sizeof text, err));
        return json_put(manifest, "run_state", json_string(text), err);
}
