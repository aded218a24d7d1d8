/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices stay, but for those that are the host's own, and objects stay when
 * they touch nothing.  What is taken out leaves a place: the devices after it
 * would get other addresses.
 */
#include "qemu/twin_private.h"

#include "base/cleanup.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- devices ------------------------------------------------------------- */

/* Passed through, or with their state in another process. */
static const char *const hosts_own[] = {
        "vfio-*",
        "vhost-*",
        "tpm-*",
        "usb-host",
        "usb-mtp",
        "scsi-generic",
        "scsi-block",
        "ivshmem-doorbell",
        "pvrdma",
        "ccid-card-*",
        "u2f-*",
        "virtio-input-host*",
        "virtio-gpu-gl*",
        "virtio-gpu-rutabaga*",
        "virtio-vga-gl",
        "virtio-vga-rutabaga",
        "xen-*",
        "x-pci-proxy-dev",
        "pci-assign",
        "kvm-pci-assign",
        NULL,
};

/* Only put a file into RAM, which a twin neither runs nor is asked for; they
 * have no state, and may cost as much time as all else. */
static const char *const fillers[] = {"loader", "guest-loader", NULL};

/* Of these the ones that a default graphics card gives way to. */
static const char *const replaces_vga[] = {
        "vhost-user-vga",
        "virtio-vga-gl",
        NULL,
};

/* Those that would open the host's sound when no back end is named. */
static const char *const sounding[] = {
        "AC97",
        "ES1370",
        "adlib",
        "asc",
        "cs4231a",
        "gus",
        "hda-duplex",
        "hda-micro",
        "hda-output",
        "sb16",
        "usb-audio",
        "virtio-sound",
        "virtio-sound-pci",
        "virtio-sound-device",
        NULL,
};

static bool is_pci(const char *driver)
{
        static const char *const others[] = {
                "ivshmem-doorbell", "pvrdma",         "virtio-vga-*",
                "vhost-user-vga",   "vfio-pci*",      "x-pci-proxy-dev",
                "pci-assign",       "kvm-pci-assign", NULL};
        size_t n = strlen(driver);

        return making_match(others, driver) ||
               (n > 4 && strcmp(driver + n - 4, "-pci") == 0);
}

/* A function without state takes the address that QEMU would have chosen. */
static bool take_out(struct making *m, const char *name, const char *arg,
                     const struct pairs *p, struct err *err)
{
        const char *driver = pairs_get(p, "driver");
        struct pairs out = {0};
        bool ok = making_missing(m, name, arg, NULL, err);

        if (ok && making_match(replaces_vga, driver) && !making_has(m, "vga") &&
            !making_has(m, "nodefaults"))
                ok = making_option(m, "vga", "none", err);
        if (!ok || !is_pci(driver) || pairs_get(p, "addr"))
                return ok;
        ok = pairs_add(&out, "driver", "pci-testdev", err) &&
             pairs_add(&out, "id", pairs_get(p, "id"), err) &&
             pairs_add(&out, "bus", pairs_get(p, "bus"), err) &&
             making_pairs(m, name, &out, err);
        pairs_fini(&out);
        return ok;
}

static bool name_audio(struct making *m, const char *name, const char *arg,
                       struct err *err)
{
        json_auto_t *json = NULL;
        CLEANUP_FREE char *text = NULL;

        m->audio = true;
        if (arg[0] != '{') {
                if (asprintf(&text, "%s,audiodev=" TWIN_AUDIO, arg) < 0)
                        return err_nomem(err);
                return making_option(m, name, text, err);
        }
        json = json_loads(arg, 0, NULL);
        if (json_object_set_new(json, "audiodev", json_string(TWIN_AUDIO)) != 0)
                return err_nomem(err);
        text = json_dumps(json, JSON_COMPACT);
        return text ? making_option(m, name, text, err) : err_nomem(err);
}

bool make_device(struct making *m, const char *name, const char *arg,
                 struct err *err)
{
        const char *driver = NULL;
        struct pairs p;
        bool ok = pairs_parse(arg, "driver", &p, err);

        if (ok)
                driver = pairs_get(&p, "driver");
        if (ok && !driver)
                ok = err_set(err, ERR_MISMATCH, "it has no driver");
        else if (ok && making_match(fillers, driver))
                ; /* nothing takes its place */
        else if (ok && making_match(hosts_own, driver))
                ok = take_out(m, name, arg, &p, err);
        else if (ok && making_match(sounding, driver) &&
                 !pairs_get(&p, "audiodev"))
                ok = name_audio(m, name, arg, err);
        else if (ok)
                ok = making_option(m, name, arg, err);
        pairs_fini(&p);
        return ok;
}

bool make_usbdevice(struct making *m, const char *name, const char *arg,
                    struct err *err)
{
        static const char *const known[] = {"mouse", "tablet", "keyboard",
                                            "wacom-tablet", NULL};

