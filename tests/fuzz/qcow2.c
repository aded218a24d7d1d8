/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a qcow2 image: everything that the reader tells of it is asked
 * for, within bounds, and must hold together.  (make fuzz)
 *
 * With -DFUZZ_REPLAY, without libFuzzer: runs the files that it is given.
 */
#include "qcow/image.h"

#include "base/io.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXTENTS 4096
#define READ    (64u << 10)
#define READS   64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void must(bool holds)
{
        if (!holds)
                abort();
}

static void read_some(struct image *i, uint64_t offset, uint64_t len)
{
        static uint8_t buffer[READ];
        size_t now = len < READ ? (size_t)len : READ;
        struct err err = ERR_INIT;

        if (!image_read(i, offset, buffer, now, &err))
                must(err.status != ERR_NONE);
}

static void walk(struct image *i)
{
        uint64_t size = image_size(i), offset = 0, grain = image_granularity(i);
        unsigned reads = 0;

        for (int n = 0; n < EXTENTS && offset < size; n++) {
                struct err err = ERR_INIT;
                enum extent_kind kind, again;
                uint64_t len, rest;

                if (!image_extent(i, offset, &len, &kind, &err)) {
                        must(err.status != ERR_NONE);
                        return;
                }
                must(len > 0 && len <= size - offset);
                must((offset + len) % grain == 0 || offset + len == size);
                must(image_extent(i, offset + len / 2, &rest, &again, &err));
                must(again == kind && rest == len - len / 2);
                if (kind == EXTENT_DATA && reads++ < READS)
                        read_some(i, offset, len);
                offset += len;
        }
}

static void look(struct image *i)
{
        static uint8_t buffer[READ];

        for (size_t n = 0; n < image_bitmaps(i); n++)
                must(strlen(image_bitmap_name(i, n)) < 65536);
        for (size_t n = 0; n < image_snapshots(i) && n < 16; n++) {
                struct image_snapshot s = image_snapshot_at(i, n);
                struct err err = ERR_INIT;
                size_t len = READ;

                must(strlen(s.id) < 65536 && strlen(s.name) < 65536);
                if (s.vm_state_size < len)
                        len = (size_t)s.vm_state_size;
                image_vm_state_read(i, n, s.vm_state_size - len, buffer, len,
                                    &err);
        }
        if (image_backing_name(i))
                must(image_backing_name(i)[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
        static int fd = -1;
        struct err err = ERR_INIT;
        struct image *i = NULL;

        if (fd < 0)
                fd = memfd_create("image", MFD_CLOEXEC);
        must(fd >= 0 && ftruncate(fd, 0) == 0);
        must(io_pwrite_all(fd, bytes, len, 0, "image", &err));
        if (!image_open(fd, "image", IMAGE_QCOW2, &i, &err)) {
                must(err.status != ERR_NONE && !i);
                return 0;
        }
        look(i);
        walk(i);
        image_close(i);
        return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
        for (int n = 1; n < argc; n++) {
                struct err err = ERR_INIT;
                char *bytes = NULL;
                size_t len;

                must(io_read_file(argv[n], 64u << 20, &bytes, &len, &err));
                LLVMFuzzerTestOneInput((const uint8_t *)bytes, len);
                free(bytes);
        }
        return 0;
}
#endif
