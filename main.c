/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of commands, and what belongs to no command. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "cmd/commands.h"
#include "cmd/common.h"

static const struct command *const commands[] = {
        &cmd_save,   &cmd_restore,   &cmd_check, &cmd_soak,   &cmd_import,
        &cmd_info,   &cmd_list,      &cmd_show,  &cmd_verify, &cmd_diff,
        &cmd_export, &cmd_dirty_log, NULL,
};

static void help(FILE *to)
{
        fputs("usage: stasis COMMAND [OPTION...] ...\n\n"
              "puts a running QEMU virtual machine into a file and brings it "
              "back\n\ncommands:\n",
              to);
        for (size_t i = 0; commands[i]; i++)
                fprintf(to, "  %-12s%s\n", commands[i]->name,
                        commands[i]->summary);
        fputs("  completion  print completion for bash\n\n"
              "'stasis COMMAND --help' tells the rest.\n",
              to);
}

static const struct command *find(const char *name)
{
        for (size_t i = 0; commands[i]; i++)
                if (!strcmp(commands[i]->name, name))
                        return commands[i];
        return NULL;
}

static int run(const struct command *c, int argc, char **argv)
{
        log_set_sink(cmd_log, (void *)(uintptr_t)c);
        log_set_debug(getenv("STASIS_DEBUG"));
        progress_catch_signals();
        return c->run(c, argc, argv);
}

/* The words that are not commands; -1: none of them. */
static int builtin(int argc, char **argv)
{
        const struct command *c;

        if (argc == 2 && !strcmp(argv[1], "--help"))
                help(stdout);
        else if (argc == 2 && !strcmp(argv[1], "--version"))
                puts("stasis " STASIS_VERSION);
        else if (argc == 2 && !strcmp(argv[1], "completion"))
                options_completion(commands, stdout);
        /* For the manual's build. */
        else if (argc == 3 && !strcmp(argv[1], "--man-options")) {
                c = find(argv[2]);
                if (c)
                        options_man(c, stdout);
        } else
                return -1;
        return 0;
}

int main(int argc, char **argv)
{
        const struct command *c = argc > 1 ? find(argv[1]) : NULL;
        int code;

        if (c) {
                code = run(c, argc - 1, argv + 1);
        } else {
                code = builtin(argc, argv);
                if (code < 0) {
                        help(stderr);
                        return 2;
                }
        }
        /* A full disk behind stdout is a failure, too. */
        if (fflush(stdout) != 0 && code == 0) {
                perror("stasis: standard output");
                code = 1;
        }
        return code;
}
