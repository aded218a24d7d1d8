/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The stream's parser, the writer, both together as a save has them, and the
 * reader. */
#include "bench/micro.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/pool.h"
#include "format/writer.h"
#include "qemu/stream.h"
#include "restore/verify.h"
#include "save/capture.h"
#include "tests/tool/synth_stream.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a stream; the content twice. */
#define RAM (2 * MICRO_CONTENT)

struct streams {
        const struct micro *m;
        int in;   /* a stream in a file */
        int file; /* what is made of it; -1: /dev/null */
        int null;
        bool compress;
        unsigned threads;
        void (*receive)(int fd);
};

static bool put(void *arg, const void *bytes, size_t len)
{
        struct err err = ERR_INIT;

        if (!io_write_all(*(int *)arg, bytes, len, "stream", &err))
                micro_die("making a stream", &err);
        return true;
}

/* fd is at its end then. */
static void make_stream(const struct micro *m, int fd)
{
        static struct synth s = {
                .ram = MICRO_CONTENT,
                .content = SYNTH_GIVEN,
                .per_chunk = SYNTH_PER_CHUNK,
                .put = put,
        };
        uint8_t *twice = micro_alloc(RAM);

        memcpy(twice, m->content, MICRO_CONTENT);
        memcpy(twice + MICRO_CONTENT, m->content, MICRO_CONTENT);
        s.ram = RAM;
        s.given = twice;
        s.arg = &fd;
        synth_stream(&s);
        free(twice);
}

static bool told_item(void *arg, const struct stream_item *item,
                      struct err *err)
{
        (void)arg, (void)item, (void)err;
        return true;
}

static bool told_bytes(void *arg, const uint8_t *bytes, size_t len,
                       struct err *err)
{
        (void)arg, (void)bytes, (void)len, (void)err;
        return true;
}

static bool told(void *arg, struct err *err)
{
        (void)arg, (void)err;
        return true;
}

static bool told_blocks(void *arg, const struct ram_blocks *blocks,
                        struct err *err)
{
        (void)arg, (void)blocks, (void)err;
        return true;
}

static bool told_page(void *arg, unsigned block, uint64_t offset,
                      enum page_kind kind, const uint8_t *bytes, size_t len,
                      struct err *err)
{
        (void)block, (void)offset, (void)kind, (void)bytes, (void)err;
        *(uint64_t *)arg += len;
        return true;
}

static void parse(int fd)
{
        uint64_t ram = 0;
        const struct stream_events events = {
                .item_begin = told_item,
                .item_bytes = told_bytes,
                .item_end = told,
                .ram_start = told_blocks,
                .page = told_page,
                .ram_end = told,
                .vmdesc = told_bytes,
                .arg = &ram,
        };
        struct stream_options options = {.spool_dir = NULL};
        struct err err = ERR_INIT;
        struct source *source = NULL;
        struct stream *stream = NULL;

        if (!source_new(fd, "stream", NULL, NULL, &source, &err) ||
            !stream_new(source, &events, &options, &stream, &err) ||
            !stream_run(stream, &err) || ram != RAM)
                micro_die("the parser", &err);
        stream_free(stream);
        source_free(source);
}

/* What the parser cannot be faster than. */
static void drain(int fd)
{
        static uint8_t bytes[256 * KiB];
        struct err err = ERR_INIT;
        size_t len;

        do {
                if (!io_read_some(fd, bytes, sizeof bytes, &len, "stream",
                                  &err))
                        micro_die("reading", &err);
        } while (len);
}

static void rewind_fd(int fd)
{
        if (lseek(fd, 0, SEEK_SET) != 0)
                micro_die("lseek", NULL);
}

static double parse_file(void *arg)
{
        struct streams *s = arg;
        double begun;

        rewind_fd(s->in);
        begun = micro_wall();
        parse(s->in);
        return micro_wall() - begun;
}

struct sender {
        int fd;
        const uint8_t *bytes;
        size_t len;
};

/* As QEMU does: what is in memory, 32 KiB a call, then the end. */
static void *send_all(void *arg)
{
        struct sender *s = arg;
        struct err err = ERR_INIT;
        size_t now;

        for (; s->len; s->bytes += now, s->len -= now) {
                now = s->len < 32 * KiB ? s->len : 32 * KiB;
                if (!io_write_all(s->fd, s->bytes, now, "socket", &err))
                        micro_die("sending", &err);
        }
        close(s->fd);
        return NULL;
}

