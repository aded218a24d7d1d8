/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What devices have behind them on the host: character devices, networks,
 * sound, shared directories.  Each becomes one that reaches nowhere, under the
 * same id.
 *
 * User networking stays, since it has a section of its own in a stream, but
 * nothing of it listens on the host or starts a program.  A virtio-net device
 * is another one on a network with offloads and queues: where the twin can have
 * a network of its own, that is a tap device in it.  All other networks become
 * a hub with one port.
 */
#include "qemu/twin_private.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

/* Above those that a person would choose. */
#define FIRST_HUB 2000000000u

/* ---- character devices --------------------------------------------------- */

/* mux stays: several devices may share one. */
bool make_chardev(struct making *m, const char *name, const char *arg,
                  struct err *err)
{
        struct pairs p, out = {0};
        bool ok;

        ok = pairs_parse(arg, "backend", &p, err) &&
             pairs_add(&out, "backend", "null", err) &&
             pairs_add(&out, "id", pairs_get(&p, "id"), err) &&
             pairs_add(&out, "mux", pairs_get(&p, "mux"), err) &&
             making_pairs(m, name, &out, err);
        pairs_fini(&p);
        pairs_fini(&out);
        return ok;
}

/* -serial, -parallel and -debugcon: a back end given in place. */
bool make_line(struct making *m, const char *name, const char *arg,
               struct err *err)
{
        if (strcmp(arg, "none") != 0 && strncmp(arg, "chardev:", 8) != 0)
                arg = "null";
        return making_option(m, name, arg, err);
}

/* ---- networks ------------------------------------------------------------ */

static const char *const offloading[] = {
        "tap", "bridge", "vhost-*", "netmap", "af-xdp", "passt", NULL,
};
/* Of these, what a tap device is like in all that virtio-net sees. */
static const char *const taps[] = {"tap", "bridge", NULL};

/* guestfwd=tcp:ADDRESS:PORT-BACKEND; the address counts, since connections to
 * it may be in the state to be loaded. */
static bool add_forward(struct pairs *out, const char *value, struct err *err)
{
        CLEANUP_FREE char *text = malloc(strlen(value) + sizeof "-null");
        const char *end = strchr(value, '-');
        size_t len = end ? (size_t)(end - value) : strlen(value);

        if (!text)
                return err_nomem(err);
        memcpy(text, value, len);
        memcpy(text + len, "-null", sizeof "-null");
        return pairs_add(out, "guestfwd", text, err);
}

static bool add_forwards(const struct pairs *p, struct pairs *out,
                         struct err *err)
{
        static const char at[] = "guestfwd";

        for (size_t i = 0; i < p->count; i++) {
                const char *key = p->list[i].key;
                size_t len = strlen(key);

                /* In JSON: guestfwd.0.str. */
                if (strncmp(key, at, sizeof at - 1) != 0 || !p->list[i].value)
                        continue;
                if (len == sizeof at - 1 || strcmp(key + len - 4, ".str") == 0)
                        TRY(add_forward(out, p->list[i].value, err));
        }
        return true;
}

static bool has_network(struct making *m)
{
        if (!m->network_known && m->options->own_network)
                m->network = twin_network();
        m->network_known = true;
        return m->network != NULL;
}

static bool add_tap(const struct pairs *p, struct pairs *out, struct err *err)
{
        const char *fds = pairs_get(p, "fds");
        unsigned queues = 1;
        char text[16];

        for (; fds && *fds; fds++)
                queues += *fds == ':';
        snprintf(text, sizeof text, "%u", queues);
        return pairs_add(out, "type", "tap", err) &&
               pairs_add(out, "script", "no", err) &&
               pairs_add(out, "downscript", "no", err) &&
               pairs_add(out, "vnet_hdr", pairs_get(p, "vnet_hdr"), err) &&
               pairs_add(out, "queues",
                         queues > 1 ? text : pairs_get(p, "queues"), err);
}

static bool add_user(const struct pairs *p, struct pairs *out, struct err *err)
{
        static const char *const keys[] = {"net",  "host",     "ipv4",
                                           "ipv6", "restrict", NULL};

        TRY(pairs_add(out, "type", "user", err));
        TRY(add_forwards(p, out, err));
        for (const char *const *k = keys; *k; k++)
                TRY(pairs_add(out, *k, pairs_get(p, *k), err));
        return true;
}

static bool add_hub(struct making *m, struct pairs *out, struct err *err)
{
        char hub[16];

        snprintf(hub, sizeof hub, "%u", FIRST_HUB + m->hubs++);
        return pairs_add(out, "type", "hubport", err) &&
               pairs_add(out, "hubid", hub, err);
}

