/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/recorded.h"

#include "base/text.h"
#include "format/manifest.h"
#include "qemu/twin.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static bool is_option(const char *arg, const char *name)
{
        if (arg[0] != '-')
                return false;
        arg += arg[1] == '-' ? 2 : 1;
        return strcmp(arg, name) == 0;
}

/* fd=7, fds=7:8, vhostfd=7, and QMP's file descriptor sets. */
static bool names_descriptor(const char *arg)
{
        for (const char *p = arg; (p = strstr(p, "fd")) != NULL; p += 2) {
                const char *end = p + 2;

                if (*end == 's')
                        end++;
                if (end[0] == '=' && isdigit((unsigned char)end[1]))
                        return true;
        }
        return strstr(arg, "/dev/fdset/") || is_option(arg, "add-fd") ||
               strncmp(arg, "fd:", 3) == 0;
}

static bool copy_args(const json_t *list, char **argv, struct err *err)
{
        size_t n = json_array_size(list), out = 1;

        for (size_t i = 1; i < n; i++) {
                const char *arg = json_string_value(json_array_get(list, i));
                char shown[200];

                if (!arg) {
                        err_in_section(err, "stasis/manifest.json");
                        return err_set(err, ERR_CORRUPT,
                                       "vm.argv: not a list of strings");
                }
                if (is_option(arg, "S") || is_option(arg, "daemonize"))
                        continue;
                if (is_option(arg, "incoming") || is_option(arg, "pidfile")) {
                        i++;
                        continue;
                }
                if (names_descriptor(arg))
                        return err_set(err, ERR_MISMATCH,
                                       "the recorded command uses a descriptor "
                                       "that was handed to it (%s): give the "
                                       "command after --",
                                       text_escape(arg, shown, sizeof shown));
                argv[out++] = (char *)(uintptr_t)arg;
        }
        argv[out] = NULL;
        return true;
}

bool recorded_command(const json_t *manifest, const char *qemu,
                      char ***argv_out, struct err *err)
{
        const json_t *list = json_at(manifest, "vm.argv");
        const char *binary = json_string_value(json_array_get(list, 0));
        const char *slash;
        char **argv;

        if (!binary)
                return err_set(err, ERR_MISMATCH,
                               "the snapshot holds no command line: give it "
                               "after --");
        slash = strrchr(binary, '/');
        if (slash)
                binary = slash + 1;
        if (!qemu && !binary[0])
                return err_set(err, ERR_MISMATCH,
                               "the recorded command has no name: give --qemu");
        argv = calloc(json_array_size(list) + 1, sizeof *argv);
        if (!argv)
                return err_nomem(err);
        argv[0] = (char *)(uintptr_t)(qemu ? qemu : binary);
        if (!copy_args(list, argv, err)) {
                free(argv);
                return false;
        }
        *argv_out = argv;
        return true;
}

bool recorded_is_same(const json_t *manifest, char *const *command)
{
        const json_t *list = json_at(manifest, "vm.argv");
        size_t n = json_array_size(list);
        const char **argv = calloc(n + 1, sizeof *argv);
        bool same = argv && n > 0;

        for (size_t i = 0; same && i < n; i++) {
                argv[i] = json_string_value(json_array_get(list, i));
                same = argv[i] != NULL;
        }
        same = same && twin_same((char *const *)(uintptr_t)argv, command);
        free(argv);
        return same;
}
