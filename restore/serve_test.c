/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/fixture.h"

#include "restore/serve.h"
#include "restore/state.h"

#include <signal.h>
#include <sys/socket.h>

#define PAGE 4096

/* The target, as far as pages go. */
struct peer {
        struct state saved;
        struct reader *reader;
        struct places *places;
        struct layout layout;
        struct return_path back;
        struct server *server;
        int file, fds[2]; /* fds[1] is the target's */
        /* What came, in order: RAMBlock and page. */
        struct {
                int block;
                uint64_t page;
        } came[1024];
        size_t count;
        bool ended; /* by the end of the stream, not of the connection */
};

static const char *const dirs[] = {"ram/pc.ram", "ram/rom"};
static const uint64_t sizes[] = {RAM_SIZE, ROM_SIZE};
static const uint64_t host_pages[] = {PAGE, PAGE};

static void begin(struct peer *p, int file, const struct working_set *first,
                  struct working_set *record)
{
        struct reader_options how = {.threads = 0};
        struct serve_options o = {.layout = &p->layout,
                                  .devices = &p->saved.devices,
                                  .threads = 1,
                                  .first = first,
                                  .record = record};
        struct err err = ERR_INIT;

        memset(p, 0, sizeof *p);
        p->file = file;
        assert_done(state_read(file, "snapshot", &p->saved, &err), &err);
        assert_done(reader_open(file, "snapshot", &how, &p->reader, &err),
                    &err);
        assert_done(places_new(p->reader, dirs, sizes, 2, &p->places, &err),
                    &err);
        p->layout = (struct layout){.ram = &p->saved.devices.ram,
                                    .host_pages = host_pages,
                                    .page_size = PAGE,
                                    .places = p->places};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fds), 0);
        return_path_init(&p->back, p->fds[0]);
        o.back = &p->back;
        assert_done(server_new(p->fds[0], "the target", &o, &p->server, &err),
                    &err);
}

static void end(struct peer *p)
{
        server_free(p->server);
        places_free(p->places);
        reader_close(p->reader);
        state_fini(&p->saved);
        close(p->file);
        close(p->fds[0]);
        close(p->fds[1]);
}

static void ask(struct peer *p, const char *block, uint64_t start, uint32_t len)
{
        uint8_t bytes[64];
        struct emit e;

        emit_init(&e, bytes, sizeof bytes);
        emit_u16be(&e, 3);
        emit_u16be(&e, (uint16_t)(13 + strlen(block)));
        emit_u64be(&e, start);
        emit_u32be(&e, len);
        emit_str8(&e, block);
        assert_int_equal(write(p->fds[1], bytes, e.len), e.len);
}

/* false: at the end of the connection. */
static bool get(struct peer *p, void *out, size_t len)
{
        uint8_t *at = out;

        while (len > 0) {
                ssize_t n = read(p->fds[1], at, len);

                if (n <= 0)
                        return false;
                at += n;
                len -= (size_t)n;
        }
        return true;
}

static uint64_t get64(struct peer *p)
{
        uint8_t b[8];
        uint64_t v = 0;

        assert_true(get(p, b, 8));
        for (int i = 0; i < 8; i++)
                v = v << 8 | b[i];
        return v;
}

static void note(struct peer *p, int block, uint64_t page)
{
        for (size_t i = 0; i < p->count; i++)
                if (p->came[i].block == block && p->came[i].page == page)
                        fail_msg("page %#lx comes twice", (long)page);
        assert_true(p->count < 1024);
        p->came[p->count].block = block;
        p->came[p->count++].page = page;
}

static void check_page(int block, uint64_t offset, const uint8_t *bytes)
{
        for (size_t i = 0; i < PAGE; i++) {
                uint64_t at = offset + i;
                uint64_t in = at % CHUNK_SIZE;
                uint8_t want = (uint8_t)(in / 512 + at / CHUNK_SIZE);

                if (bytes[i] != (block == 0 ? want : 0))
                        fail_msg("byte %#lx is %u", (long)at, bytes[i]);
        }
}

/* Records up to the section's end. */
static void section(struct peer *p)
{
        uint8_t bytes[PAGE];
        char name[256];
        int block = -1;

        for (;;) {
                uint64_t word = get64(p), flags = word % PAGE;
                uint64_t offset = word - flags;
                uint8_t len;

                if (flags == 0x10)
                        break;
                if (!(flags & 0x20)) {
                        assert_true(get(p, &len, 1) && get(p, name, len));
                        name[len] = '\0';
                        block = strcmp(name, "rom") == 0;
                }
                memset(bytes, 0, PAGE);
                if ((flags & 0xf) == 8)
                        assert_true(get(p, bytes, PAGE));
                else
                        assert_true((flags & 0xf) == 2 && get(p, bytes, 1) &&
                                    bytes[0] == 0);
                check_page(block, offset, bytes);
                note(p, block, offset / PAGE);
        }
        assert_true(get(p, bytes, 5));
        assert_memory_equal(bytes, "\x7e\0\0\0\2", 5);
}

