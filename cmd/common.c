/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd/common.h"

#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/pool.h"

/* One record, one line: whatever got into it, no byte of it drives a terminal.
 * (Names from files were escaped where they were read; these are the
 * operator's own words and the system's.) */
static void print_line(const char *command, const char *level, char *text)
{
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = '?';
        fprintf(stderr, "%sstasis %s: %s%s\n",
                isatty(STDERR_FILENO) ? "\r\033[K" : "", command, level, text);
}

int cmd_fail(const struct command *self, const struct err *err)
{
        char line[1536];

        err_line(err, line, sizeof line);
        print_line(self->name, "", line);
        return err_exit_code(err);
}

void cmd_log(void *arg, enum log_level level, const char *module,
             const char *text)
{
        const struct command *self = arg;
        char line[1152];

        if (level == LOG_DEBUG)
                snprintf(line, sizeof line, "%s: %s", module, text);
        else
                snprintf(line, sizeof line, "%s", text);
        print_line(self->name,
                   level == LOG_DEBUG  ? "debug: "
                   : level == LOG_WARN ? "warning: "
                                       : "",
                   line);
}

bool cmd_parse(const struct command *self, int argc, char **argv, void *dest,
               struct operands *operands, int *code_out)
{
        struct err err = ERR_INIT;

        switch (options_parse(self, argc, argv, dest, operands, &err)) {
        case OPTIONS_RUN:
                return true;
        case OPTIONS_SHOWN:
                *code_out = 0;
                return false;
        case OPTIONS_BAD:
                break;
        }
        *code_out = cmd_fail(self, &err);
        return false;
}

bool cmd_open_input(const char *operand, int *fd_out, const char **name_out,
                    struct err *err)
{
        int fd;

        if (strcmp(operand, "-")) {
                *name_out = operand;
                return io_open_read(operand, fd_out, err);
        }
        *name_out = "standard input";
        if (isatty(STDIN_FILENO)) {
                err_set(err, ERR_USAGE, "is a terminal");
                return err_in_file(err, *name_out);
        }
        fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
        if (fd < 0) {
                err_os(err, errno, "dup");
                return err_in_file(err, *name_out);
        }
        *fd_out = fd;
        return true;
}

bool cmd_flush(struct err *err)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return err_os(err, errno, "standard output");
        return true;
}

bool cmd_print_json(json_t *value, struct err *err)
{
        if (!value)
                return err_nomem(err);
        json_dumpf(value, stdout, JSON_INDENT(1));
        json_decref(value);
        putchar('\n');
        return cmd_flush(err);
}

bool cmd_parse_compress(const char *text, bool *compress_out, int *level_out,
                        struct err *err)
{
        const char *digits;
        char *end;
        long level;

        *compress_out = true;
        *level_out = 1;
        if (!text || !strcmp(text, "zstd"))
                return true;
        if (!strcmp(text, "none")) {
                *compress_out = false;
                return true;
        }
        digits = text + strlen("zstd:");
        if (!strncmp(text, "zstd:", strlen("zstd:")) &&
            strspn(digits + (*digits == '-'), "0123456789") > 0) {
                errno = 0;
                level = strtol(digits, &end, 10);
                if (!*end && !errno && level >= -7 && level <= 19 && level) {
                        *level_out = (int)level;
                        return true;
                }
        }
        return err_set(err, ERR_USAGE,
                       "--compress: '%s' is neither none nor zstd[:LEVEL], "
                       "LEVEL from -7 to -1 or 1 to 19",
                       text);
}

bool cmd_check_tls(const char *dir, const char *hostname, const char *with,
                   const char *uri, struct err *err)
{
        if (hostname && !dir)
                return err_set(err, ERR_USAGE,
                               "--tls-hostname goes with --tls-dir");
        return !dir || uri ||
               err_set(err, ERR_USAGE, "--tls-dir goes with %s", with);
}

unsigned cmd_threads(unsigned given)
{
        return given == CMD_THREADS_DEFAULT ? pool_default_threads() : given;
}

bool cmd_parse_rate(const char *option, const char *text, uint64_t *out,
                    struct err *err)
{
        static const char units[] = "KMG";
        size_t digits = text ? strspn(text, "0123456789") : 0;
        const char *unit;
        uint64_t n = 0;

        *out = 0;
        if (!text)
                return true;
        for (size_t i = 0; i < digits && digits <= 15; i++)
                n = n * 10 + (uint64_t)(text[i] - '0');
        unit = text[digits] ? strchr(units, text[digits]) : NULL;
        if (unit)
                n <<= 10 * (unsigned)(unit - units + 1);
        if (digits == 0 || digits > 15 || (text[digits] && !unit) ||
            (unit && text[digits + 1]) || n < 64 * KiB || n > INT64_MAX / 2)
                return err_set(err, ERR_USAGE,
                               "--%s: '%s' is not a number of bytes a second, "
                               "64K or more",
                               option, text);
        *out = n;
        return true;
}
