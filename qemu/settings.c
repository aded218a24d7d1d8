/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * former: {"capabilities": {NAME: bool, ...}, "parameters": {NAME: value, ...},
 * "set": {"capabilities": ..., "parameters": ...}} holds what was changed and
 * nothing else: from what, and in "set" to what.
 */
#include "qemu/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "qemu/identity.h"

#define NOTE      "stasis-former-settings"
#define NOTE_PATH "/objects/" NOTE

/* Every other capability is switched off: what it would do to the stream is
 * known for none that is to come. */
static bool wanted_capability(const struct settings *s, const char *name)
{
        bool found = strcmp(name, "events") == 0;

        for (size_t i = 0; i < sizeof s->capabilities / sizeof(char *); i++)
                found |= s->capabilities[i] &&
                         strcmp(name, s->capabilities[i]) == 0;
        return found;
}

/* NULL: no memory. Parameters that this QEMU lacks are left out later. */
static json_t *wanted_parameters(const struct settings *s)
{
        json_t *p = json_pack("{s:I,s:I,s:i,s:s,s:s}", "max-bandwidth",
                              (json_int_t)s->bandwidth, "downtime-limit",
                              (json_int_t)s->downtime_ms,
                              "avail-switchover-bandwidth", 0, "tls-creds", "",
                              "mode", "normal");
        json_t *multifd = NULL;

        if (s->channels)
                multifd = json_pack("{s:i,s:s,s:i}", "multifd-channels",
                                    (int)s->channels, "multifd-compression",
                                    s->compression, "multifd-zstd-level", 1);
        if (!p || (s->channels && json_object_update(p, multifd) != 0)) {
                json_decref(p);
                p = NULL;
        }
        json_decref(multifd);
        return p;
}

static bool set_capabilities(struct qmp *q, const json_t *values,
                             struct err *err)
{
        json_auto_t *list = json_array();
        const char *name;
        json_t *value;

        json_object_foreach((json_t *)(uintptr_t)values, name, value)
        {
                json_t *c = json_pack("{s:s,s:O}", "capability", name, "state",
                                      value);

                if (!c || json_array_append_new(list, c) != 0)
                        return err_nomem(err);
        }
        return !json_array_size(list) ||
               qmp_command(q, "migrate-set-capabilities",
                           json_pack("{s:O}", "capabilities", list), NULL, NULL,
                           err);
}

bool settings_capability(struct qmp *q, const char *name, bool on,
                         struct qmp_error *qerr, struct err *err)
{
        return qmp_command(q, "migrate-set-capabilities",
                           json_pack("{s:[{s:s, s:b}]}", "capabilities",
                                     "capability", name, "state", on),
                           NULL, qerr, err);
}

static bool set_parameters(struct qmp *q, const json_t *values, struct err *err)
{
        return !json_object_size(values) ||
               qmp_command(q, "migrate-set-parameters", json_deep_copy(values),
                           NULL, NULL, err);
}

/* What is otherwise than wanted: the value now into former, the wanted one
 * into change. */
static bool differing_capabilities(struct qmp *q, const struct settings *s,
                                   json_t *former, json_t *change,
                                   struct err *err)
{
        json_auto_t *all = NULL;
        json_t *c;
        size_t i;

        TRY(qmp_command(q, "query-migrate-capabilities", NULL, &all, NULL,
                        err));
        json_array_foreach(all, i, c)
        {
                const char *name =
                        json_string_value(json_object_get(c, "capability"));
                bool on = json_is_true(json_object_get(c, "state"));

                if (!name || on == wanted_capability(s, name))
                        continue;
                if (json_object_set_new(former, name, json_boolean(on)) ||
                    json_object_set_new(change, name, json_boolean(!on)))
                        return err_nomem(err);
        }
        return true;
}

static bool differing_parameters(struct qmp *q, const struct settings *s,
                                 json_t *former, json_t *change,
                                 struct err *err)
{
        json_auto_t *all = NULL, *wanted = wanted_parameters(s);
        const char *name;
        json_t *value;