static void receive(struct peer *p)
{
        uint8_t head[5];

        while (get(p, head, 5)) {
                if (head[0] == 3) {
                        assert_int_equal(get64(p), 0x10);
                        assert_true(get(p, head, 5) && get(p, head, 1));
                        assert_int_equal(head[0], 0);
                        p->ended = true;
                        return;
                }
                assert_memory_equal(head, "\2\0\0\0\2", 5);
                section(p);
        }
}

static bool serve(struct peer *p, struct err *err)
{
        struct err failed = ERR_INIT;

        assert_done(server_start(p->server, &failed), &failed);
        server_may_end(p->server);
        receive(p);
        assert_true(server_ended(p->server, 5000));
        return server_result(p->server, err);
}

static void all_content_comes_once_and_in_order(void **state)
{
        struct fixture f = {.again = 1};
        struct err err = ERR_INIT;
        struct serve_counts c;
        struct peer p;

        (void)state;
        begin(&p, fixture_new(&f), NULL, NULL);
        assert_done(serve(&p, &err), &err);
        assert_true(p.ended);
        /* The ROM is zeros: it need not come. */
        assert_int_equal(p.count, RAM_SIZE / PAGE);
        for (size_t i = 0; i < p.count; i++)
                assert_int_equal(p.came[i].page, i);
        server_counts(p.server, &c);
        assert_int_equal(c.content_bytes, RAM_SIZE);
        assert_int_equal(c.done_bytes, RAM_SIZE);
        assert_int_equal(c.requests, 0);
        end(&p);
}

static void what_is_asked_for_comes_first(void **state)
{
        struct fixture f = {.again = 0};
        struct working_set record = {0};
        struct err err = ERR_INIT;
        struct serve_counts c;
        struct peer p;

        (void)state;
        begin(&p, fixture_new(&f), NULL, &record);
        ask(&p, "pc.ram", 0x80000, PAGE);
        ask(&p, "rom", 0, PAGE);
        ask(&p, "pc.ram", 0x80000, PAGE); /* it is on its way */
        ask(&p, "pc.ram", CHUNK_SIZE, 2 * PAGE);
        assert_done(serve(&p, &err), &err);
        assert_int_equal(p.count, RAM_SIZE / PAGE + 1);
        assert_int_equal(p.came[0].page, 0x80);
        assert_int_equal(p.came[1].block, 1);
        assert_int_equal(p.came[2].page, 0x100);
        assert_int_equal(p.came[3].page, 0x101);
        /* The neighbourhood of the latest request in a chunk that has more. */
        assert_int_equal(p.came[4].page, 0x81);
        assert_int_equal(p.came[4 + 0x7e].page, 0xff);
        assert_int_equal(p.came[4 + 0x7f].page, 0);
        server_counts(p.server, &c);
        assert_int_equal(c.requests, 4);
        assert_true(c.p50_us <= c.p99_us && c.p99_us <= c.max_us);
        assert_int_equal(record.count, 4);
        assert_int_equal(record.list[0].page, 0x80);
        assert_int_equal(record.list[1].block, 1);
        working_set_fini(&record);
        end(&p);
}

/* Only when it may: what is asked for until then is answered. */
static void the_end_waits(void **state)
{
        struct fixture f = {.again = 0};
        struct err err = ERR_INIT;
        uint8_t head[5];
        struct peer p;

        (void)state;
        begin(&p, fixture_new(&f), NULL, NULL);
        assert_done(server_start(p.server, &err), &err);
        while (p.count < RAM_SIZE / PAGE) {
                assert_true(get(&p, head, 5));
                assert_memory_equal(head, "\2\0\0\0\2", 5);
                section(&p);
        }
        assert_false(server_ended(p.server, 100));
        ask(&p, "rom", 0, PAGE);
        assert_true(get(&p, head, 5));
        section(&p);
        assert_int_equal(p.came[p.count - 1].block, 1);
        server_may_end(p.server);
        receive(&p);
        assert_true(p.ended);
        assert_true(server_ended(p.server, 5000));
        assert_done(server_result(p.server, &err), &err);
        end(&p);
}

