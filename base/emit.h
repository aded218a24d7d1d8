/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * emit: writing bytes into a bounded buffer; the cursor's mirror.
 *
 * Running out of room is a caller's bug for fixed structures, so emit_*
 * asserts; who writes a varying amount asks emit_room first.
 */
#ifndef STASIS_BASE_EMIT_H
#define STASIS_BASE_EMIT_H

#include <stddef.h>
#include <stdint.h>

struct emit {
        uint8_t *bytes; /* borrowed */
        size_t size;    /* room     */
        size_t len;     /* written  */
};

void emit_init(struct emit *e, void *bytes, size_t size);
size_t emit_room(const struct emit *e);
void emit_u8(struct emit *e, uint8_t v);
void emit_u16be(struct emit *e, uint16_t v);
void emit_u32be(struct emit *e, uint32_t v);
void emit_u64be(struct emit *e, uint64_t v);
void emit_u32le(struct emit *e, uint32_t v);
void emit_u64le(struct emit *e, uint64_t v);
void emit_bytes(struct emit *e, const void *bytes, size_t len);
void emit_zero(struct emit *e, size_t len);
/* u8 length and the bytes; at most 255. */
void emit_str8(struct emit *e, const char *s);

#endif
