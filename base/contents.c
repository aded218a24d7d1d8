/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The disk's likeness in memory: a memfd of its size, holes but for what has
 * been filled in.  First the disk's edges, then whatever describes more
 * partitions (the chain of an extended one lies in between), and of each
 * partition its edges while it is probed.
 *
 * What a disk holds is a guest's choice: at most PARTITIONS_MAX are looked at,
 * and memory holds the edges of the disk and of one of them.
 */
#include "base/contents.h"

#include <assert.h>
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/io.h"
#include "base/text.h"

#define PARTITIONS_MAX 128
#define PIECE          65536
#define SECTOR         512
/* Where disklabels within a partition begin. */
#define PARTITION_HEAD 16384

struct partition {
        uint64_t offset, size;
        bool extended;
};

struct disk {
        contents_read *read;
        void *arg;
        uint64_t size;
        int fd; /* its likeness */
        json_t *list;
        struct partition partitions[PARTITIONS_MAX];
        size_t count;
};

enum found {
        FOUND = 0,
        FOUND_NOTHING = 1,
        FOUND_SEVERAL = -2,
};

static void free_probe(blkid_probe *pr)
{
        blkid_free_probe(*pr);
}

static void json_release(json_t **v)
{
        json_decref(*v);
}

/* ---- the likeness ----------------------------------------------------- */

/* What of the range is on the disk. */
static bool fill(const struct disk *d, uint64_t offset, uint64_t len,
                 struct err *err)
{
        uint8_t bytes[PIECE];

        if (offset >= d->size)
                return true;
        if (len > d->size - offset)
                len = d->size - offset;
        while (len > 0) {
                size_t n = len < PIECE ? (size_t)len : PIECE;

                TRY(d->read(d->arg, offset, bytes, n, err));
                if (!bytes_are_zero(bytes, n))
                        TRY(io_pwrite_all(d->fd, bytes, n, offset, "memory",
                                          err));
                offset += n;
                len -= n;
        }
        return true;
}

static bool fill_edges(const struct disk *d, uint64_t offset, uint64_t size,
                       struct err *err)
{
        if (size <= 2 * CONTENTS_EDGE)
                return fill(d, offset, size, err);
        return fill(d, offset, CONTENTS_EDGE, err) &&
               fill(d, offset + size - CONTENTS_EDGE, CONTENTS_EDGE, err);
}

/* Where a boot record's link to the next one leads, from the extended
 * partition's start; 0: nowhere. */
static bool next_record(const uint8_t record[SECTOR], uint64_t *out,
                        struct err *err)
{
        struct cursor c;

        *out = 0;
        cursor_init(&c, record, SECTOR, 0, "boot record", err);
        TRY(cursor_skip(&c, "code", 446));
        for (unsigned i = 0; i < 4; i++) {
                const uint8_t *entry;
                uint32_t start;

                TRY(cursor_view(&c, "entry", 8, &entry));
                TRY(cursor_u32le(&c, "start", &start));
                TRY(cursor_skip(&c, "size", 4));
                if (*out == 0 &&
                    (entry[4] == 0x05 || entry[4] == 0x0f || entry[4] == 0x85))
                        *out = (uint64_t)start * SECTOR;
        }
        return true;
}

/* The boot records of the logical partitions, one of which leads to the
 * next. */
static bool fill_records(const struct disk *d, uint64_t extended,
                         struct err *err)
{
        uint64_t at = extended, next = 0;
        uint8_t record[SECTOR];

        for (unsigned i = 0; i < PARTITIONS_MAX; i++) {
                if (at > d->size || d->size - at < SECTOR)
                        return true;
                TRY(fill(d, at, SECTOR, err));
                TRY(d->read(d->arg, at, record, SECTOR, err));
                TRY(next_record(record, &next, err));
                if (next == 0)
                        return true;
                at = extended + next;
        }
        return true;
}

/* ---- probing ---------------------------------------------------------- */

/* *out: the caller's, also when it fails. */
static bool probe(const struct disk *d, uint64_t offset, uint64_t size,
                  bool tables, unsigned sector, blkid_probe *out,
                  enum found *found, struct err *err)
{
        blkid_probe pr = *out = blkid_new_probe();
        int rc;

