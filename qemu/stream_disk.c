/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of block migration, the section `block` of QEMU up to 9.0.  A record
 * is be64 (sector << 9 | flags), and what its flags say.
 * (spec/migration-stream.md, "Block migration")
 */
#include "qemu/stream_private.h"

#include <string.h>

/* A record without its data. */
#define HEAD_MAX (8 + 1 + 255)

_Static_assert(HEAD_MAX + DISK_RECORD_SIZE <= SOURCE_VIEW_MAX,
               "a record fits the view");

static bool read_data(struct stream *s, uint64_t offset, bool zeros,
                      struct err *err)
{
        size_t len = zeros ? 0 : DISK_RECORD_SIZE, head;
        char device[256];
        const uint8_t *p;

        TRY(stream_view(s, 8 + 1, &p, err));
        head = 8 + 1 + (size_t)p[8];
        TRY(stream_view(s, head + len, &p, err));
        memcpy(device, p + 9, head - 9);
        device[head - 9] = '\0';
        if (strlen(device) != head - 9 || !device[0])
                return stream_fail(s, err, ERR_CORRUPT, STREAM_DISKS,
                                   "not the name of a device");
        if (offset % DISK_RECORD_SIZE ||
            offset > LIMIT_DISK_BYTES - DISK_RECORD_SIZE)
                return stream_fail(s, err, ERR_CORRUPT, STREAM_DISKS,
                                   "data of a disk at 0x%llx",
                                   (unsigned long long)offset);
        TRY(s->events.disk(s->events.arg, device, offset,
                           zeros ? NULL : p + head, err));
        source_take(s->source, head + len);
        return true;
}

bool stream_disk_records(struct stream *s, struct err *err)
{
        for (;;) {
                uint64_t record;
                const uint8_t *p;

                TRY(stream_view(s, 8, &p, err));
                memcpy(&record, p, sizeof record);
                record = __builtin_bswap64(record);
                switch (record & DISK_FLAGS) {
                case DISK_DATA:
                case DISK_DATA | DISK_ZERO:
                        TRY(read_data(s, record & ~(uint64_t)DISK_FLAGS,
                                      record & DISK_ZERO, err));
                        break;
                case DISK_PROGRESS:
                        source_take(s->source, 8);
                        break;
                case DISK_EOS:
                        source_take(s->source, 8);
                        return true;
                default:
                        return stream_fail(
                                s, err, ERR_UNSUPPORTED, STREAM_DISKS,
                                "unknown flags 0x%llx of a record",
                                (unsigned long long)(record & DISK_FLAGS));
                }
        }
}
