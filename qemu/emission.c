/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/emission.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "qemu/stream_format.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/uio.h>

/* A record's own bytes: be64, a name in the first of a section, a fill byte. */
#define RECORD_MAX (8 + 256 + 1)

/* Pages of one PART section: a chunk's at the smallest page size that is
 * common; smaller pages make several sections. */
#define SECTION_PAGES EMISSION_PICKED_MAX

/* Records of one PART section of block migration. */
#define DISK_SECTION_RECORDS 256

_Static_assert(DISK_SECTION_RECORDS <= SECTION_PAGES, "heads have room");

struct emission {
        int fd;
        const char *name;
        const struct ram_blocks *blocks;
        bool footers;
        uint64_t bytes;
        /* Heads of records; pages themselves are sent from where they are. */
        uint8_t heads[SECTION_PAGES * RECORD_MAX + 64];
        struct iovec vec[2 * SECTION_PAGES + 2];
        int vec_count;
};

bool emission_new(int fd, const char *name, const struct ram_blocks *blocks,
                  bool footers, struct emission **out, struct err *err)
{
        struct emission *e = calloc(1, sizeof *e);

        if (!e)
                return err_nomem(err);
        e->fd = fd;
        e->name = name;
        e->blocks = blocks;
        e->footers = footers;
        *out = e;
        return true;
}

void emission_free(struct emission *e)
{
        free(e);
}

uint64_t emission_bytes(const struct emission *e)
{
        return e->bytes;
}

static bool write_vec(struct emission *e, struct err *err)
{
        struct iovec *v = e->vec;
        int left = e->vec_count;

        while (left > 0) {
                int n = left < IOV_MAX ? left : IOV_MAX;
                size_t done;

                TRY(io_writev(e->fd, v, n, &done, e->name, err));
                e->bytes += done;
                while (left > 0 && done >= v->iov_len) {
                        done -= v->iov_len;
                        v++;
                        left--;
                }
                if (left > 0) {
                        v->iov_base = (uint8_t *)v->iov_base + done;
                        v->iov_len -= done;
                }
        }
        e->vec_count = 0;
        return true;
}

static void add(struct emission *e, const uint8_t *bytes, size_t len)
{
        if (e->vec_count > 0) {
                struct iovec *last = &e->vec[e->vec_count - 1];

                if ((const uint8_t *)last->iov_base + last->iov_len == bytes) {
                        last->iov_len += len;
                        return;
                }
        }
        assert((size_t)e->vec_count < sizeof e->vec / sizeof *e->vec);
        e->vec[e->vec_count++] = (struct iovec){
                .iov_base = (void *)(uintptr_t)bytes,
                .iov_len = len,
        };
}

/* picked NULL: all pages up to `pages`. */
static bool section(struct emission *e, unsigned block, uint64_t offset,
                    const uint8_t *bytes, const uint16_t *picked, size_t pages,
                    uint32_t page_size, struct err *err)
{
        struct emit h;
        size_t begin;

        emit_init(&h, e->heads, sizeof e->heads);
        emit_u8(&h, ITEM_PART);
        emit_u32be(&h, e->blocks->section_id);
        add(e, e->heads, h.len);
        for (size_t i = 0; i < pages; i++) {
                uint64_t at = (picked ? picked[i] : i) * (uint64_t)page_size;
                const uint8_t *page = bytes ? bytes + at : NULL;
                bool zero = !page || bytes_are_zero(page, page_size);

                begin = h.len;
                emit_u64be(&h, (offset + at) | (zero ? RAM_ZERO : RAM_PAGE) |
                                       (i > 0 ? RAM_CONTINUE : 0));
                if (i == 0)
                        emit_str8(&h, e->blocks->blocks[block].name);
                if (zero)
                        emit_u8(&h, 0);
                add(e, e->heads + begin, h.len - begin);
                if (!zero)
                        add(e, page, page_size);
        }
        begin = h.len;
        emit_u64be(&h, RAM_EOS);
        if (e->footers) {
                emit_u8(&h, ITEM_FOOTER);
                emit_u32be(&h, e->blocks->section_id);
        }
        add(e, e->heads + begin, h.len - begin);
        return write_vec(e, err);
}

bool emission_pages(struct emission *e, unsigned block, uint64_t offset,
                    const uint8_t *bytes, size_t len, uint32_t page_size,
                    struct err *err)
{
        size_t step = (size_t)SECTION_PAGES * page_size;

        assert(len % page_size == 0 && offset % page_size == 0);
        for (size_t at = 0; at < len; at += step) {
                size_t now = len - at < step ? len - at : step;

                TRY(section(e, block, offset + at, bytes ? bytes + at : NULL,
                            NULL, now / page_size, page_size, err));
        }
        return true;
}

bool emission_picked(struct emission *e, unsigned block, uint64_t offset,
                     const uint8_t *bytes, const uint16_t *page, size_t count,
                     uint32_t page_size, struct err *err)
{
        assert(count <= SECTION_PAGES && offset % page_size == 0);
        return section(e, block, offset, bytes, page, count, page_size, err);
}

/* One PART section of block migration. */
static bool disk_section(struct emission *e, uint32_t section_id,
                         const char *device, uint64_t offset,
                         const uint8_t *bytes, uint64_t records,
                         struct err *err)
{
        struct emit h;
        size_t begin = 0;

        emit_init(&h, e->heads, sizeof e->heads);
        emit_u8(&h, ITEM_PART);
        emit_u32be(&h, section_id);
        for (uint64_t i = 0; i < records; i++) {
                emit_u64be(&h, (offset + i * DISK_RECORD_SIZE) | DISK_DATA |
                                       (bytes ? 0 : DISK_ZERO));
                emit_str8(&h, device);
                if (!bytes)
                        continue;
                add(e, e->heads + begin, h.len - begin);
                add(e, bytes + i * DISK_RECORD_SIZE, DISK_RECORD_SIZE);
                begin = h.len;
        }
        emit_u64be(&h, DISK_EOS);
        if (e->footers) {
                emit_u8(&h, ITEM_FOOTER);
                emit_u32be(&h, section_id);
        }
        add(e, e->heads + begin, h.len - begin);
        return write_vec(e, err);
}

bool emission_disk(struct emission *e, uint32_t section_id, const char *device,
                   uint64_t offset, const uint8_t *bytes, uint64_t len,
                   struct err *err)
{
        uint64_t step = (uint64_t)DISK_SECTION_RECORDS * DISK_RECORD_SIZE;

        assert(len % DISK_RECORD_SIZE == 0 && offset % DISK_RECORD_SIZE == 0);
        for (uint64_t at = 0; at < len; at += step) {
                uint64_t now = len - at < step ? len - at : step;

                TRY(disk_section(e, section_id, device, offset + at,
                                 bytes ? bytes + at : NULL,
                                 now / DISK_RECORD_SIZE, err));
        }
        return true;
}

void emission_link(uint8_t out[EMISSION_LINK_SIZE])
{
        struct emit e;

        emit_init(&e, out, EMISSION_LINK_SIZE);
        emit_u8(&e, ITEM_COMMAND);
        emit_u16be(&e, COMMAND_OPEN_RETURN_PATH);
        emit_u16be(&e, 0);
        emit_u8(&e, ITEM_COMMAND);
        emit_u16be(&e, COMMAND_PING);
        emit_u16be(&e, 4);
        emit_u32be(&e, 1);
}