        if (!pr)
                return err_nomem(err);
        errno = 0;
        if (blkid_probe_set_device(pr, d->fd, (blkid_loff_t)offset,
                                   (blkid_loff_t)size) != 0 ||
            blkid_probe_set_sectorsize(pr, sector) != 0)
                return err_os(err, errno, "libblkid");
        blkid_probe_enable_partitions(pr, tables);
        blkid_probe_enable_superblocks(pr, !tables);
        if (!tables)
                blkid_probe_set_superblocks_flags(
                        pr, BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
                                    BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
        rc = blkid_do_safeprobe(pr);
        if (rc == -1)
                return err_os(err, errno, "libblkid");
        *found = (enum found)rc;
        return true;
}

/* A value that is not UTF-8 is escaped. */
static bool set(json_t *entry, const char *key, const char *value)
{
        char safe[1024];
        json_t *string;

        if (!value || !value[0])
                return true;
        string = json_string(value);
        if (!string)
                string = json_string(text_escape(value, safe, sizeof safe));
        return json_object_set_new(entry, key, string) == 0;
}

static bool set_found(json_t *entry, const char *key, blkid_probe pr,
                      const char *name)
{
        const char *value = NULL;

        if (blkid_probe_lookup_value(pr, name, &value, NULL) != 0)
                return true;
        return set(entry, key, value);
}

static json_t *new_entry(uint64_t offset, uint64_t size)
{
        return json_pack("{s:I, s:I}", "offset", (json_int_t)offset, "size",
                         (json_int_t)size);
}

/* Takes entry. */
static bool append(const struct disk *d, json_t *entry, struct err *err)
{
        if (!entry || json_array_append_new(d->list, entry) != 0)
                return err_nomem(err);
        return true;
}

/* The file system, or whatever it is, of a range; an entry without a type
 * when there is none and `always`. */
static bool add_type(const struct disk *d, uint64_t offset, uint64_t size,
                     bool always, struct err *err)
{
        CLEANUP(free_probe) blkid_probe pr = NULL;
        CLEANUP(json_release) json_t *entry = NULL;
        enum found found;
        bool ok = true;

        TRY(probe(d, offset, size, false, SECTOR, &pr, &found, err));
        if (found == FOUND_NOTHING && !always)
                return true;
        entry = new_entry(offset, size);
        if (entry && found == FOUND_SEVERAL)
                ok = set(entry, "type", "ambivalent");
        else if (entry && found == FOUND)
                ok = set_found(entry, "type", pr, "TYPE") &&
                     set_found(entry, "usage", pr, "USAGE") &&
                     set_found(entry, "label", pr, "LABEL") &&
                     set_found(entry, "uuid", pr, "UUID");
        if (!ok)
                return err_nomem(err);
        return append(d, steal(entry), err);
}

/* ---- partitions ------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
        const struct partition *p = a, *q = b;

        if (p->offset != q->offset)
                return p->offset < q->offset ? -1 : 1;
        return p->size < q->size ? -1 : p->size > q->size;
}

static void take_partitions(struct disk *d, blkid_probe pr)
{
        blkid_partlist list = blkid_probe_get_partitions(pr);
        int count = list ? blkid_partlist_numof_partitions(list) : 0;

        d->count = 0;
        for (int i = 0; i < count && d->count < PARTITIONS_MAX; i++) {
                blkid_partition part = blkid_partlist_get_partition(list, i);
                uint64_t start = (uint64_t)blkid_partition_get_start(part);
                uint64_t sectors = (uint64_t)blkid_partition_get_size(part);
                struct partition *p = &d->partitions[d->count];

                /* What lies on the disk. */
                if (sectors == 0 || start >= d->size / SECTOR)
                        continue;
                if (sectors > d->size / SECTOR - start)
                        sectors = d->size / SECTOR - start;
                *p = (struct partition){start * SECTOR, sectors * SECTOR,
                                        blkid_partition_is_extended(part)};
                d->count++;
        }
        qsort(d->partitions, d->count, sizeof *d->partitions, by_offset);
}

/* A table tells of partitions, and they may tell of more. */
static bool find_partitions(struct disk *d, blkid_probe pr, unsigned sector,
                            struct err *err)
{
        CLEANUP(free_probe) blkid_probe again = NULL;
        enum found found;

        take_partitions(d, pr);
        for (size_t i = 0; i < d->count; i++) {
                const struct partition *p = &d->partitions[i];

                TRY(fill(d, p->offset,
                         p->size < PARTITION_HEAD ? p->size : PARTITION_HEAD,
                         err));
                if (p->extended)
                        TRY(fill_records(d, p->offset, err));
        }
        TRY(probe(d, 0, d->size, true, sector, &again, &found, err));
        take_partitions(d, again);
        return true;
}

