/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* text: names that came from a file, made safe to print. */
#ifndef STASIS_BASE_TEXT_H
#define STASIS_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Escapes control bytes, backslash and anything that is not valid UTF-8 as
 * \xNN, so that a name from a file cannot drive a terminal.  Cuts, with "...",
 * at size.  Returns out. */
const char *text_escape(const char *s, char *out, size_t size);

/* "1.7 GiB"; returns out. */
const char *text_bytes(uint64_t bytes, char *out, size_t size);

/* A word quoted so that a POSIX shell reads it back; malloc'd, NULL: no
 * memory. */
char *text_shell_quote(const char *word);

#endif
