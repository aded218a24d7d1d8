/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a table of options shows of itself: help, man page, completion. */
#include "base/options.h"

#include <string.h>

#define HELP_COLUMN 24
#define HELP_WIDTH  80

static const struct option help_option = {
        .name = "help",
        .kind = OPTION_FLAG,
        .help = "show this and exit",
};

/* Words of text from column `at` on, each line beginning at HELP_COLUMN. */
static void wrap(const char *text, int at, FILE *to)
{
        while (*text) {
                int n = (int)strcspn(text, " ");

                if (at > HELP_COLUMN && at + 1 + n > HELP_WIDTH) {
                        fprintf(to, "\n%*s", HELP_COLUMN, "");
                        at = HELP_COLUMN;
                } else if (at > HELP_COLUMN) {
                        fputc(' ', to);
                        at++;
                }
                fprintf(to, "%.*s", n, text);
                at += n;
                text += n + (text[n] == ' ');
        }
        fputc('\n', to);
}

static void help_one(const struct option *o, FILE *to)
{
        bool choice = o->kind == OPTION_CHOICE;
        int at = fprintf(to, "  --%s%s%s%s", o->name,
                         choice     ? "[="
                         : o->value ? " "
                                    : "",
                         o->value ? o->value : "", choice ? "]" : "");

        if (at > HELP_COLUMN - 2) {
                fputc('\n', to);
                at = 0;
        }
        fprintf(to, "%*s", HELP_COLUMN - at, "");
        wrap(o->help, HELP_COLUMN, to);
        if (o->words)
                fprintf(to, "%*sone of: %s\n", HELP_COLUMN, "", o->words);
}

void options_help(const struct command *c, FILE *to)
{
        fprintf(to, "usage: stasis %s %s\n\n%s\n\noptions:\n", c->name,
                c->usage, c->summary);
        for (const struct option *o = c->options; o && o->name; o++)
                help_one(o, to);
        help_one(&help_option, to);
        if (c->examples && c->examples[0]) {
                fputs("\nexamples:\n", to);
                for (size_t i = 0; c->examples[i]; i++)
                        fprintf(to, "  %s\n", c->examples[i]);
        }
}

/* roff takes '\' as an escape, '-' as a hyphen, and a leading '.' or ''' as a
 * request. */
static void roff(const char *text, FILE *to)
{
        if (*text == '.' || *text == '\'')
                fputs("\\&", to);
        for (; *text; text++) {
                if (*text == '\\')
                        fputs("\\e", to);
                else if (*text == '-')
                        fputs("\\-", to);
                else
                        fputc(*text, to);
        }
}

static void man_one(const struct option *o, FILE *to)
{
        fputs(".TP\n\\fB\\-\\-", to);
        roff(o->name, to);
        fputs("\\fR", to);
        if (o->value) {
                fputs(o->kind == OPTION_CHOICE ? "[=\\fI" : " \\fI", to);
                roff(o->value, to);
                fputs(o->kind == OPTION_CHOICE ? "\\fR]" : "\\fR", to);
        }
        fputc('\n', to);
        roff(o->help, to);
        fputs(".\n", to);
        if (o->words) {
                fputs("One of: \\fB", to);
                roff(o->words, to);
                fputs("\\fR.\n", to);
        }
}

void options_man(const struct command *c, FILE *to)
{
        fputs(".SH OPTIONS\n", to);
        for (const struct option *o = c->options; o && o->name; o++)
                man_one(o, to);
        man_one(&help_option, to);
}

static const char completion_head[] =
        "_stasis() {\n"
        "    local cur prev command options equals=\n"
        "    cur=${COMP_WORDS[COMP_CWORD]}\n"
        "    prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    [ \"$cur\" = = ] && cur= equals=1\n"
        "    [ \"$prev\" = = ] && prev=${COMP_WORDS[COMP_CWORD-2]} equals=1\n"
        "    command=${COMP_WORDS[1]}\n"
        "    COMPREPLY=()\n"
        "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
        "        COMPREPLY=($(compgen -W '";

static const char completion_tail[] =
        "    esac\n"
        "    if [ \"${cur#-}\" != \"$cur\" ]; then\n"
        "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
        "    else\n"
        "        compopt -o default\n"
        "    fi\n"
        "}\n"
        "complete -F _stasis stasis\n";

/* What completes the value of o. */
static void complete_value(const struct command *c, const struct option *o,
                           FILE *to)
{
        if (o->kind == OPTION_FLAG)
                return;
        fprintf(to, "    %s:--%s) ", c->name, o->name);
        if (o->kind == OPTION_CHOICE) {
                fprintf(to,
                        "if [ \"$equals\" ]; then COMPREPLY=($(compgen -W "
                        "'%s' -- \"$cur\")); return; fi ;;\n",
                        o->words);
                return;
        }
        if (o->words)
                fprintf(to, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"))",
                        o->words);
        else if (o->kind == OPTION_FILE)
                fputs("compopt -o default", to);
        else if (o->kind == OPTION_DIR)
                fputs("COMPREPLY=($(compgen -d -- \"$cur\"))", to);
        else
                fputs(":", to);
        fputs("; return ;;\n", to);
}

void options_completion(const struct command *const *commands, FILE *to)
{
        fputs(completion_head, to);
        for (size_t i = 0; commands[i]; i++)
                fprintf(to, "%s ", commands[i]->name);
        fputs("--help --version' -- \"$cur\"))\n        return\n    fi\n"
              "    case $command:$prev in\n",
              to);
        for (size_t i = 0; commands[i]; i++)
                for (const struct option *o = commands[i]->options;
                     o && o->name; o++)
                        complete_value(commands[i], o, to);
        fputs("    esac\n    case $command in\n", to);
        for (size_t i = 0; commands[i]; i++) {
                fprintf(to, "    %s) options='", commands[i]->name);
                for (const struct option *o = commands[i]->options;
                     o && o->name; o++)
                        fprintf(to, "--%s ", o->name);
                fputs("--help' ;;\n", to);
        }
        fputs(completion_tail, to);
}
