/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What manifest and state say of the two VMs.
 *
 * Objects are compared key by key, images of a chain one by one, disks by
 * name; of other lists, those that only one has are told (their order says
 * nothing), of the command line what is between the words that both begin and
 * end with.
 */
#include "restore/diff_private.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "qemu/redact.h"

#include <stdio.h>
#include <string.h>

/* Comparing lists costs the product of their lengths. */
#define LIST_COST_MAX 16000000
/* Objects within objects; ours are 4 deep. */
#define DEPTH_MAX 32

/* What matters most comes first. */
static const char *const first[] = {
        "machine", "qemu",    "accelerator", "cpu",       "target_page_size",
        "memory",  "devices", "vm",          "run_state",
};

/* How the file came to be and is kept, and what is told better elsewhere: RAM
 * and devices by what the stream has, disks by the state at the cut. */
static const char *const ignored[] = {
        "format", "features", "writer", "created",
        "id",     "source",   "disks",  "ram_blocks",
};

static const char *const ignored_state[] = {
        "devices",
        "section_footers",
        "section_split",
        "totals",
};

struct walk {
        struct diff *d;
        char path[512];
        unsigned depth;
};

static bool compare(struct walk *w, const json_t *a, const json_t *b,
                    struct err *err);

static bool tell(struct walk *w, const json_t *a, const json_t *b,
                 struct err *err)
{
        struct difference difference = {
                .kind = DIFFERENCE_CONFIG,
                .path = w->path,
                .value = {a, b},
        };

        return diff_tell(w->d, &difference, err);
}

/* One level down; a path that is cut is cut in messages only. */
static bool child(struct walk *w, const char *before, const char *name,
                  const char *behind, const json_t *a, const json_t *b,
                  struct err *err)
{
        size_t mark = strlen(w->path);
        bool ok;

        snprintf(w->path + mark, sizeof w->path - mark, "%s%s%s",
                 mark ? before : "", name, behind);
        ok = compare(w, a, b, err);
        w->path[mark] = '\0';
        return ok;
}

static bool compare_objects(struct walk *w, const json_t *a, const json_t *b,
                            struct err *err)
{
        const char *key;
        json_t *value;

        json_object_foreach((json_t *)a, key, value) TRY(
                child(w, ".", key, "", value, json_object_get(b, key), err));
        json_object_foreach((json_t *)b, key, value)
        {
                if (!json_object_get(a, key))
                        TRY(child(w, ".", key, "", NULL, value, err));
        }
        return true;
}

static bool by_index(struct walk *w, const json_t *a, const json_t *b,
                     struct err *err)
{
        size_t i, n = json_array_size(a);
        char name[24];

        if (n < json_array_size(b))
                n = json_array_size(b);
        for (i = 0; i < n; i++) {
                snprintf(name, sizeof name, "%zu", i);
                TRY(child(w, "[", name, "]", json_array_get(a, i),
                          json_array_get(b, i), err));
        }
        return true;
}

static const char *disk_name(const json_t *disk)
{
        static const char *const keys[] = {"name", "device", "node"};

        for (size_t i = 0; i < 3; i++)
                if (json_word(disk, keys[i])[0])
                        return json_word(disk, keys[i]);
        return "";
}

static const json_t *find_disk(const json_t *disks, const char *name)
{
        size_t i;
        json_t *disk;

        json_array_foreach(disks, i, disk)
        {
                if (strcmp(disk_name(disk), name) == 0)
                        return disk;
        }
        return NULL;
}

static bool by_name(struct walk *w, const json_t *a, const json_t *b,
                    struct err *err)
{
        json_t *disk;
        size_t i;

        json_array_foreach(a, i, disk)
        {
                const char *name = disk_name(disk);

                TRY(child(w, "[", name, "]", disk, find_disk(b, name), err));
        }
        json_array_foreach(b, i, disk)
        {
                if (!find_disk(a, disk_name(disk)))
                        TRY(child(w, "[", disk_name(disk), "]", NULL, disk,
                                  err));
        }
        return true;
}

/* The elements of a that b lacks, equal ones counted. NULL: no memory. */
static json_t *only_in(const json_t *a, const json_t *b)
{
        json_t *rest = json_copy((json_t *)b), *out = json_array(), *value;
        bool ok = rest && out;
        size_t i;

        for (i = 0; ok && i < json_array_size(a); i++) {
                size_t k = 0;

                value = json_array_get(a, i);
                while (k < json_array_size(rest) &&
                       !json_equal(value, json_array_get(rest, k)))
                        k++;
                if (k < json_array_size(rest))
                        json_array_remove(rest, k);
                else
                        ok = json_array_append(out, value) == 0;
        }
        json_decref(rest);
        if (!ok) {
                json_decref(out);
                return NULL;
        }
        return out;
}

static bool as_sets(struct walk *w, const json_t *a, const json_t *b,
                    struct err *err)
{
        json_auto_t *only_a = NULL, *only_b = NULL;
        size_t n = json_array_size(a), m = json_array_size(b);

