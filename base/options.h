/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options: one table a command; parsing, --help, shell completion and the
 * OPTIONS section of its man page all come from it.
 *
 * Long options only, as --name VALUE or --name=VALUE; `--` ends them.  Every
 * command has --help by itself.  Unknown options, missing values and values
 * out of range are ERR_USAGE and name the option.
 */
#ifndef STASIS_BASE_OPTIONS_H
#define STASIS_BASE_OPTIONS_H

#include "base/err.h"

#include <stdio.h>

enum option_kind {
        OPTION_FLAG,   /* bool: set to true                                  */
        OPTION_STRING, /* const char *: borrowed from argv                   */
        OPTION_FILE,   /* the same; completed as a file name                 */
        OPTION_DIR,    /* the same; completed as a directory                 */
        OPTION_COUNT,  /* unsigned, min..max                                 */
        OPTION_FD,     /* int, >= 0                                          */
        OPTION_LIST,   /* struct option_list: may be given several times     */
        OPTION_CHOICE, /* const char *: one of words, only behind '='; "" if
                          there is none                                      */
};

struct option_list {
        const char *items[64];
        unsigned count;
};

struct option {
        const char *name; /* "threads", without dashes; NULL ends the table  */
        enum option_kind kind;
        size_t offset;     /* of the destination in the options struct       */
        const char *value; /* the value's name in help: "N"; NULL for flags  */
        const char *help;  /* a sentence, lower case, without a full stop    */
        unsigned min, max; /* OPTION_COUNT                                   */
        const char *words; /* space-separated legal values, or NULL          */
};

struct command {
        const char *name;    /* "save"                                      */
        const char *summary; /* "write a snapshot of a running VM"          */
        const char *usage;   /* "[OPTION...] FILE|- [-- CMD...]"            */
        const char *const *examples; /* NULL-terminated, or NULL             */
        const struct option *options;
        unsigned operands_min, operands_max;
        bool takes_command; /* what follows `--` is a command              */
        /* Runs it; argv as main had it from the command's name on; returns
         * the exit code. */
        int (*run)(const struct command *self, int argc, char **argv);
};

struct operands {
        const char *items[16];
        unsigned count;
        char **command; /* after `--`: NULL-terminated; NULL if there is none */
};

enum options_outcome { OPTIONS_RUN, OPTIONS_SHOWN, OPTIONS_BAD };

/* Fills dest (the command's options struct, defaults already in it) and the
 * operands.  OPTIONS_SHOWN: --help was given and printed on stdout. */
enum options_outcome options_parse(const struct command *c, int argc,
                                   char **argv, void *dest,
                                   struct operands *operands, struct err *err);
void options_help(const struct command *c, FILE *to);
/* bash completion for the whole program. */
void options_completion(const struct command *const *commands, FILE *to);
/* The OPTIONS section of a man page, in man(7). */
void options_man(const struct command *c, FILE *to);

#endif
