/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cursor: reading bytes that somebody else wrote, so that parsers cannot
 * forget a check.  All pointer arithmetic on input is in cursor.c.
 *
 * A reader takes a value and the name that the spec gives it; on failure the
 * error points at where that value began, not at where reading stopped.
 */
#ifndef STASIS_BASE_CURSOR_H
#define STASIS_BASE_CURSOR_H

#include "base/err.h"

struct cursor {
        const uint8_t *bytes; /* borrowed; outlives the cursor              */
        size_t len, pos;      /* pos <= len, always                         */
        uint64_t origin;      /* offset of bytes[0] in the file or stream   */
        const char *section;  /* the spec's name for what is being read     */
        const char *field;    /* last field read, and where it began        */
        size_t field_pos;
        struct err *err;
};

#define CHECKED __attribute__((warn_unused_result))

void cursor_init(struct cursor *c, const void *bytes, size_t len,
                 uint64_t origin, const char *section, struct err *err);

/* Bytes not read yet. */
size_t cursor_left(const struct cursor *c);
/* Absolute offset of the next byte. */
uint64_t cursor_offset(const struct cursor *c);

/* Each fails with ERR_TRUNCATED when the bytes are not there. */
CHECKED bool cursor_u8(struct cursor *c, const char *field, uint8_t *out);
CHECKED bool cursor_u16be(struct cursor *c, const char *field, uint16_t *out);
CHECKED bool cursor_u32be(struct cursor *c, const char *field, uint32_t *out);
CHECKED bool cursor_u64be(struct cursor *c, const char *field, uint64_t *out);
CHECKED bool cursor_u32le(struct cursor *c, const char *field, uint32_t *out);
CHECKED bool cursor_u64le(struct cursor *c, const char *field, uint64_t *out);
/* n borrowed bytes. */
CHECKED bool cursor_view(struct cursor *c, const char *field, uint64_t n,
                         const uint8_t **out);
CHECKED bool cursor_skip(struct cursor *c, const char *field, uint64_t n);
/* u8 length and that many bytes; out gets a NUL (QEMU's counted string).
 * A name that holds NUL is ERR_CORRUPT. */
CHECKED bool cursor_str8(struct cursor *c, const char *field, char out[256]);
/* A child over the next n bytes. */
CHECKED bool cursor_sub(struct cursor *c, const char *field, uint64_t n,
                        struct cursor *child);
/* n reserved bytes that must be zero. */
CHECKED bool cursor_zero(struct cursor *c, const char *field, size_t n);
/* Nothing may be left over. */
CHECKED bool cursor_done(struct cursor *c);

/* The last field read is not acceptable; returns false. */
bool cursor_bad(struct cursor *c, enum status status, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

#endif
