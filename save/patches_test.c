/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "save/patches.h"

#include "base/limits.h"
#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define PLACES 11
#define ROUNDS 40
#define PAGE   4096U

/* Bytes that files without a name take on disk. */
static uint64_t unlinked_bytes(void)
{
        DIR *dir = opendir("/proc/self/fd");
        uint64_t bytes = 0;
        struct dirent *e;
        struct stat st;

        while ((e = readdir(dir)))
                if (fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
                    S_ISREG(st.st_mode) && st.st_nlink == 0)
                        bytes += (uint64_t)st.st_blocks * 512;
        closedir(dir);
        return bytes;
}

static void the_last_content_counts_and_takes_room_once(void **state)
{
        uint64_t before = unlinked_bytes(), most;
        uint8_t page[PAGE], got[PAGE];
        struct err err = ERR_INIT;
        struct patches *p;

        (void)state;
        assert_true(patches_new(".", &p, &err));
        for (uint32_t i = 0; i < PLACES; i++)
                assert_int_equal(patches_place(p), i);
        for (unsigned round = 0; round < ROUNDS; round++)
                for (uint32_t i = 0; i < PLACES; i++)
                        for (size_t at = 0; at < 64 * PAGE; at += PAGE) {
                                memset(page, (int)(round + i), PAGE);
                                page[7] = (uint8_t)(at / PAGE);
                                assert_true(patches_write(p, i, at, page, PAGE,
                                                          &err));
                        }
        most = unlinked_bytes() - before;
        /* Of these places a quarter was written, and some are in memory. */
        assert_in_range(most, PAGE, PLACES * CHUNK_SIZE / 4);
        for (uint32_t i = 0; i < PLACES; i++) {
                memset(page, (int)(ROUNDS - 1 + i), PAGE);
                page[7] = 63;
                assert_true(patches_read(p, i, 63 * PAGE, got, PAGE, &err));
                assert_memory_equal(got, page, PAGE);
        }
        patches_free(p);
        assert_int_equal(unlinked_bytes(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(the_last_content_counts_and_takes_room_once),
        };

        return cmocka_run_group_tests_name("save/patches", tests, NULL, NULL);
}
