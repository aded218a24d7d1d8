/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/ram.h"

#include "base/limits.h"
#include "base/text.h"
#include "qemu/stream_format.h"

#include <stdlib.h>
#include <string.h>

void ram_blocks_fini(struct ram_blocks *b)
{
        free(b->blocks);
        *b = (struct ram_blocks){0};
}

bool ram_blocks_copy(const struct ram_blocks *from, struct ram_blocks *to,
                     struct err *err)
{
        struct ram_block *blocks = calloc(from->count + 1, sizeof *blocks);

        if (!blocks)
                return err_nomem(err);
        if (from->count)
                memcpy(blocks, from->blocks, from->count * sizeof *blocks);
        *to = *from;
        to->blocks = blocks;
        return true;
}

int ram_blocks_find(const struct ram_blocks *b, const char *name)
{
        for (unsigned i = 0; i < b->count; i++)
                if (strcmp(b->blocks[i].name, name) == 0)
                        return (int)i;
        return -1;
}

/* A run length: one byte, or two when bit 7 of the first is set. */
static bool xbzrle_run(const uint8_t *delta, size_t len, size_t *pos,
                       size_t *run)
{
        if (*pos >= len)
                return false;
        *run = delta[*pos] & 0x7f;
        if (!(delta[(*pos)++] & 0x80))
                return true;
        if (*pos >= len || delta[*pos] & 0x80)
                return false;
        *run |= (size_t)delta[(*pos)++] << 7;
        return true;
}

bool xbzrle_apply(uint8_t *page, size_t page_size, const uint8_t *delta,
                  size_t len, struct err *err)
{
        size_t pos = 0, at = 0, run;

        while (pos < len) {
                bool first = pos == 0;

                if (!xbzrle_run(delta, len, &pos, &run) ||
                    (run == 0 && !first) || run > page_size - at)
                        goto bad;
                at += run;
                if (!xbzrle_run(delta, len, &pos, &run) || run == 0 ||
                    run > page_size - at || run > len - pos)
                        goto bad;
                memcpy(page + at, delta + pos, run);
                pos += run;
                at += run;
        }
        return true;
bad:
        return err_set(err, ERR_CORRUPT,
                       "XBZRLE delta is malformed at its byte %zu of %zu", pos,
                       len);
}

static bool add_block(struct cursor *c, struct ram_blocks *b,
                      const struct ram_block *block)
{
        struct ram_block *grown;

        if (b->count >= LIMIT_RAM_BLOCKS)
                return cursor_bad(c, ERR_LIMIT, "more than %d RAMBlocks",
                                  LIMIT_RAM_BLOCKS);
        grown = realloc(b->blocks, (b->count + 1) * sizeof *grown);
        if (!grown)
                return err_nomem(c->err);
        b->blocks = grown;
        b->blocks[b->count++] = *block;
        return true;
}

static bool at_record(const struct cursor *c, uint64_t record)
{
        uint8_t want[8];
        struct emit e;

        emit_init(&e, want, sizeof want);
        emit_u64be(&e, record);
        return cursor_left(c) >= 8 && memcmp(c->bytes + c->pos, want, 8) == 0;
}

/*
 * Whether a host page size follows depends on the source's settings and not on
 * the bytes before; but a name is never empty, so its length byte is not 0,
 * and a page size begins with a zero byte.  Behind the last entry there is a
 * record: EOS or MULTIFD_FLUSH.
 */
static bool page_size_follows(const struct cursor *c,
                              const struct ram_blocks *b, uint64_t total)
{
        /* An address may begin with a zero byte too; QEMU does not combine
         * x-ignore-shared with huge pages and postcopy in practice. */
        if (b->addresses)
                return false;
        if (b->total == total)
                return !at_record(c, RAM_EOS) &&
                       !at_record(c, RAM_MULTIFD_FLUSH);
        return cursor_left(c) > 0 && c->bytes[c->pos] == 0;
}

static bool parse_block(struct cursor *c, struct ram_blocks *b, uint64_t total)
{
        struct ram_block block = {0};
        char shown[300];
        uint64_t skip;

        TRY(cursor_str8(c, "block idstr", block.name));
        text_escape(block.name, shown, sizeof shown);
        if (!block.name[0])
                return cursor_bad(c, ERR_CORRUPT, "empty RAMBlock name");
        if (ram_blocks_find(b, block.name) >= 0)
                return cursor_bad(c, ERR_CORRUPT, "RAMBlock '%s' twice", shown);
        TRY(cursor_u64be(c, "used_length", &block.size));
        if (block.size == 0 || block.size > total - b->total)
                return cursor_bad(c, ERR_CORRUPT,
                                  "RAMBlock '%s' of 0x%llx bytes in a total of "
                                  "0x%llx",
                                  shown, (unsigned long long)block.size,
                                  (unsigned long long)total);
        b->total += block.size;
        if (page_size_follows(c, b, total)) {
                TRY(cursor_u64be(c, "page_size", &skip));
                b->page_sizes = true;
        }
        if (b->addresses)
                TRY(cursor_u64be(c, "address", &block.address));
        return add_block(c, b, &block);
}

bool ram_parse_start(struct cursor *c, bool with_addresses,
                     struct ram_blocks *out)
{
        uint64_t record, total;

        *out = (struct ram_blocks){.addresses = with_addresses};
        TRY(cursor_u64be(c, "MEM_SIZE", &record));
        if ((record & (TARGET_PAGE_MIN - 1)) != RAM_MEM_SIZE)
                return cursor_bad(c, ERR_CORRUPT,
                                  "record 0x%llx where MEM_SIZE is expected",
                                  (unsigned long long)record);
        total = record - RAM_MEM_SIZE;
        if (total > LIMIT_RAM_BYTES)
                return cursor_bad(c, ERR_LIMIT, "0x%llx bytes of RAM",
                                  (unsigned long long)total);
        while (out->total < total)
                TRY(parse_block(c, out, total));
        TRY(cursor_u64be(c, "end of RAM setup", &record));
        out->multifd_flush = record == RAM_MULTIFD_FLUSH;
        if (out->multifd_flush)
                TRY(cursor_u64be(c, "end of RAM setup", &record));
        if (record != RAM_EOS)
                return cursor_bad(c, ERR_CORRUPT,
                                  "record 0x%llx where EOS is expected",
                                  (unsigned long long)record);
        return true;
}

size_t ram_emit_start(const struct ram_blocks *b, struct emit *out)
{
        size_t len = 16;

        for (unsigned i = 0; i < b->count; i++)
                len += 1 + strlen(b->blocks[i].name) + 8 +
                       (b->addresses ? 8 : 0);
        if (!out)
                return len;
        emit_u64be(out, b->total | RAM_MEM_SIZE);
        for (unsigned i = 0; i < b->count; i++) {
                emit_str8(out, b->blocks[i].name);
                emit_u64be(out, b->blocks[i].size);
                if (b->addresses)
                        emit_u64be(out, b->blocks[i].address);
        }
        emit_u64be(out, RAM_EOS);
        return len;
}
