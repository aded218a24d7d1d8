/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qcow/image.h"

#include "base/io.h"
#include "base/text.h"
#include "qcow/cluster.h"
#include "qcow/extra.h"
#include "qcow/map.h"
#include "qcow/qcow2_format.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mappings that are put together to one extent, at most: bounds the time that
 * one question takes. */
#define JOINED 1024

struct extent {
        uint64_t offset, len;
        enum extent_kind kind;
};

struct image {
        int fd;
        char name[256]; /* escaped */
        enum image_format format;
        uint64_t file_size;
        uint64_t size; /* virtual */
        /* The last that was found: an image under others in a chain is asked
         * about one extent of its own many times. */
        struct extent known;
        /* qcow2 */
        struct qcow2_header header;
        struct extra extra;
        struct region *regions;
        struct map_place place;
        struct map *map;
        struct cluster_reader *clusters; /* compressed ones; made when needed */
        struct map *state_map;           /* of the snapshot state_of, or NULL */
        size_t state_of;
};

bool image_format_named(const char *name, enum image_format *out)
{
        /* The latter two are what sits on a file or device by itself. */
        if (strcmp(name, "raw") == 0 || strcmp(name, "file") == 0 ||
            strcmp(name, "host_device") == 0)
                *out = IMAGE_RAW;
        else if (strcmp(name, "qcow2") == 0)
                *out = IMAGE_QCOW2;
        else
                return false;
        return true;
}

const char *image_format_name(enum image_format format)
{
        return format == IMAGE_QCOW2 ? "qcow2" : "raw";
}

static void add_region(struct image *i, uint64_t offset, uint64_t bytes)
{
        if (bytes)
                i->regions[i->place.region_count++] = (struct region){
                        .offset = offset,
                        .bytes = bytes,
                };
}

static bool find_regions(struct image *i, struct err *err)
{
        const struct qcow2_header *h = &i->header;

        i->regions = calloc(i->extra.snapshot_count + 5, sizeof *i->regions);
        if (!i->regions)
                return err_nomem(err);
        add_region(i, 0, 1ull << h->cluster_bits);
        add_region(i, h->l1_offset, h->l1_entries * 8ull);
        add_region(i, h->refcount_offset, h->refcount_bytes);
        add_region(i, h->snapshots_offset, i->extra.snapshots_bytes);
        add_region(i, h->bitmaps_offset, h->bitmaps_bytes);
        for (size_t n = 0; n < i->extra.snapshot_count; n++)
                add_region(i, i->extra.snapshots[n].l1_offset,
                           i->extra.snapshots[n].l1_entries * 8ull);
        i->place.regions = i->regions;
        return regions_sort(i->regions, i->place.region_count, err);
}

static bool open_qcow2(struct image *i, struct err *err)
{
        const struct qcow2_header *h = &i->header;

        TRY(qcow2_header_read(i->fd, i->name, i->file_size, &i->header, err));
        i->size = h->size;
        i->place = (struct map_place){
                .fd = i->fd,
                .name = i->name,
                .h = h,
                .file_size = i->file_size,
        };
        return extra_read(&i->place, &i->extra, err) && find_regions(i, err) &&
               map_new(&i->place, h->l1_offset, h->l1_entries, i->size, &i->map,
                       err);
}

/* A block device tells its size only by its end. */
static bool measure(struct image *i, struct err *err)
{
        struct stat st;
        off_t end;

        if (fstat(i->fd, &st) != 0)
                return err_os(err, errno, "stat");
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return err_set(err, ERR_UNSUPPORTED,
                               "neither a file nor a block device");
        end = lseek(i->fd, 0, SEEK_END);
        if (end < 0)
                return err_os(err, errno, "seek");
        i->file_size = (uint64_t)end;
        /* As QEMU has it: whole sectors, what is missing is zeros. */
        i->size = (i->file_size + 511) / 512 * 512;
        return true;
}

bool image_open(int fd, const char *name, enum image_format format,
                struct image **out, struct err *err)
{
        struct image *i = calloc(1, sizeof *i);

