/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2 images made byte by byte from the specification, for tests.
 *
 * The image that most begin with has clusters of 512 bytes, a disk of 64 KiB
 * (two L2 tables of 64 entries each) and, by cluster of the file:
 *
 *   0 header   1 L1   2 refcount table   3 refcount block   4 L2   5, 6, 7 data
 */
#ifndef STASIS_QCOW_FIXTURE_H
#define STASIS_QCOW_FIXTURE_H

#include "base/test.h"

#include <sys/mman.h>

#include "base/limits.h"
#include "qcow/image.h"

#define C    512u
#define DISK (64 * KiB)
#define L1   (1 * C)
#define L2   (4 * C)
#define DATA (5 * C)
#define FREE (8 * C) /* where tests put more */
#define ROOM (64 * C)

#define COPIED     (1ull << 63)
#define COMPRESSED (1ull << 62)

static uint8_t file[ROOM];
static size_t file_len;

static inline void put(size_t at, unsigned width, uint64_t value)
{
        for (unsigned i = 0; i < width; i++)
                file[at + i] = (uint8_t)(value >> 8 * (width - 1 - i));
}

static inline void begin(void)
{
        memset(file, 0, sizeof file);
        file_len = FREE;
        put(0, 4, 0x514649fb);
        put(4, 4, 3);
        put(20, 4, 9);
        put(24, 8, DISK);
        put(36, 4, 2);
        put(40, 8, L1);
        put(48, 8, 2 * C);
        put(56, 4, 1);
        put(96, 4, 4);
        put(100, 4, 112);
        put(2 * C, 8, 3 * C);
        put(L1, 8, L2 | COPIED);
        /* Data at 512, zeros at 1024, data at 1536 and 2048. */
        put(L2 + 8, 8, DATA | COPIED);
        put(L2 + 16, 8, 1);
        put(L2 + 24, 8, (DATA + C) | COPIED);
        put(L2 + 32, 8, (DATA + 2 * C) | COPIED);
        for (size_t i = DATA; i < FREE; i++)
                file[i] = (uint8_t)(i * 31 >> 3);
}

static inline int make(void)
{
        int fd = memfd_create("image", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, file, file_len), file_len);
        return fd;
}

static inline struct image *opened(int *fd)
{
        struct err err = ERR_INIT;
        struct image *i;

        *fd = make();
        assert_done(image_open(*fd, "image", IMAGE_QCOW2, &i, &err), &err);
        return i;
}

static inline void closed(struct image *i, int fd)
{
        image_close(i);
        close(fd);
}

static inline bool read_all(struct image *i, struct err *err)
{
        static uint8_t buffer[DISK];
        uint64_t len;
        enum extent_kind kind;

        for (uint64_t at = 0; at < image_size(i); at += len) {
                TRY(image_extent(i, at, &len, &kind, err));
                if (kind == EXTENT_DATA)
                        TRY(image_read(i, at, buffer,
                                       len < DISK ? (size_t)len : DISK, err));
        }
        return true;
}

/* The image is refused, when it is opened or when it is read. */
static inline void refused(enum status status, const char *part)
{
        struct err err = ERR_INIT;
        struct image *i = NULL;
        char line[1536];
        int fd = make();

        if (image_open(fd, "image", IMAGE_QCOW2, &i, &err) && read_all(i, &err))
                fail_msg("not refused: %s", part);
        image_close(i);
        close(fd);
        err_line(&err, line, sizeof line);
        if (err.status != status || !strstr(line, part))
                fail_msg("\"%s\" (%s), not \"%s\" (%s)", line,
                         err_status_name(err.status), part,
                         err_status_name(status));
        assert_string_equal(err.file, "image");
}

static inline void extent_is(struct image *i, uint64_t at, uint64_t len,
                             enum extent_kind kind)
{
        struct err err = ERR_INIT;
        enum extent_kind got;
        uint64_t reach;

        assert_done(image_extent(i, at, &reach, &got, &err), &err);
        assert_int_equal(got, kind);
        assert_int_equal(reach, len);
}

#define X 16384u /* clusters; subclusters are of 512 bytes */

/* Header, L1, refcount table, refcount block, L2 and data as above, in
 * clusters of 16 KiB; entry 0 is made of the two words. */
static inline int extended(uint64_t word, uint64_t subclusters)
{
        uint64_t l1 = 4 * X;
        int fd;

        begin();
        put(20, 4, 14);
        put(24, 8, MiB);
        put(36, 4, 1);
        put(40, 8, X);
        put(48, 8, 2 * X);
        put(72, 8, 16);
        file_len = C;
        fd = make();
        put(0, 8, l1);
        put(8, 8, word);
        put(16, 8, subclusters);
        assert_int_equal(pwrite(fd, file, 8, X), 8);
        assert_int_equal(pwrite(fd, file + 8, 16, 4 * X), 16);
        assert_int_equal(ftruncate(fd, 6 * X), 0);
        return fd;
}

/* Entry n of the L2 table: a cluster compressed at host, in so many sectors. */
static inline void compress_at(unsigned n, uint64_t host, unsigned sectors)
{
        put(L2 + 8 * n, 8, COMPRESSED | (uint64_t)(sectors - 1) << 61 | host);
}

/* A stored block of RFC 1951, last, of len bytes; its bytes follow. */
static inline size_t put_stored(size_t at, unsigned len)
{
        file[at] = 1;
        file[at + 1] = (uint8_t)len;
        file[at + 2] = (uint8_t)(len >> 8);
        file[at + 3] = (uint8_t)~len;
        file[at + 4] = (uint8_t)(~len >> 8);
        memset(file + at + 5, 's', len);
        return at + 5 + len;
}

/* A frame of RFC 8878: one segment, one block that repeats a byte. */
static inline size_t put_frame(size_t at, unsigned len, uint8_t byte)
{
        unsigned header = len << 3 | 1 << 1 | 1;

        put(at, 4, 0x28b52ffd);
        file[at + 4] = 0x60;
        file[at + 5] = (uint8_t)(len - 256);
        file[at + 6] = (uint8_t)((len - 256) >> 8);
        file[at + 7] = (uint8_t)header;
        file[at + 8] = (uint8_t)(header >> 8);
        file[at + 9] = (uint8_t)(header >> 16);
        file[at + 10] = byte;
        return at + 11;
}

/* A snapshot of the disk: its table, L1 and L2 table, and 700 bytes of VM state
 * behind the disk, in the third L2 table. */
static inline void put_snapshot(void)
{
        size_t at = FREE;

        put(60, 4, 1);
        put(64, 8, FREE);
        put(at, 8, FREE + C);
        put(at + 8, 4, 3);
        put(at + 12, 2, 1);
        put(at + 14, 2, 5);
        put(at + 16, 4, 1700000000);
        put(at + 20, 4, 5);
        put(at + 24, 8, 123456789);
        put(at + 36, 4, 24);
        put(at + 40, 8, 700);
        put(at + 48, 8, DISK);
        put(at + 56, 8, UINT64_MAX);
        memcpy(file + at + 64, "1first", 6);
        put(FREE + C + 16, 8, FREE + 2 * C);
        put(FREE + 2 * C, 8, FREE + 3 * C);
        put(FREE + 2 * C + 8, 8, FREE + 4 * C);
        memset(file + FREE + 3 * C, 'v', C);
        memset(file + FREE + 4 * C, 'w', C);
        file_len = FREE + 5 * C;
}

#endif
