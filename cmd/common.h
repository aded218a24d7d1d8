/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * common: what every command shares: its options by the same names, the one
 * place that prints an error, and the sink for messages.  A command reads:
 *
 *      if (!cmd_parse(self, argc, argv, &o, &operands, &code))
 *              return code;
 *      if (!do_it(&o, &operands, &err))
 *              return cmd_fail(self, &err);
 *      return 0;
 */
#ifndef STASIS_CMD_COMMON_H
#define STASIS_CMD_COMMON_H

#include "base/err.h"
#include "base/log.h"
#include "base/options.h"

#include <jansson.h>
#include <limits.h>

/* Prints "stasis CMD: LINE" on stderr and returns the exit code. */
int cmd_fail(const struct command *self, const struct err *err);

/* Parses; false: nothing is left to do but to return *code_out. */
bool cmd_parse(const struct command *self, int argc, char **argv, void *dest,
               struct operands *operands, int *code_out);

/* A log_sink; arg is the struct command that runs. */
void cmd_log(void *arg, enum log_level level, const char *module,
             const char *text);

/* FILE, or "-": standard input, duplicated.  A terminal is ERR_USAGE.
 * *name_out: for errors; borrowed. */
bool cmd_open_input(const char *operand, int *fd_out, const char **name_out,
                    struct err *err);

/* Prints on stdout and releases; NULL: no memory. */
bool cmd_print_json(json_t *value, struct err *err);
/* What was printed on stdout has arrived. */
bool cmd_flush(struct err *err);

/* "none" or "zstd[:LEVEL]"; NULL: the default, zstd:1. */
bool cmd_parse_compress(const char *text, bool *compress_out, int *level_out,
                        struct err *err);

/* Bytes a second of `option`: a number, or one with K, M or G (of 1024); at
 * least 64 KiB.  NULL: 0. */
bool cmd_parse_rate(const char *option, const char *text, uint64_t *out,
                    struct err *err);

/* TLS goes with the option `with`, whose value is uri (NULL: not given). */
bool cmd_check_tls(const char *dir, const char *hostname, const char *with,
                   const char *uri, struct err *err);

/* `unsigned threads` in an options struct starts as CMD_THREADS_DEFAULT. */
#define CMD_THREADS_DEFAULT UINT_MAX
unsigned cmd_threads(unsigned given);

/* Rows of option tables; the options struct has a member of that name:
 * const char *compress, unsigned threads, int progress (start it as -1),
 * const char *spool, bool json, struct option_list base, force. */
#define CMD_OPTION_COMPRESS(type)                                              \
        {                                                                      \
                .name = "compress", .kind = OPTION_STRING,                     \
                .offset = offsetof(type, compress), .value = "METHOD",         \
                .help = "none, or zstd:LEVEL from -7 to 19 (default: zstd:1)", \
        }
#define CMD_OPTION_THREADS(type)                                               \
        {                                                                      \
                .name = "threads", .kind = OPTION_COUNT,                       \
                .offset = offsetof(type, threads), .value = "N",               \
                .help = "use N worker threads (default: one for each CPU "     \
                        "allowed, at most 12; 0: none beside the main one)",   \
                .max = 256,                                                    \
        }
#define CMD_OPTION_PROGRESS(type)                                              \
        {                                                                      \
                .name = "progress", .kind = OPTION_FD,                         \
                .offset = offsetof(type, progress), .value = "FD",             \
                .help = "write progress to descriptor FD, one JSON object a "  \
                        "line (default: shown if stderr is a terminal)",       \
        }
#define CMD_OPTION_SPOOL(type)                                                 \
        {                                                                      \
                .name = "spool", .kind = OPTION_DIR,                           \
                .offset = offsetof(type, spool), .value = "DIR",               \
                .help = "where unlinked temporary files are made when they "   \
                        "are needed (default: $TMPDIR or /var/tmp)",           \
        }
#define CMD_OPTION_TLS(type, with)                                             \
        {                                                                      \
                .name = "tls-dir",                                             \
                .kind = OPTION_DIR,                                            \
                .offset = offsetof(type, tls_dir),                             \
                .value = "DIR",                                                \
                .help = with " speaks TLS, with the certificates there "       \
                             "(ca-cert.pem, client-cert.pem, client-key.pem)", \
        },                                                                     \
        {                                                                      \
                .name = "tls-hostname", .kind = OPTION_STRING,                 \
                .offset = offsetof(type, tls_hostname), .value = "NAME",       \
                .help = "what the destination's certificate must be for "      \
                        "(default: the URI's HOST)",                           \
        }
#define CMD_OPTION_BASE(type)                                                  \
        {                                                                      \
                .name = "base", .kind = OPTION_LIST,                           \
                .offset = offsetof(type, base), .value = "NAME=PATH",          \
                .help = "where the base of that stored disk is (default: "     \
                        "where it was)",                                       \
        }
/* With restore/check.h. */
#define CMD_OPTION_FORCE_REASON(type)                                          \
        {                                                                      \
                .name = "force", .kind = OPTION_LIST,                          \
                .offset = offsetof(type, force), .value = "REASON",            \
                .help = "override a reason not to load, by the code that "     \
                        "stasis-check(1) lists: machine-type, disks, ...; "    \
                        "may be given several times",                          \
                .words = CHECK_FORCIBLE,                                       \
        }
#define CMD_OPTION_JSON(type)                                                  \
        {                                                                      \
                .name = "json", .kind = OPTION_FLAG,                           \
                .offset = offsetof(type, json),                                \
                .help = "print JSON, for programs",                            \
        }

#endif