        if (!i)
                return err_nomem(err);
        *i = (struct image){.fd = fd, .format = format};
        text_escape(name, i->name, sizeof i->name);
        if (!measure(i, err) ||
            (format == IMAGE_QCOW2 && !open_qcow2(i, err))) {
                err_in_file(err, i->name);
                image_close(i);
                return false;
        }
        *out = i;
        return true;
}

void image_close(struct image *i)
{
        if (!i)
                return;
        map_free(i->map);
        map_free(i->state_map);
        free(i->regions);
        cluster_reader_free(i->clusters);
        extra_fini(&i->extra);
        qcow2_header_fini(&i->header);
        free(i);
}

uint64_t image_size(const struct image *i)
{
        return i->size;
}

uint32_t image_cluster_size(const struct image *i)
{
        return i->format == IMAGE_QCOW2 ? 1u << i->header.cluster_bits : 0;
}

uint32_t image_granularity(const struct image *i)
{
        if (i->format == IMAGE_RAW)
                return 512;
        return image_cluster_size(i) /
               (i->header.extended_l2 ? QCOW2_SUBCLUSTERS : 1);
}

/* ---- raw ----------------------------------------------------------------- */

/* A file system that knows no holes says that all is data. */
static bool raw_extent(struct image *i, uint64_t offset, uint64_t *len_out,
                       enum extent_kind *kind_out, struct err *err)
{
        off_t data, hole;
        uint64_t end;

        *kind_out = EXTENT_ZERO;
        *len_out = i->size - offset;
        if (offset >= i->file_size)
                return true;
        data = lseek(i->fd, (off_t)offset, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
                return true;
        if (data < 0)
                data = (off_t)offset;
        if (data / 512 > (off_t)(offset / 512)) {
                *len_out = (uint64_t)data / 512 * 512 - offset;
                return true;
        }
        hole = lseek(i->fd, data, SEEK_HOLE);
        if (hole < 0 && errno != EINVAL) {
                err_os(err, errno, "SEEK_HOLE");
                return err_in_file(err, i->name);
        }
        end = hole < 0 ? i->size : ((uint64_t)hole + 511) / 512 * 512;
        *kind_out = EXTENT_DATA;
        *len_out = (end < i->size ? end : i->size) - offset;
        return true;
}

/* What is behind the file's end is zeros. */
static bool read_padded(struct image *i, uint64_t host, uint8_t *bytes,
                        size_t len, struct err *err)
{
        size_t have = len;

        if (host >= i->file_size)
                have = 0;
        else if (have > i->file_size - host)
                have = (size_t)(i->file_size - host);
        memset(bytes + have, 0, len - have);
        return io_pread_all(i->fd, bytes, have, host, i->name, err);
}

/* ---- both ---------------------------------------------------------------- */

static bool mapped_extent(struct image *i, uint64_t offset, uint64_t *len_out,
                          enum extent_kind *kind_out, struct err *err)
{
        struct mapping m;

        TRY(map_find(i->map, offset, &m, err));
        *kind_out = m.kind;
        *len_out = m.len;
        for (int n = 1; n < JOINED && offset + *len_out < i->size; n++) {
                TRY(map_find(i->map, offset + *len_out, &m, err));
                if (m.kind != *kind_out)
                        break;
                *len_out += m.len;
        }
        return true;
}

bool image_extent(struct image *i, uint64_t offset, uint64_t *len_out,
                  enum extent_kind *kind_out, struct err *err)
{
        struct extent *k = &i->known;

        assert(offset < i->size);
        if (offset < k->offset || offset - k->offset >= k->len) {
                k->len = 0;
                TRY((i->format == IMAGE_RAW ? raw_extent : mapped_extent)(
                        i, offset, len_out, kind_out, err));
                *k = (struct extent){offset, *len_out, *kind_out};
        }
        *len_out = k->len - (offset - k->offset);
        *kind_out = k->kind;
        return true;
}

static bool read_compressed(struct image *i, uint64_t offset,
                            const struct mapping *m, uint8_t *bytes, size_t len,
                            struct err *err)
{
        uint64_t cluster = 1ull << i->header.cluster_bits;