        if (m && n > LIST_COST_MAX / m)
                return tell(w, a, b, err);
        only_a = only_in(a, b);
        only_b = only_in(b, a);
        if (!only_a || !only_b)
                return err_nomem(err);
        /* The same in another order. */
        if (json_array_size(only_a) == 0 && json_array_size(only_b) == 0)
                return true;
        return tell(w, json_array_size(only_a) ? only_a : NULL,
                    json_array_size(only_b) ? only_b : NULL, err);
}

/* Words begin to end of a list, fit to be shown. */
static json_t *words(const json_t *list, size_t begin, size_t end)
{
        json_t *copy = json_deep_copy(list), *out = json_array();

        if (!copy || !out || !redact_argv(copy)) {
                json_decref(copy);
                json_decref(out);
                return NULL;
        }
        for (size_t i = begin; i < end; i++)
                json_array_append(out, json_array_get(copy, i));
        json_decref(copy);
        return out;
}

static bool compare_argv(struct walk *w, const json_t *a, const json_t *b,
                         struct err *err)
{
        size_t n = json_array_size(a), m = json_array_size(b), begin = 0;
        json_auto_t *in_a = NULL, *in_b = NULL;

        while (begin < n && begin < m &&
               json_equal(json_array_get(a, begin), json_array_get(b, begin)))
                begin++;
        while (n > begin && m > begin &&
               json_equal(json_array_get(a, n - 1), json_array_get(b, m - 1))) {
                n--;
                m--;
        }
        if (n == begin && m == begin)
                return true;
        /* Not a list of words: that they differ is all there is to say. */
        in_a = words(a, begin, n);
        in_b = words(b, begin, m);
        return tell(w, n > begin ? in_a : NULL, m > begin ? in_b : NULL, err);
}

static bool ends_in(const char *s, const char *end)
{
        size_t len = strlen(s), n = strlen(end);

        return len >= n && strcmp(s + len - n, end) == 0;
}

static bool compare_lists(struct walk *w, const json_t *a, const json_t *b,
                          struct err *err)
{
        if (ends_in(w->path, "disks"))
                return by_name(w, a, b, err);
        if (ends_in(w->path, ".chain"))
                return by_index(w, a, b, err);
        return as_sets(w, a, b, err);
}

/* QEMU makes up names for nodes without one, others in each process. */
static bool made_up(const struct walk *w, const json_t *a, const json_t *b)
{
        const char *name_a = json_string_value(a),
                   *name_b = json_string_value(b);

        return ends_in(w->path, ".node") && name_a && name_b &&
               name_a[0] == '#' && name_b[0] == '#';
}

static bool compare(struct walk *w, const json_t *a, const json_t *b,
                    struct err *err)
{
        bool ok;

        if (a == b || json_equal(a, b) || made_up(w, a, b))
                return true;
        /* A whole command line may hold secrets. */
        if (strcmp(w->path, "vm.argv") == 0)
                return compare_argv(w, a, b, err);
        if (w->depth == DEPTH_MAX)
                return tell(w, a, b, err);
        w->depth++;
        if (json_is_object(a) && json_is_object(b))
                ok = compare_objects(w, a, b, err);
        else if (strcmp(w->path, "vm") == 0)
                ok = compare_objects(w, a, b, err);
        else if (json_is_array(a) && json_is_array(b))
                ok = compare_lists(w, a, b, err);
        else
                ok = tell(w, a, b, err);
        w->depth--;
        return ok;
}

static bool is_among(const char *key, const char *const *list, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(list[i], key) == 0)
                        return true;
        return false;
}

#define AMONG(key, list) is_among(key, list, sizeof(list) / sizeof *(list))

static bool compare_manifests(struct walk *w, const json_t *a, const json_t *b,
                              struct err *err)
{
        const char *key;
        json_t *value;

        for (size_t i = 0; i < sizeof first / sizeof *first; i++)
                TRY(child(w, "", first[i], "", json_object_get(a, first[i]),
                          json_object_get(b, first[i]), err));
        json_object_foreach((json_t *)a, key, value)
        {
                if (!AMONG(key, first) && !AMONG(key, ignored))
                        TRY(child(w, "", key, "", value,
                                  json_object_get(b, key), err));
        }
        json_object_foreach((json_t *)b, key, value)
        {
                if (!AMONG(key, first) && !AMONG(key, ignored) &&
                    !json_object_get(a, key))
                        TRY(child(w, "", key, "", NULL, value, err));
        }
        return true;
}

static bool compare_states(struct walk *w, const json_t *a, const json_t *b,
                           struct err *err)
{
        json_auto_t *left = json_copy((json_t *)a);
        json_auto_t *right = json_copy((json_t *)b);

        if (!left || !right)
                return err_nomem(err);
        for (size_t i = 0; i < sizeof ignored_state / sizeof *ignored_state;
             i++) {
                json_object_del(left, ignored_state[i]);
                json_object_del(right, ignored_state[i]);
        }
        return child(w, "", "state", "", left, right, err);
}

bool diff_config(struct diff *d, struct err *err)
{
        struct walk w = {.d = d};

        return compare_manifests(&w, d->state[0].manifest, d->state[1].manifest,
                                 err) &&
               compare_states(&w, d->state[0].state, d->state[1].state, err);
}