static void a_working_set_comes_before_the_rest(void **state)
{
        struct fixture f = {.again = 0};
        struct working_set first = {0};
        struct err err = ERR_INIT;
        struct peer p;

        (void)state;
        working_set_add(&first, 0, 0x101);
        working_set_add(&first, 0, 0x22);
        working_set_add(&first, 0, 0x11);
        begin(&p, fixture_new(&f), &first, NULL);
        assert_done(serve(&p, &err), &err);
        assert_int_equal(p.count, RAM_SIZE / PAGE);
        /* Chunks in the order of first touches, pages in order. */
        assert_int_equal(p.came[0].page, 0x101);
        assert_int_equal(p.came[1].page, 0x11);
        assert_int_equal(p.came[2].page, 0x22);
        assert_int_equal(p.came[3].page, 0);
        working_set_fini(&first);
        end(&p);
}

static void what_is_there_is_not_sent_again(void **state)
{
        struct fixture f = {.again = 0};
        struct err err = ERR_INIT;
        uint64_t pages;
        uint8_t *sent;
        struct peer p;

        (void)state;
        begin(&p, fixture_new(&f), NULL, NULL);
        sent = server_sent(p.server, 0, &pages);
        assert_int_equal(pages, RAM_SIZE / PAGE);
        memset(sent, 0xff, 32); /* the first chunk */
        sent[0] = 0xfe;
        assert_done(serve(&p, &err), &err);
        assert_int_equal(p.count, 3);
        assert_int_equal(p.came[0].page, 0);
        assert_int_equal(p.came[1].page, 0x100);
        end(&p);
}

static void a_damaged_chunk_ends_it(void **state)
{
        struct fixture f = {.plain = true};
        struct err err = ERR_INIT;
        uint8_t *bytes;
        size_t len;
        struct peer p;

        (void)state;
        for (int asked = 0; asked < 2; asked++) {
                int file = fixture_new(&f);
                size_t at = 0;

                begin(&p, file, NULL, NULL);
                bytes = fixture_bytes(file, &len);
                while (strncmp((char *)bytes + at,
                               "ram/pc.ram/0000000000100000", 27))
                        at += 512;
                bytes[at + 512 + 5000] ^= 1;
                assert_int_equal(pwrite(file, bytes, len, 0), len);
                free(bytes);
                if (asked)
                        ask(&p, "pc.ram", CHUNK_SIZE, PAGE);
                assert_false(serve(&p, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
                assert_string_equal(err.section, "ram/pc.ram/0000000000100000");
                assert_false(p.ended);
                for (size_t i = 0; i < p.count; i++)
                        assert_true(p.came[i].page < 0x100);
                err_clear(&err);
                end(&p);
        }
}

static void what_cannot_be_asked_for_ends_it(void **state)
{
        static const struct {
                const char *block;
                uint64_t start;
                uint32_t len;
        } bad[] = {
                {"other", 0, PAGE},         {"pc.ram", 1, PAGE},
                {"pc.ram", 0, 0},           {"pc.ram", 0, 100},
                {"pc.ram", RAM_SIZE, PAGE}, {"pc.ram", UINT64_MAX - 4095, PAGE},
                {"rom", 0, 2 * PAGE},
        };

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct fixture f = {.again = 0};
                struct err err = ERR_INIT;
                struct peer p;

                begin(&p, fixture_new(&f), NULL, NULL);
                ask(&p, bad[i].block, bad[i].start, bad[i].len);
                assert_false(serve(&p, &err));
                assert_int_equal(err.status, ERR_QEMU);
                end(&p);
        }
}

static void a_target_that_goes_is_noticed(void **state)
{
        struct fixture f = {.again = 0};
        struct err err = ERR_INIT;
        struct peer p;

        (void)state;
        begin(&p, fixture_new(&f), NULL, NULL);
        shutdown(p.fds[1], SHUT_RDWR);
        assert_false(serve(&p, &err));
        assert_int_equal(err.status, ERR_QEMU);
        assert_non_null(strstr(err.why, "closed the connection"));
        end(&p);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(all_content_comes_once_and_in_order),
                cmocka_unit_test(what_is_asked_for_comes_first),
                cmocka_unit_test(the_end_waits),
                cmocka_unit_test(a_working_set_comes_before_the_rest),
                cmocka_unit_test(what_is_there_is_not_sent_again),
                cmocka_unit_test(a_damaged_chunk_ends_it),
                cmocka_unit_test(what_cannot_be_asked_for_ends_it),
                cmocka_unit_test(a_target_that_goes_is_noticed),
        };

        signal(SIGPIPE, SIG_IGN);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