static double through_socket(void *arg)
{
        struct streams *s = arg;
        off_t len = lseek(s->in, 0, SEEK_END);
        void *bytes = mmap(NULL, (size_t)len, PROT_READ,
                           MAP_SHARED | MAP_POPULATE, s->in, 0);
        struct sender sender = {.bytes = bytes, .len = (size_t)len};
        pthread_t thread;
        double begun;
        int fds[2];

        if (bytes == MAP_FAILED ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
                micro_die("socketpair", NULL);
        sender.fd = fds[1];
        begun = micro_wall();
        if (pthread_create(&thread, NULL, send_all, &sender) != 0)
                micro_die("no thread", NULL);
        s->receive(fds[0]);
        begun = micro_wall() - begun;
        pthread_join(thread, NULL);
        close(fds[0]);
        munmap(bytes, (size_t)len);
        return begun;
}

/* A file in memory is written over: what the kernel takes to find free pages
 * is not what is asked here. */
static int target(const struct streams *s)
{
        if (s->file < 0)
                return s->null;
        rewind_fd(s->file);
        return s->file;
}

/* What the writer cannot be faster than. */
static double write_plain(void *arg)
{
        struct streams *s = arg;
        struct err err = ERR_INIT;
        int fd = target(s);
        double begun = micro_wall();

        for (uint64_t i = 0; i < RAM / CHUNK_SIZE; i++)
                if (!io_write_all(
                            fd, s->m->content + i * CHUNK_SIZE % MICRO_CONTENT,
                            CHUNK_SIZE, "memory", &err))
                        micro_die("writing", &err);
        return micro_wall() - begun;
}

static void one_chunk(struct writer *w, const struct streams *s, uint64_t i)
{
        struct err err = ERR_INIT;
        struct chunk *c;

        if (!writer_borrow(w, &c, &err))
                micro_die("the writer", &err);
        memcpy(c->bytes, s->m->content + i * CHUNK_SIZE % MICRO_CONTENT,
               CHUNK_SIZE);
        c->len = CHUNK_SIZE;
        strcpy(c->dir, "ram/pc.ram");
        c->address = i * CHUNK_SIZE;
        c->drop_zero = true;
        c->tag = i;
        if (!writer_submit(w, c, &err))
                micro_die("the writer", &err);
}

static double write_chunks(void *arg)
{
        struct streams *s = arg;
        struct writer_options options = {
                .compress = s->compress,
                .level = 1,
                .threads = s->threads,
        };
        struct err err = ERR_INIT;
        struct writer *w = NULL;
        int fd = target(s);
        double begun = micro_wall();
        json_t *manifest = json_object(), *state = json_object();

        if (!writer_new(fd, "snapshot", false, &options, &w, &err) ||
            !writer_manifest(w, manifest, &err))
                micro_die("the writer", &err);
        for (uint64_t i = 0; i < RAM / CHUNK_SIZE; i++)
                one_chunk(w, s, i);
        if (!writer_state(w, state, &err) || !writer_finish(w, &err))
                micro_die("the writer", &err);
        writer_free(w);
        json_decref(manifest);
        json_decref(state);
        return micro_wall() - begun;
}

static double capture(void *arg)
{
        struct streams *s = arg;
        json_t *manifest = json_object();
        struct capture_options options = {
                .compress = s->compress,
                .level = 1,
                .threads = s->threads,
                .manifest = manifest,
        };
        struct capture_report report;
        struct err err = ERR_INIT;
        int fd = target(s);
        double begun;

        json_object_set_new(manifest, "created",
                            json_string("2026-01-01T00:00:00Z"));
        json_object_set_new(
                manifest, "id",
                json_string("00000000-0000-4000-8000-000000000000"));
        json_object_set_new(manifest, "source", json_string("import"));
        rewind_fd(s->in);
        begun = micro_wall();
        if (!capture_run(s->in, "stream", fd, "snapshot", &options, &report,
                         &err))
                micro_die("capture", &err);
        begun = micro_wall() - begun;
        json_decref(manifest);
        return begun;
}

/* A snapshot of another size is none to write over. */
static void make_snapshot(struct streams *s, bool compress, unsigned threads)
{
        s->compress = compress;
        s->threads = threads;
        if (ftruncate(s->file, 0) != 0)
                micro_die("ftruncate", NULL);
        capture(s);
}

static double verify(void *arg)
{
        struct streams *s = arg;
        struct verify_options options = {.threads = s->threads};
        struct verify_report report;
        struct err err = ERR_INIT;
        double begun = micro_wall();

        rewind_fd(s->file);
        if (!verify_run(s->file, "snapshot", &options, &report, &err))
                micro_die("verify", &err);
        return micro_wall() - begun;
}

static int memory_file(void)
{
        int fd = memfd_create("micro", MFD_CLOEXEC);

        if (fd < 0)
                micro_die("memfd_create", NULL);
        return fd;
}

static void add_verify(struct micro *m, struct streams *s)
{
        struct micro_case c = {.run = verify, .arg = s, .bytes = RAM};
        unsigned most = pool_default_threads();
        char of[48];

        make_snapshot(s, true, most);
        for (s->threads = 1; s->threads <= most; s->threads *= 2) {
                micro_add(m, &c, "verify, zstd:1, %u workers", s->threads);
                snprintf(of, sizeof of, "decompression x %u", s->threads);
                micro_against(m, of, m->unpacking * s->threads, 1.0);
        }
        make_snapshot(s, false, most);
        micro_add(m, &c, "verify, none, %u workers", most);
}

void micro_stream(struct micro *m)
{
        CLEANUP_FD int in = memory_file(), file = memory_file(), disk = -1;
        CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        struct streams s = {.m = m, .in = in, .file = file, .null = null};
        struct micro_case c = {.arg = &s, .bytes = RAM, .goal = 0.4};
        struct err err = ERR_INIT;

        if (null < 0 || !io_open_unlinked(NULL, &disk, &err))
                micro_die("opening", &err);
        make_stream(m, in);
        make_stream(m, disk);
        c.run = parse_file;
        micro_add(m, &c, "stream parser, from memory");
        s.in = disk;
        micro_add(m, &c, "stream parser, from a cached file");
        s.in = in;
        c.run = through_socket;
        s.receive = parse;
        micro_add(m, &c, "stream parser, from a socket and its sender");
        s.receive = drain;
        c.goal = 0;
        micro_add(m, &c, "a socket and its sender, nothing parsed");
        c.goal = 0.4;
        s.threads = pool_default_threads();
        c.run = write_chunks;
        s.file = -1;
        micro_add(m, &c, "writer, none, to /dev/null");
        s.file = file;
        micro_add(m, &c, "writer, none, to memory");
        c.goal = 0;
        c.run = write_plain;
        micro_add(m, &c, "write() alone, to memory");
        c.run = capture;
        s.file = -1;
        micro_add(m, &c, "stream to snapshot, none, to /dev/null");
        s.file = file;
        micro_add(m, &c, "stream to snapshot, none, to memory");
        add_verify(m, &s);
}