        if (!wanted)
                return err_nomem(err);
        TRY(qmp_command(q, "query-migrate-parameters", NULL, &all, NULL, err));
        json_object_foreach(wanted, name, value)
        {
                json_t *now = json_object_get(all, name);

                if (!now || json_equal(now, value))
                        continue;
                if (json_object_set(former, name, now) ||
                    json_object_set(change, name, value))
                        return err_nomem(err);
        }
        return true;
}

/* ---- the note ------------------------------------------------------------ */

static bool write_note(struct qmp *q, const json_t *former, struct err *err)
{
        CLEANUP_FREE char *text = json_dumps(former, JSON_COMPACT);
        json_auto_t *ignored = NULL;
        json_t *args;

        if (!text)
                return err_nomem(err);
        if (qmp_version_number(q) < 60000)
                args = json_pack("{s:s,s:s,s:{s:s}}", "qom-type",
                                 "authz-simple", "id", NOTE, "props",
                                 "identity", text);
        else
                args = json_pack("{s:s,s:s,s:s}", "qom-type", "authz-simple",
                                 "id", NOTE, "identity", text);
        /* A QEMU without such objects is saved without the note. */
        return qmp_ask(q, "object-add", args, &ignored, err);
}

static bool remove_note(struct qmp *q, struct err *err)
{
        json_auto_t *ignored = NULL;

        return qmp_ask(q, "object-del", json_pack("{s:s}", "id", NOTE),
                       &ignored, err);
}

static bool put_back(struct qmp *q, const json_t *former, struct err *err)
{
        bool ok = set_capabilities(q, json_object_get(former, "capabilities"),
                                   err);

        return set_parameters(q, json_object_get(former, "parameters"), err) &&
               ok;
}

bool settings_put_back(struct qmp *q, const json_t *former, struct err *err)
{
        return put_back(q, former, err) && remove_note(q, err);
}

/* What of names is no longer in now as set has it is dropped. */
static void drop_changed(json_t *names, const json_t *set, const json_t *now)
{
        const char *name;
        json_t *ignored;
        void *next;

        json_object_foreach_safe(names, next, name, ignored)
        {
                if (!json_equal(json_object_get(set, name),
                                json_object_get(now, name)))
                        json_object_del(names, name);
        }
}

static bool query_capabilities(struct qmp *q, json_t **out, struct err *err)
{
        json_auto_t *all = NULL, *map = json_object();
        json_t *c;
        size_t i;

        TRY(qmp_command(q, "query-migrate-capabilities", NULL, &all, NULL,
                        err));
        json_array_foreach(all, i, c)
        {
                const char *name =
                        json_string_value(json_object_get(c, "capability"));
                json_t *on = json_object_get(c, "state");

                if (name && json_object_set(map, name, on))
                        return err_nomem(err);
        }
        *out = json_incref(map);
        return map || err_nomem(err);
}

bool settings_know(struct qmp *q, const char *capability, bool *out,
                   struct err *err)
{
        json_auto_t *map = NULL;

        TRY(query_capabilities(q, &map, err));
        *out = json_object_get(map, capability) != NULL;
        return true;
}

/* What is no longer as the killed save had set it, somebody set since. */
static bool drop_newer(struct qmp *q, const json_t *former, struct err *err)
{
        const json_t *set = json_object_get(former, "set");
        json_auto_t *capabilities = NULL, *parameters = NULL;
        json_t *lifted;

        TRY(query_capabilities(q, &capabilities, err));
        TRY(qmp_command(q, "query-migrate-parameters", NULL, &parameters, NULL,
                        err));
        drop_changed(json_object_get(former, "capabilities"),
                     json_object_get(set, "capabilities"), capabilities);
        lifted = json_object_get(parameters, "downtime-limit");
        if (json_integer_value(lifted) == SETTINGS_AT_ONCE_MS)
                json_object_set(json_object_get(set, "parameters"),
                                "downtime-limit", lifted);
        drop_changed(json_object_get(former, "parameters"),
                     json_object_get(set, "parameters"), parameters);
        return true;
}