        if (making_match(known, arg))
                return making_option(m, name, arg, err);
        /* Its controller stays. */
        return making_missing(m, name, arg, NULL, err) &&
               making_option(m, "usb", NULL, err);
}

/* Up to QEMU 7.0; there the first -audiodev serves whoever names none. */
bool make_soundhw(struct making *m, const char *name, const char *arg,
                  struct err *err)
{
        m->audio = true;
        return making_option(m, name, arg, err);
}

/* ---- objects ------------------------------------------------------------- */

static const char *const harmless[] = {
        "acpi-generic-initiator",
        "acpi-generic-port",
        "can-bus",
        "iothread",
        "main-loop",
        "rng-builtin",
        "thread-context",
        "throttle-group",
        "tls-cipher-suites",
        NULL,
};

/* What only serves back ends, monitors and displays; and other outlets. */
static const char *const outlets[] = {
        "authz-*",
        "can-host-socketcan",
        "colo-compare",
        "filter-*",
        "input-linux",
        "input-barrier",
        "iommufd",
        "monitor-*",
        "secret",
        "secret_keyring",
        "tls-creds-*",
        "qtest",
        "pr-manager-helper",
        NULL,
};

/*
 * Up to machine types of version 3.1, memory in files has RAMBlocks that are
 * named after the whole path of the object, and memory that is not, has not.
 */
static bool has_long_names(const struct making *m, const char *type)
{
        unsigned major, minor;

        if (strcmp(type, "memory-backend-ram") == 0)
                return false;
        for (char *const *w = m->words; w[0] && w[1]; w++) {
                const char *dash;

                if (strcmp(w[0], "-machine") != 0 && strcmp(w[0], "-M") != 0)
                        continue;
                dash = strchr(w[1], '-');
                for (; dash; dash = strchr(dash + 1, '-'))
                        if (sscanf(dash, "-%u.%u", &major, &minor) == 2)
                                return major < 4;
        }
        return false;
}

static bool make_memory(struct making *m, const struct pairs *p,
                        struct err *err)
{
        static const char long_names[] = "x-use-canonical-path-for-ramblock-id";
        static const char *const keys[] = {"id",       "size",  "merge",
                                           "dump",     "share", "reserve",
                                           long_names, NULL};
        struct pairs out = {0};
        bool ok = pairs_add(&out, "qom-type", "memory-backend-ram", err);

        for (const char *const *k = keys; ok && *k; k++)
                ok = pairs_add(&out, *k, pairs_get(p, *k), err);
        if (ok && !pairs_get(p, long_names) &&
            has_long_names(m, pairs_get(p, "qom-type")))
                ok = pairs_add(&out, long_names, "on", err);
        ok = ok && making_pairs(m, "object", &out, err);
        pairs_fini(&out);
        return ok;
}

static bool make_other(struct making *m, const char *type,
                       const struct pairs *p, struct err *err)
{
        struct pairs out = {0};
        bool ok;

        ok = pairs_add(&out, "qom-type", type, err) &&
             pairs_add(&out, "id", pairs_get(p, "id"), err) &&
             pairs_add(&out, "queues", pairs_get(p, "queues"), err) &&
             making_pairs(m, "object", &out, err);
        pairs_fini(&out);
        return ok;
}

static bool make_typed(struct making *m, const char *type,
                       const struct pairs *p, const char *arg, struct err *err)
{
        static const char *const memory[] = {
                "memory-backend-ram", "memory-backend-file",
                "memory-backend-memfd", "memory-backend-shm", NULL};
        static const char *const random[] = {"rng-random", "rng-egd", NULL};
        static const char *const crypto[] = {"cryptodev-*", NULL};

        if (making_match(harmless, type))
                return making_option(m, "object", arg, err);
        if (making_match(outlets, type))
                return true;
        if (making_match(memory, type))
                return make_memory(m, p, err);
        if (making_match(random, type))
                return make_other(m, "rng-builtin", p, err);
        if (making_match(crypto, type))
                return make_other(m, "cryptodev-backend-builtin", p, err);
        if (strcmp(type, "dbus-vmstate") == 0)
                return making_missing(m, "object", arg, NULL, err);
        return err_set(err, ERR_MISMATCH,
                       "a twin cannot have an object of this type");
}

bool make_object(struct making *m, const char *name, const char *arg,
                 struct err *err)
{
        const char *type;
        struct pairs p;
        bool ok = pairs_parse(arg, "qom-type", &p, err);

        type = ok ? pairs_get(&p, "qom-type") : NULL;
        if (ok && !type)
                ok = err_set(err, ERR_MISMATCH, "it has no type");
        ok = ok && make_typed(m, type, &p, arg, err);
        pairs_fini(&p);
        (void)name;
        return ok;
}
