/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parsing; what is shown of a table is in options_show.c. */
#include "base/options.h"

#include <assert.h>
#include <string.h>

static const struct option *find(const struct command *c, const char *name,
                                 size_t len)
{
        for (const struct option *o = c->options; o && o->name; o++)
                if (strlen(o->name) == len && !memcmp(o->name, name, len))
                        return o;
        return NULL;
}

static bool is_word(const char *words, const char *value)
{
        size_t len = strlen(value);

        for (const char *p = words; *p;) {
                size_t n = strcspn(p, " ");

                if (n == len && !memcmp(p, value, n))
                        return true;
                p += n + (p[n] == ' ');
        }
        return false;
}

/* Decimal digits only: strtoul would take signs, spaces and 0x. */
static bool number(const struct option *o, const char *value, unsigned min,
                   unsigned max, unsigned *out, struct err *err)
{
        unsigned long long n = 0;
        size_t len = strlen(value);

        if (len > 0 && len <= 10 && strspn(value, "0123456789") == len)
                for (const char *p = value; *p; p++)
                        n = n * 10 + (unsigned)(*p - '0');
        else
                n = ~0ULL;
        if (n < min || n > max)
                return err_set(err, ERR_USAGE,
                               "--%s: '%s' is not a number from %u to %u",
                               o->name, value, min, max);
        *out = (unsigned)n;
        return true;
}

static bool add_to_list(const struct option *o, struct option_list *list,
                        const char *value, struct err *err)
{
        if (list->count == sizeof list->items / sizeof *list->items)
                return err_set(err, ERR_USAGE, "--%s: given too often",
                               o->name);
        list->items[list->count++] = value;
        return true;
}

static bool store(const struct option *o, const char *value, void *dest,
                  struct err *err)
{
        void *at = (char *)dest + o->offset;
        unsigned n;

        if (o->words && !is_word(o->words, value) &&
            (o->kind != OPTION_CHOICE || *value))
                return err_set(err, ERR_USAGE, "--%s: '%s' is not one of: %s",
                               o->name, value, o->words);
        switch (o->kind) {
        case OPTION_FLAG:
                *(bool *)at = true;
                break;
        case OPTION_STRING:
        case OPTION_FILE:
        case OPTION_DIR:
        case OPTION_CHOICE:
                *(const char **)at = value;
                break;
        case OPTION_COUNT:
                return number(o, value, o->min, o->max, at, err);
        case OPTION_FD:
                TRY(number(o, value, 0, 1048576, &n, err));
                *(int *)at = (int)n;
                break;
        case OPTION_LIST:
                return add_to_list(o, at, value, err);
        }
        return true;
}

struct parse {
        const struct command *command;
        char **argv;
        int argc, i;
        void *dest;
        struct err *err;
};

static bool parse_option(struct parse *p)
{
        const char *name = p->argv[p->i] + 2, *value = strchr(name, '=');
        size_t len = value ? (size_t)(value - name) : strlen(name);
        const struct option *o = find(p->command, name, len);

        if (!o)
                return err_set(p->err, ERR_USAGE,
                               "unknown option '--%.*s'; "
                               "'stasis %s --help' lists them",
                               (int)len, name, p->command->name);
        if (value)
                value++;
        if (o->kind == OPTION_FLAG) {
                if (value)
                        return err_set(p->err, ERR_USAGE, "--%s takes no value",
                                       o->name);
        } else if (o->kind == OPTION_CHOICE) {
                if (!value)
                        value = "";
                else if (!*value)
                        return err_set(p->err, ERR_USAGE,
                                       "--%s= needs a value: %s", o->name,
                                       o->value);
        } else if (!value) {
                if (p->i + 1 == p->argc)
                        return err_set(p->err, ERR_USAGE,
                                       "--%s needs a value: %s", o->name,
                                       o->value);
                value = p->argv[++p->i];
        }
        return store(o, value, p->dest, p->err);
}

static bool add_operand(struct parse *p, struct operands *operands)
{
        const struct command *c = p->command;

        assert(c->operands_max <=
               sizeof operands->items / sizeof *operands->items);
        if (operands->count == c->operands_max)
                return err_set(p->err, ERR_USAGE,
                               "unexpected '%s'; usage: stasis %s %s",
                               p->argv[p->i], c->name, c->usage);
        operands->items[operands->count++] = p->argv[p->i];
        return true;
}

/* What follows `--`: a command, or operands that may begin with '-'. */
static bool parse_rest(struct parse *p, struct operands *operands)
{
        p->i++;
        if (p->command->takes_command) {
                if (p->i == p->argc)
                        return err_set(p->err, ERR_USAGE,
                                       "no command behind '--'");
                operands->command = p->argv + p->i;
                return true;
        }
        for (; p->i < p->argc; p->i++)
                TRY(add_operand(p, operands));
        return true;
}

static bool parse_all(struct parse *p, struct operands *operands)
{
        const struct command *c = p->command;

        for (p->i = 1; p->i < p->argc; p->i++) {
                const char *arg = p->argv[p->i];

                if (!strcmp(arg, "--")) {
                        TRY(parse_rest(p, operands));
                        break;
                }
                if (!strncmp(arg, "--", 2))
                        TRY(parse_option(p));
                else if (arg[0] == '-' && arg[1])
                        return err_set(p->err, ERR_USAGE,
                                       "unknown option '%s'; 'stasis %s "
                                       "--help' lists them",
                                       arg, c->name);
                else
                        TRY(add_operand(p, operands));
        }
        if (operands->count < c->operands_min)
                return err_set(p->err, ERR_USAGE,
                               "something is missing; usage: stasis %s %s",
                               c->name, c->usage);
        return true;
}

static bool wants_help(int argc, char **argv)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
                if (!strcmp(argv[i], "--help"))
                        return true;
        return false;
}

enum options_outcome options_parse(const struct command *c, int argc,
                                   char **argv, void *dest,
                                   struct operands *operands, struct err *err)
{
        struct parse p = {c, argv, argc, 0, dest, err};

        *operands = (struct operands){0};
        if (wants_help(argc, argv)) {
                options_help(c, stdout);
                return OPTIONS_SHOWN;
        }
        return parse_all(&p, operands) ? OPTIONS_RUN : OPTIONS_BAD;
}
