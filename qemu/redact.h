/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * redact: secrets in a QEMU command line, made unreadable before it is shown.
 *
 * A snapshot keeps the command line as it was; what is printed passes here.
 * Redacted are: the data of secret objects, values of keys that hold
 * passwords, cookies and keys, credentials in URLs, guest command lines
 * (-append), and strings handed to the guest (fw_cfg, SMBIOS type 11), which
 * are a usual place for cloud credentials.
 */
#ifndef STASIS_QEMU_REDACT_H
#define STASIS_QEMU_REDACT_H

#include <jansson.h>
#include <stdbool.h>

#define REDACTED "<redacted>"

/* argv: an array of strings, edited in place.  false: no memory, or not an
 * array of strings; it must then not be shown. */
bool redact_argv(json_t *argv);

#endif
