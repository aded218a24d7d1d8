/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Of what QEMU says only the last TEXT_BYTES count, without its warnings: it
 * warns at each start, of what has nothing to do with a load.
 */
#include "qemu/explain_private.h"

#include "base/limits.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES (16 * KiB)

/* Lines, without those that warn. */
static void without_warnings(const char *said, char out[TEXT_BYTES + 1])
{
        size_t len = strlen(said), at = 0;

        if (len > TEXT_BYTES)
                said += len - TEXT_BYTES;
        while (*said) {
                size_t n = strcspn(said, "\n");
                const char *warns = strstr(said, "warning: ");

                if (!warns || warns >= said + n) {
                        memcpy(out + at, said, n);
                        at += n;
                        out[at++] = '\n';
                }
                said += n + (said[n] == '\n');
        }
        out[at > 0 ? at - 1 : 0] = '\0';
}

static void find_device(struct explain_told *r)
{
        struct phrase p;

        if (phrase_find(r->text,
                        "error while loading state for instance %x of device "
                        "%q",
                        &p)) {
                r->instance_id = (uint32_t)p.captures[0].low;
                strcpy(r->device, p.captures[1].text);
        } else if (phrase_find(r->text,
                               "error while loading state section id %d(%w)",
                               &p)) {
                strcpy(r->device, p.captures[1].text);
        } else if (phrase_find(r->text, "Load state of device %q failed", &p)) {
                strcpy(r->device, p.captures[0].text);
        } else if (phrase_find(r->text, "Getting RAM address failed", &p)) {
                strcpy(r->device, "ram");
        }
}

/* Of the fields around what failed the innermost, told first. */
static void find_field(struct explain_told *r)
{
        struct phrase p;

        if (phrase_find(r->text, "Failed to load %w:%w", &p) &&
            !strchr(p.captures[0].text, '/'))
                snprintf(r->field, sizeof r->field, "%s:%s", p.captures[0].text,
                         p.captures[1].text);
        else if (phrase_find(r->text, "Failed to load element of type %l", &p))
                snprintf(r->field, sizeof r->field, "%s",
                         strstr(p.captures[0].text, " for ")
                                 ? strstr(p.captures[0].text, " for ") + 5
                                 : p.captures[0].text);
}

/* A mark and a letter: what stands there in the rule's words. */
static const char *value_of(const char *mark, const struct phrase *p,
                            const struct explain_told *r, char hex[24])
{
        size_t index = (size_t)(mark[1] - '1');

        if (mark[0] == '$' && mark[1] == 'f')
                return r->field[0] ? r->field : "a field";
        if (mark[1] < '1' || index >= p->count)
                return NULL;
        if (mark[0] == '$')
                return p->captures[index].text;
        snprintf(hex, 24, "0x%llx", (unsigned long long)p->captures[index].low);
        return hex;
}

static void fill(const char *words, const struct phrase *p,
                 const struct explain_told *r, char *out, size_t size)
{
        char text[2048], hex[24];
        size_t len = 0;

        while (*words && len + 1 < sizeof text) {
                const char *value = *words == '$' || *words == '#'
                                            ? value_of(words, p, r, hex)
                                            : NULL;

                if (!value) {
                        text[len++] = *words++;
                        continue;
                }
                len += (size_t)snprintf(text + len, sizeof text - len, "%s",
                                        value);
                if (len >= sizeof text)
                        len = sizeof text - 1;
                words += 2;
        }
        text[len] = '\0';
        text_escape(text, out, size);
}

static bool apply_rule(const struct explain_rule *rule,
                       const struct explain_told *r, struct explanation *out)
{
        struct phrase p;

        if (!phrase_find(r->text, rule->pattern, &p))
                return false;
        out->code = rule->code;
        if (rule->device) {
                text_escape(p.captures[rule->device - 1].text, out->device,
                            sizeof out->device);
                out->instance_id = 0;
        }
        if (rule->instance)
                out->instance_id = (uint32_t)p.captures[rule->instance - 1].low;
        fill(rule->cause, &p, r, out->cause, sizeof out->cause);
        fill(rule->remedy, &p, r, out->remedy, sizeof out->remedy);
        if (rule->refine)
                rule->refine(&p, r, out);
        return true;
}

static void say(struct explanation *out, const char *code, const char *cause,
                const char *remedy)
{
        out->code = code;
        snprintf(out->cause, sizeof out->cause, "%s", cause);
        snprintf(out->remedy, sizeof out->remedy, "%s", remedy);
}

/* No sentence told why: what the error number says.  Only a subsection that is
 * not known makes QEMU's loader answer ENOENT, and only a stream that ends
 * early EIO. */
static bool by_error(const struct explain_told *r, struct explanation *out)
{
        struct phrase p;
        const char *why = "";

        if (phrase_find(r->text, "load of migration failed: %l", &p))
                why = p.captures[0].text;
        if (strncmp(why, "Input/output error", 18) == 0) {
                say(out, "stream-damaged",
                    r->device[0] ? "the stream ends within this section"
                                 : "the stream ends before its end mark",
                    "verify the snapshot");
                return true;
        }
        if (!r->device[0])
                return false;
        if (strncmp(why, "No such file or directory", 25) == 0) {
                say(out, "subsection-unknown",
                    "it has a subsection that the target's QEMU does not know",
                    "use a QEMU at least as new as the one that saved; stasis "
                    "show names the subsections");
                return true;
        }
        say(out, "refused", "",
            "give the device the properties it had when it was saved, and the "
            "target the same machine type and QEMU version");
        fill(r->field[0] ? "the target does not accept $f, and QEMU does not "
                           "say why"
                         : "the target does not accept its state, and QEMU "
                           "does not say why",
             &p, r, out->cause, sizeof out->cause);
        return true;
}

bool explain(const char *said, const char *section, struct explanation *out)
{
        char text[TEXT_BYTES + 1];
        struct explain_told r = {.text = text};

        memset(out, 0, sizeof *out);
        out->code = "refused";
        without_warnings(said, text);
        find_device(&r);
        find_field(&r);
        text_escape(r.device[0] ? r.device : section, out->device,
                    sizeof out->device);
        out->instance_id = r.instance_id;
        for (unsigned i = 0; i < explain_rule_count; i++)
                if (apply_rule(&explain_rules[i], &r, out))
                        return true;
        return by_error(&r, out);
}
