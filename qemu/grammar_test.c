/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/grammar.h"

#include "qemu/stream_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct item {
        const char *kind;
        const void *bytes;
        size_t len;
};

struct recording {
        struct fixture f;
        struct item items[16];
        unsigned count;
        char json[5000];
};

static void keep(struct recording *r, const char *kind, size_t begin)
{
        r->items[r->count++] =
                (struct item){kind, r->f.bytes + begin, r->f.e.len - begin};
}

/* A small recording, item by item, after spec/migration-stream.md. */
static void record(struct recording *r)
{
        static const uint8_t end[] = {3, 0, 0, 0,   FIXTURE_RAM_ID, 0, 0, 0, 0,
                                      0, 0, 0, 0x10};
        struct fixture *f = &r->f;
        size_t at;

        r->count = 0;
        fixture_begin(f, true, "pc-test-1");
        r->items[r->count++] = (struct item){"header", f->bytes, 8};
        keep(r, "configuration", 8);
        at = f->e.len;
        fixture_ram_start(f);
        keep(r, "start", at);
        at = f->e.len;
        emit_bytes(&f->e, end, sizeof end);
        fixture_footer(f, FIXTURE_RAM_ID);
        keep(r, "end", at);
        at = f->e.len;
        fixture_device(f, 4, "timer", 0, 24, 1, 24);
        keep(r, "full", at);
        at = f->e.len;
        fixture_device(f, 5, "serial", 1, 11, 1, 11);
        keep(r, "full", at);
        at = f->e.len;
        fixture_eof(f, false);
        keep(r, "eof", at);
        snprintf(r->json, sizeof r->json, "{\"devices\": [%s]}", f->vmdesc);
}

static bool check(const struct recording *r, struct err *err)
{
        struct grammar *g;
        bool ok;

        assert_true(grammar_new(&g, err));
        ok = true;
        for (unsigned i = 0; ok && i < r->count; i++)
                ok = grammar_begin(g, i, r->items[i].kind, "item", err) &&
                     grammar_bytes(g, r->items[i].bytes, r->items[i].len,
                                   err) &&
                     grammar_end(g, err);
        ok = ok &&
             grammar_vmdesc(g, (const uint8_t *)r->json, strlen(r->json), err);
        ok = ok && grammar_finish(g, err);
        if (ok)
                assert_string_equal(grammar_machine(g), "pc-test-1");
        grammar_free(g);
        return ok;
}

static void recording_is_accepted(void **state)
{
        static struct recording r;
        struct err err = ERR_INIT;

        (void)state;
        record(&r);
        assert_true(check(&r, &err));
}

/* Items of block migration among the others; `more`: bytes before the footer
 * of its END. */
static void record_disks(struct recording *r, const char *more)
{
        static struct fixture f;
        size_t at;

        record(r);
        emit_init(&f.e, f.bytes, sizeof f.bytes);
        f.footers = true;
        fixture_section(&f, 1, 1, "block", 0, 1);
        emit_u64be(&f.e, 2);
        fixture_footer(&f, 1);
        memmove(&r->items[3], &r->items[2], 5 * sizeof *r->items);
        r->items[2] = (struct item){"start", f.bytes, f.e.len};
        at = f.e.len;
        emit_u8(&f.e, 3);
        emit_u32be(&f.e, 1);
        emit_u64be(&f.e, 2);
        emit_bytes(&f.e, more, strlen(more));
        fixture_footer(&f, 1);
        memmove(&r->items[5], &r->items[4], 4 * sizeof *r->items);
        r->items[4] = (struct item){"end", f.bytes + at, f.e.len - at};
        r->count += 2;
}

static void disks_are_sections_without_records(void **state)
{
        static struct recording r;
        struct err err = ERR_INIT;

        (void)state;
        record_disks(&r, "");
        assert_true(check(&r, &err));
        record_disks(&r, "more");
        assert_false(check(&r, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        err_clear(&err);
        record_disks(&r, "");
        r.items[4].kind = "part";
        *(uint8_t *)(uintptr_t)r.items[4].bytes = 2;
        assert_false(check(&r, &err));
        assert_non_null(strstr(err.why, "block migration"));
}

static void missing_item_is_found(void **state)
{
        static struct recording r;

        (void)state;
        for (unsigned gone = 0; gone < 7; gone++) {
                struct err err = ERR_INIT;

                record(&r);
                r.count--;
                memmove(&r.items[gone], &r.items[gone + 1],
                        (r.count - gone) * sizeof *r.items);
                /* A stream may have no configuration; a background snapshot
                 * has no end of RAM. */
                if (gone == 1 || gone == 3)
                        continue;
                assert_false(check(&r, &err));
                assert_int_equal(err.status, ERR_CORRUPT);
        }
}

static void exchanged_items_are_found(void **state)
{
        static struct recording r;

        (void)state;
        for (unsigned i = 0; i + 1 < 7; i++) {
                struct err err = ERR_INIT;
                struct item kept;

                record(&r);
                kept = r.items[i];
                r.items[i] = r.items[i + 1];
                r.items[i + 1] = kept;
                if (i == 3) /* nothing says that END must come before FULL */
                        continue;
                assert_false(check(&r, &err));
        }
}

static void footer_of_another_section_is_found(void **state)
{
        static struct recording r;
        struct err err = ERR_INIT;

        (void)state;
        record(&r);
        ((uint8_t *)(uintptr_t)r.items[4].bytes)[r.items[4].len - 1] ^= 1;
        assert_false(check(&r, &err));
        assert_non_null(strstr(err.why, "footer"));
}

static void vmdesc_of_other_devices_is_found(void **state)
{
        static struct recording r;
        struct err err = ERR_INIT;

        (void)state;
        record(&r);
        *strstr(r.json, "timer") = 'x';
        assert_false(check(&r, &err));
        err_clear(&err);
        record(&r);
        strcpy(r.json, "{\"devices\": []}");
        assert_false(check(&r, &err));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(recording_is_accepted),
                cmocka_unit_test(disks_are_sections_without_records),
                cmocka_unit_test(missing_item_is_found),
                cmocka_unit_test(exchanged_items_are_found),
                cmocka_unit_test(footer_of_another_section_is_found),
                cmocka_unit_test(vmdesc_of_other_devices_is_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