/* A save that was killed left its settings behind, and the note. */
static bool heed_note(struct qmp *q, struct err *err)
{
        json_auto_t *text = NULL, *former = NULL;
        struct err failed = ERR_INIT;
        char line[600];

        TRY(qmp_ask(q, "qom-get",
                    json_pack("{s:s,s:s}", "path", NOTE_PATH, "property",
                              "identity"),
                    &text, err));
        if (!text)
                return true;
        if (json_is_string(text))
                former = json_loads(json_string_value(text), 0, NULL);
        log_debug("settings", "a save before this one did not end: %s",
                  json_is_string(text) ? json_string_value(text) : "?");
        TRY(drop_newer(q, former, err));
        if (former && !put_back(q, former, &failed))
                log_warn("migration settings that an interrupted save left "
                         "could not be put back: %s",
                         err_line(&failed, line, sizeof line));
        return remove_note(q, err);
}

/* ---- applying ------------------------------------------------------------ */

static bool verify(struct qmp *q, const struct settings *s, struct err *err)
{
        json_auto_t *former = json_object(), *change = json_object();

        TRY(differing_capabilities(q, s, former, change, err));
        TRY(differing_parameters(q, s, former, change, err));
        if (json_object_size(change))
                return err_set(err, ERR_QEMU,
                               "QEMU does not keep the migration setting %s",
                               json_object_iter_key(json_object_iter(change)));
        return true;
}

/* events goes by itself, since a call that QEMU refuses for one capability
 * sets none of the others. */
static bool change_all(struct qmp *q, const struct settings *s,
                       json_t *capabilities, const json_t *parameters,
                       struct err *err)
{
        json_auto_t *events = json_object();
        json_t *value = json_object_get(capabilities, "events");

        if (value) {
                json_object_set(events, "events", value);
                json_object_del(capabilities, "events");
                TRY(set_capabilities(q, events, err));
        }
        TRY(set_capabilities(q, capabilities, err));
        TRY(set_parameters(q, parameters, err));
        return verify(q, s, err);
}

static void tell(const json_t *capabilities)
{
        const char *name;
        json_t *value;
        char shown[128];

        json_object_foreach((json_t *)(uintptr_t)capabilities, name, value)
        {
                if (!json_is_true(value))
                        continue;
                text_escape(name, shown, sizeof shown);
                if (strcmp(name, "x-ignore-shared") == 0)
                        log_warn("capability x-ignore-shared is off for this "
                                 "save: shared memory is saved as well");
                else
                        log_note("capability %s is off for this save", shown);
        }
}

/* settings_lift may change it, even if it is as wanted now. */
static bool note_downtime(struct qmp *q, json_t *former, struct err *err)
{
        json_auto_t *all = NULL;
        json_t *now;

        TRY(qmp_command(q, "query-migrate-parameters", NULL, &all, NULL, err));
        now = json_object_get(all, "downtime-limit");
        return !now || json_put(json_object_get(former, "parameters"),
                                "downtime-limit", json_incref(now), err);
}

bool settings_apply(struct qmp *q, const struct settings *wanted,
                    json_t **former_out, struct err *err)
{
        json_auto_t *capabilities = json_object();
        json_auto_t *parameters = json_object();
        json_auto_t *former = json_pack("{s:{},s:{},s:{}}", "capabilities",
                                        "parameters", "set");
        struct err ignored = ERR_INIT;

        if (!former || !capabilities || !parameters)
                return err_nomem(err);
        TRY(heed_note(q, err));
        TRY(differing_capabilities(q, wanted,
                                   json_object_get(former, "capabilities"),
                                   capabilities, err));
        TRY(differing_parameters(q, wanted,
                                 json_object_get(former, "parameters"),
                                 parameters, err));
        TRY(note_downtime(q, former, err));
        TRY(json_put(json_object_get(former, "set"), "capabilities",
                     json_deep_copy(capabilities), err));
        TRY(json_put(json_object_get(former, "set"), "parameters",
                     json_deep_copy(parameters), err));
        TRY(write_note(q, former, err));
        tell(json_object_get(former, "capabilities"));
        if (!change_all(q, wanted, capabilities, parameters, err)) {
                settings_put_back(q, former, &ignored);
                return false;
        }
        *former_out = json_incref(former);
        return true;
}

json_t *settings_lift(void)
{
        return json_pack("{s:i}", "downtime-limit", SETTINGS_AT_ONCE_MS);
}