static bool is_bare_protective(blkid_probe pr)
{
        const char *type = NULL;

        return blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL) == 0 &&
               type && strcmp(type, "PMBR") == 0;
}

static bool add_table(struct disk *d, struct err *err)
{
        CLEANUP(free_probe) blkid_probe pr = NULL, large = NULL;
        blkid_probe use;
        json_t *entry;
        unsigned sector = SECTOR;
        enum found found;
        bool ok;

        TRY(probe(d, 0, d->size, true, sector, &pr, &found, err));
        use = pr;
        /* A GPT of a disk with large sectors begins at the second of them. */
        if (found == FOUND && is_bare_protective(pr)) {
                sector = 4096;
                TRY(probe(d, 0, d->size, true, sector, &large, &found, err));
                use = large;
        }
        if (found == FOUND_NOTHING)
                return true;
        entry = new_entry(0, d->size);
        if (!entry)
                return err_nomem(err);
        ok = found == FOUND_SEVERAL
                     ? set(entry, "partition_table", "ambivalent")
                     : set_found(entry, "partition_table", use, "PTTYPE") &&
                               set_found(entry, "uuid", use, "PTUUID");
        TRY(append(d, entry, err));
        if (!ok)
                return err_nomem(err);
        return found != FOUND || find_partitions(d, use, sector, err);
}

static bool add_partition(const struct disk *d, const struct partition *p,
                          struct err *err)
{
        TRY(fill_edges(d, p->offset, p->size, err));
        TRY(add_type(d, p->offset, p->size, true, err));
        /* Not needed any more. */
        (void)fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)p->offset, (off_t)p->size);
        return true;
}

static bool probe_disk(struct disk *d, struct err *err)
{
        TRY(fill_edges(d, 0, d->size, err));
        TRY(add_table(d, err));
        TRY(add_type(d, 0, d->size, false, err));
        for (size_t i = 0; i < d->count; i++)
                TRY(add_partition(d, &d->partitions[i], err));
        return true;
}

bool contents_probe(contents_read *read, void *arg, uint64_t size, json_t **out,
                    struct err *err)
{
        CLEANUP_FD int fd = memfd_create("contents", MFD_CLOEXEC);
        CLEANUP(json_release) json_t *list = json_array();
        struct disk d = {
                .read = read, .arg = arg, .size = size, .fd = fd, .list = list};

        if (!list)
                return err_nomem(err);
        if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
                return err_os(err, errno, "memory for %llu bytes of disk",
                              (unsigned long long)size);
        if (size > 0)
                TRY(probe_disk(&d, err));
        *out = steal(list);
        return true;
}

/* ---- in words --------------------------------------------------------- */

static void add_words(const json_t *entry, char *out, size_t room)
{
        const char *table =
                json_string_value(json_object_get(entry, "partition_table"));
        const char *type = json_string_value(json_object_get(entry, "type"));
        const char *label = json_string_value(json_object_get(entry, "label"));
        const char *uuid = json_string_value(json_object_get(entry, "uuid"));
        long long offset = json_integer_value(json_object_get(entry, "offset"));
        char name[64], safe[64], at[32] = "", id[64] = "", called[72] = "";
        size_t used = strlen(out);

        if (!table && !type)
                return;
        if (table)
                snprintf(name, sizeof name, "%s partition table",
                         text_escape(table, safe, 32));
        else if (!strcmp(type, "ambivalent"))
                snprintf(name, sizeof name, "signatures of several kinds");
        else
                text_escape(type, name, sizeof name);
        if (label)
                snprintf(called, sizeof called, " '%s'",
                         text_escape(label, safe, sizeof safe));
        if (uuid)
                snprintf(id, sizeof id, " (UUID %s)",
                         text_escape(uuid, safe, 48));
        if (offset)
                snprintf(at, sizeof at, " at %lld", offset);
        snprintf(out + used, room - used, "%s%s%s%s%s", used ? "; " : "", name,
                 called, id, at);
}

const char *contents_words(const json_t *contents, char *out, size_t room)
{
        size_t i;
        json_t *entry;

        assert(room > 0);
        out[0] = '\0';
        json_array_foreach(contents, i, entry) add_words(entry, out, room);
        return out;
}
