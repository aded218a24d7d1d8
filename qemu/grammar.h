/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grammar: the items of a recorded stream, told one after the other, checked
 * before they are sent: order, ids, footers, RAM setup, and that vmdesc lists
 * the same device sections.  (spec/migration-stream.md, "What a snapshot
 * holds")
 */
#ifndef STASIS_QEMU_GRAMMAR_H
#define STASIS_QEMU_GRAMMAR_H

#include "qemu/config.h"
#include "qemu/ram.h"

struct grammar;

bool grammar_new(struct grammar **out, struct err *err);
void grammar_free(struct grammar *g);

/* kind: as in struct stream_item. name: for errors, escaped. */
bool grammar_begin(struct grammar *g, unsigned number, const char *kind,
                   const char *name, struct err *err);
bool grammar_bytes(struct grammar *g, const uint8_t *bytes, size_t len,
                   struct err *err);
bool grammar_end(struct grammar *g, struct err *err);
bool grammar_vmdesc(struct grammar *g, const uint8_t *json, size_t len,
                    struct err *err);
/* All items have been told. */
bool grammar_finish(struct grammar *g, struct err *err);

/* Known once RAM's START was told; NULL before. */
const struct ram_blocks *grammar_ram(const struct grammar *g);
/* The section id of block migration; false: none was started (yet). */
bool grammar_disks(const struct grammar *g, uint32_t *section_id_out);
bool grammar_footers(const struct grammar *g);
/* All zeros when the stream has no configuration. */
const struct stream_config *grammar_config(const struct grammar *g);
/* "" when the stream has no configuration. */
const char *grammar_machine(const struct grammar *g);
/* idstr of the section told last. */
const char *grammar_section(const struct grammar *g);

#endif