        if (!i->clusters)
                TRY(cluster_reader_new(i->fd, i->name, &i->header, &i->clusters,
                                       err));
        return cluster_read(i->clusters, m->host, m->compressed,
                            offset & (cluster - 1), bytes, len, err);
}

/* How much of len bytes at offset lies in the file in one piece that begins
 * with m. */
static bool contiguous(struct map *map, const struct mapping *m,
                       uint64_t offset, size_t len, size_t *now,
                       struct err *err)
{
        struct mapping next;

        while (*now < len) {
                TRY(map_find(map, offset + *now, &next, err));
                if (next.kind != EXTENT_DATA || next.compressed ||
                    next.host != m->host + *now)
                        break;
                *now = next.len < len - *now ? *now + (size_t)next.len : len;
        }
        return true;
}

/* What a map says of a range; what is not there is zeros. */
static bool read_mapped(struct image *i, struct map *map, uint64_t offset,
                        uint8_t *bytes, size_t len, struct err *err)
{
        while (len > 0) {
                struct mapping m;
                size_t now;

                TRY(map_find(map, offset, &m, err));
                now = m.len < len ? (size_t)m.len : len;
                if (m.kind != EXTENT_DATA) {
                        memset(bytes, 0, now);
                } else if (m.compressed) {
                        TRY(read_compressed(i, offset, &m, bytes, now, err));
                } else {
                        TRY(contiguous(map, &m, offset, len, &now, err));
                        TRY(io_pread_all(i->fd, bytes, now, m.host, i->name,
                                         err));
                }
                offset += now;
                bytes += now;
                len -= now;
        }
        return true;
}

bool image_read(struct image *i, uint64_t offset, uint8_t *bytes, size_t len,
                struct err *err)
{
        return i->format == IMAGE_RAW
                       ? read_padded(i, offset, bytes, len, err)
                       : read_mapped(i, i->map, offset, bytes, len, err);
}

/* ---- what else is in a qcow2 image --------------------------------------- */

const char *image_backing_name(const struct image *i)
{
        return i->header.backing_name;
}

const char *image_backing_format(const struct image *i)
{
        return i->header.backing_format[0] ? i->header.backing_format : NULL;
}

size_t image_bitmaps(const struct image *i)
{
        return i->extra.bitmap_count;
}

const char *image_bitmap_name(const struct image *i, size_t n)
{
        return i->extra.bitmaps[n];
}

size_t image_snapshots(const struct image *i)
{
        return i->extra.snapshot_count;
}

struct image_snapshot image_snapshot_at(const struct image *i, size_t n)
{
        return i->extra.snapshots[n].shown;
}

static bool load_state_map(struct image *i, size_t n, struct err *err)
{
        const struct extra_snapshot *s = &i->extra.snapshots[n];

        if (i->state_map && i->state_of == n)
                return true;
        map_free(i->state_map);
        i->state_map = NULL;
        i->state_of = n;
        return map_new(&i->place, s->l1_offset, s->l1_entries,
                       s->vm_state_at + s->shown.vm_state_size, &i->state_map,
                       err);
}

bool image_vm_state_read(struct image *i, size_t n, uint64_t offset,
                         uint8_t *bytes, size_t len, struct err *err)
{
        const struct extra_snapshot *s = &i->extra.snapshots[n];

        if (offset > s->shown.vm_state_size ||
            len > s->shown.vm_state_size - offset) {
                err_set(err, ERR_TRUNCATED,
                        "the VM state ends after %llu bytes",
                        (unsigned long long)s->shown.vm_state_size);
                return err_in_file(err, i->name);
        }
        return load_state_map(i, n, err) &&
               read_mapped(i, i->state_map, s->vm_state_at + offset, bytes, len,
                           err);
}