/* keys: what of the option is not the network's. */
static bool add_network(struct making *m, const struct pairs *p,
                        const char *const *keys, const char *name,
                        const char *arg, struct err *err)
{
        const char *type = pairs_get(p, "type");
        struct pairs out = {0};
        bool ok, user = !type || strcmp(type, "user") == 0;
        bool offloads = !user && making_match(offloading, type);
        bool tap = offloads && has_network(m);

        if (user)
                ok = add_user(p, &out, err);
        else
                ok = tap ? add_tap(p, &out, err) : add_hub(m, &out, err);
        for (const char *const *k = keys; ok && *k; k++)
                ok = pairs_add(&out, *k, pairs_get(p, *k), err);
        ok = ok && making_pairs(m, name, &out, err);
        pairs_fini(&out);
        if (!ok || !offloads || (tap && making_match(taps, type)))
                return ok;
        m->twin->no_offloads = true;
        return making_missing(m, name, arg, "offloads, queues", err);
}

bool make_netdev(struct making *m, const char *name, const char *arg,
                 struct err *err)
{
        static const char *const keys[] = {"id", NULL};
        struct pairs p;
        const char *type;
        bool ok = pairs_parse(arg, "type", &p, err);

        type = pairs_get(&p, "type");
        if (ok && type && strcmp(type, "hubport") == 0)
                ok = making_option(m, name, arg, err);
        else if (ok)
                ok = add_network(m, &p, keys, name, arg, err);
        pairs_fini(&p);
        return ok;
}

bool make_nic(struct making *m, const char *name, const char *arg,
              struct err *err)
{
        static const char *const keys[] = {"id", "mac", "model", NULL};
        struct pairs p;
        const char *type;
        bool ok = pairs_parse(arg, "type", &p, err);

        type = pairs_get(&p, "type");
        if (ok && type && strcmp(type, "none") == 0)
                ok = making_option(m, name, arg, err);
        else if (ok)
                ok = add_network(m, &p, keys, name, arg, err);
        pairs_fini(&p);
        return ok;
}

/* Where there was a -net there must be one, or a default card would come.  They
 * meet at a hub, which has no offloads whatever the others have. */
bool make_net(struct making *m, const char *name, const char *arg,
              struct err *err)
{
        static const char *const keys[] = {"id", "name", NULL};
        struct pairs p;
        const char *type;
        bool ok = pairs_parse(arg, "type", &p, err);

        type = pairs_get(&p, "type");
        if (ok && type && strcmp(type, "nic") == 0)
                ok = making_option(m, name, arg, err);
        else if (ok && type && strcmp(type, "user") == 0)
                ok = add_network(m, &p, keys, name, arg, err);
        else if (ok)
                ok = making_option(m, name, "none", err);
        pairs_fini(&p);
        return ok;
}

/* ---- sound, directories -------------------------------------------------- */

/* The option again with another back end, and of its keys only these. */
static bool replace(struct making *m, const char *name, const char *arg,
                    const char *implied, const char *backend,
                    const char *const *keys, struct err *err)
{
        struct pairs p, out = {0};
        bool ok;

        ok = pairs_parse(arg, implied, &p, err) &&
             pairs_add(&out, implied, backend, err);
        for (const char *const *k = keys; ok && *k; k++)
                ok = pairs_add(&out, *k, pairs_get(&p, *k), err);
        ok = ok && making_pairs(m, name, &out, err);
        pairs_fini(&p);
        pairs_fini(&out);
        return ok;
}

bool make_audiodev(struct making *m, const char *name, const char *arg,
                   struct err *err)
{
        static const char *const keys[] = {"id", NULL};

        return replace(m, name, arg, "driver", "none", keys, err);
}

bool make_audio(struct making *m, const char *name, const char *arg,
                struct err *err)
{
        static const char *const keys[] = {"id", "model", NULL};

        return replace(m, name, arg, "driver", "none", keys, err);
}

bool make_fsdev(struct making *m, const char *name, const char *arg,
                struct err *err)
{
        static const char *const keys[] = {"id", "readonly", NULL};

        return replace(m, name, arg, "fsdriver", "synth", keys, err);
}

bool make_virtfs(struct making *m, const char *name, const char *arg,
                 struct err *err)
{
        static const char *const keys[] = {"mount_tag", "id", "readonly", NULL};

        return replace(m, name, arg, "fsdriver", "synth", keys, err);
}
