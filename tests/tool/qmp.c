/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmp SOCKET COMMAND [ARGUMENTS-JSON] [PATH]
 *      runs a command; prints its result, or the part at PATH
 *      ("migration.status"; strings without quotes)
 * qmp SOCKET hmp TEXT
 *      runs a command of the human monitor
 *
 * 0: done; 1: QEMU or the connection failed, stderr says how.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "format/manifest.h"
#include "qemu/qmp.h"

static int fail(const struct err *err)
{
        char line[1536];

        fprintf(stderr, "qmp: %s\n", err_line(err, line, sizeof line));
        return 1;
}

static void print(json_t *value)
{
        if (json_is_string(value)) {
                puts(json_string_value(value));
        } else if (value) {
                json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
                putchar('\n');
        }
}

int main(int argc, char **argv)
{
        struct err err = ERR_INIT;
        json_t *arguments = NULL, *result = NULL;
        const char *command;
        struct qmp *q;

        if (argc < 3 || argc > 5) {
                fputs("usage: qmp SOCKET COMMAND [ARGUMENTS] [PATH]\n", stderr);
                return 2;
        }
        progress_catch_signals();
        command = argv[2];
        if (!strcmp(command, "hmp")) {
                command = "human-monitor-command";
                arguments = json_pack("{s:s}", "command-line", argv[3]);
        } else if (argc > 3 && argv[3][0]) {
                arguments = json_loads(argv[3], 0, NULL);
                if (!arguments) {
                        fprintf(stderr, "qmp: not JSON: %s\n", argv[3]);
                        return 2;
                }
        }
        if (!qmp_connect(argv[1], 10000, &q, &err) ||
            !qmp_command(q, command, arguments, &result, NULL, &err))
                return fail(&err);
        print(argc > 4 ? json_at(result, argv[4]) : result);
        json_decref(result);
        qmp_close(q);
        return 0;
}
