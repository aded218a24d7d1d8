/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/devices.h"

#include "base/test.h"

#include "base/limits.h"
#include "qemu/stream_fixture.h"

/* A stream, told item by item: each is built in f and then handed over. */
struct told {
        struct devices_builder *b;
        struct fixture f;
        unsigned number;
        size_t piece; /* items are told in pieces of so many bytes; 0: whole */
        struct err err;
        bool ok;
};

static void begin(struct told *t, bool footers)
{
        *t = (struct told){.ok = true, .err = ERR_INIT};
        fixture_begin(&t->f, footers, NULL);
        assert_done(devices_new(&t->b, &t->err), &t->err);
        t->f.e.len = 0;
}

/* What the fixture has written since the last item. */
static void item(struct told *t, const char *kind)
{
        size_t len = t->f.e.len, piece = t->piece ? t->piece : len;

        t->ok = t->ok && devices_begin(t->b, t->number++, kind, kind, &t->err);
        for (size_t at = 0; t->ok && at < len; at += piece)
                t->ok = devices_bytes(t->b, t->f.bytes + at,
                                      len - at < piece ? len - at : piece,
                                      &t->err);
        t->ok = t->ok && devices_end(t->b, &t->err);
        t->f.e.len = 0;
}

static void header(struct told *t, const char *machine)
{
        emit_bytes(&t->f.e, "QEVM\0\0\0\3", 8);
        item(t, "header");
        if (!machine)
                return;
        emit_u8(&t->f.e, 7);
        emit_u32be(&t->f.e, (uint32_t)strlen(machine));
        emit_bytes(&t->f.e, machine, strlen(machine));
        item(t, "configuration");
}

static void ram(struct told *t, bool ended)
{
        fixture_ram_start(&t->f);
        item(t, "start");
        if (!ended)
                return;
        fixture_part(&t->f, 3);
        fixture_eos(&t->f);
        item(t, "end");
}

/* A START of a device that is saved while the guest runs. */
static void live(struct told *t, uint32_t id, const char *idstr, size_t len)
{
        fixture_section(&t->f, 1, id, idstr, 0, 2);
        emit_zero(&t->f.e, len);
        fixture_footer(&t->f, id);
        item(t, "start");
}

static void full(struct told *t, const char *kind, uint32_t id,
                 const char *idstr, uint32_t instance, size_t len)
{
        fixture_device(&t->f, id, idstr, instance, len, (uint8_t)id, len);
        item(t, kind);
}

static void eof(struct told *t, bool vmdesc)
{
        char json[4400];

        emit_u8(&t->f.e, 0);
        item(t, "eof");
        snprintf(json, sizeof json, "{\"page_size\":4096,\"devices\":[%s]}",
                 t->f.vmdesc);
        if (vmdesc)
                t->ok = t->ok && devices_vmdesc(t->b, (const uint8_t *)json,
                                                strlen(json), &t->err);
}

/* Success: d is to be released. */
static bool finish(struct told *t, struct devices *d)
{
        t->ok = t->ok && devices_finish(t->b, d, &t->err);
        devices_builder_free(t->b);
        t->b = NULL;
        return t->ok;
}

#define FAILS(t, what, pattern)                                                \
        do {                                                                   \
                struct devices none_ = {0};                                    \
                assert_false(finish(t, &none_));                               \
                assert_int_equal((t)->err.status, what);                       \
                if (!strstr((t)->err.why, pattern))                            \
                        fail_msg("'%s' is not in '%s'", pattern,               \
                                 (t)->err.why);                                \
        } while (0)

static void tell_all(struct told *t, bool footers, const char *machine,
                     bool vmdesc)
{
        header(t, machine);
        if (footers)
                full(t, "early", 3, "dimm", 0, 9);
        live(t, 6, "vfio", 3);
        ram(t, true);
        full(t, "full", 7, "serial", 0, 5);
        full(t, "full", 8, "serial", 1, 6);
        full(t, "full", 9, "vfio", 0, 7);
        eof(t, vmdesc);
}

static const char *vmdesc_name(const struct device_section *s)
{
        return json_string_value(json_object_get(s->vmdesc, "name"));
}

static void sections_come_out_as_they_went_in(void **state)
{
        static struct told t;
        struct devices d;

        (void)state;
        for (size_t piece = 0; piece < 4; piece++) {
                begin(&t, true);
                t.piece = piece;
                tell_all(&t, true, "pc-test-1", true);
                assert_done(finish(&t, &d), &t.err);
                assert_string_equal(d.config.machine, "pc-test-1");
                assert_true(d.footers);
                assert_int_equal(d.page_size, 4096);
                assert_true(d.ram_ended);
                assert_int_equal(d.ram_end, 5);
                assert_int_equal(d.ram.count, 2);
                assert_string_equal(d.ram.blocks[1].name, "rom");
                /* RAM's START is a live section, too. */
                assert_int_equal(d.count, 6);
                assert_true(d.list[0].early && !d.list[0].live);
                assert_int_equal(d.list[0].len, 9);
                assert_true(d.list[1].live);
                assert_null(d.list[1].item);
                assert_null(d.list[1].vmdesc);
                assert_int_equal(d.list[1].version_id, 2);
                assert_int_equal(d.list[4].section_id, 8);
                assert_int_equal(d.list[4].instance_id, 1);
                assert_int_equal(d.list[4].number, 7);
                assert_int_equal(d.list[4].len, 6);
                assert_memory_equal(d.list[4].payload, "\10\10\10\10\10\10", 6);
                devices_fini(&d);
        }
}

static void start_and_full_of_one_name_each_keep_their_own(void **state)
{
        static struct told t;
        struct devices d;

        (void)state;
        begin(&t, true);
        tell_all(&t, true, "pc-test-1", true);
        assert_done(finish(&t, &d), &t.err);
        assert_string_equal(d.list[1].idstr, "vfio");
        assert_string_equal(d.list[5].idstr, "vfio");
        assert_false(d.list[5].live);
        assert_int_equal(d.list[5].len, 7);
        /* Descriptions are of sections with state only. */
        for (size_t i = 0; i < d.count; i++) {
                if (d.list[i].live)
                        continue;
                assert_string_equal(vmdesc_name(&d.list[i]), d.list[i].idstr);
        }
        devices_fini(&d);
}

static void
a_stream_may_have_neither_footers_nor_machine_nor_vmdesc(void **state)
{
        static struct told t;
        struct devices d;

        (void)state;
        begin(&t, false);
        tell_all(&t, false, NULL, false);
        assert_done(finish(&t, &d), &t.err);
        assert_false(d.footers);
        assert_string_equal(d.config.machine, "");
        assert_null(d.vmdesc);
        assert_int_equal(d.page_size, 0);
        assert_int_equal(d.count, 5);
        assert_int_equal(d.list[3].len, 6);
        assert_null(d.list[3].vmdesc);
        devices_fini(&d);
        begin(&t, false);
        tell_all(&t, false, NULL, true);
        assert_done(finish(&t, &d), &t.err);
        assert_string_equal(vmdesc_name(&d.list[3]), "serial");
        devices_fini(&d);
}

static void the_end_of_ram_is_known_to_be_missing(void **state)
{
        static struct told t;
        struct devices d;

        (void)state;
        begin(&t, true);
        header(&t, "pc-test-1");
        ram(&t, false);
        full(&t, "full", 7, "serial", 0, 5);
        eof(&t, true);
        assert_done(finish(&t, &d), &t.err);
        assert_false(d.ram_ended);
        devices_fini(&d);
}

static void find_wants_name_and_instance(void **state)
{
        static struct told t;
        struct devices d;

        (void)state;
        begin(&t, true);
        tell_all(&t, true, "pc-test-1", true);
        assert_done(finish(&t, &d), &t.err);
        assert_ptr_equal(devices_find(&d, "serial", 0), &d.list[3]);
        assert_ptr_equal(devices_find(&d, "serial", 1), &d.list[4]);
        assert_null(devices_find(&d, "serial", 2));
        assert_null(devices_find(&d, "seria", 0));
        devices_fini(&d);
}

static void what_is_no_section_is_refused(void **state)
{
        static struct told t;

        (void)state;
        begin(&t, true); /* ends within its header */
        header(&t, "pc-test-1");
        ram(&t, true);
        emit_bytes(&t.f.e, "\4\0\0\0\7\6ser", 9);
        item(&t, "full");
        FAILS(&t, ERR_CORRUPT, "not a section");
        begin(&t, true); /* no room for a footer */
        header(&t, "pc-test-1");
        ram(&t, true);
        fixture_section(&t.f, 4, 0x7e000000, "s", 0, 0x7e);
        item(&t, "full");
        FAILS(&t, ERR_CORRUPT, "footer");
        begin(&t, true); /* its type is another */
        header(&t, "pc-test-1");
        ram(&t, true);
        fixture_section(&t.f, 1, 7, "serial", 0, 1);
        fixture_footer(&t.f, 7);
        item(&t, "full");
        FAILS(&t, ERR_CORRUPT, "kind");
        begin(&t, true); /* nothing at all */
        header(&t, "pc-test-1");
        ram(&t, true);
        item(&t, "full");
        FAILS(&t, ERR_CORRUPT, "not a section");
        begin(&t, true); /* no end */
        header(&t, "pc-test-1");
        ram(&t, true);
        FAILS(&t, ERR_CORRUPT, "no end");
        begin(&t, true); /* no stream */
        FAILS(&t, ERR_CORRUPT, "no end");
}

static void a_description_of_other_sections_is_refused(void **state)
{
        static const char *const bad[] = {
                "",
                "[]",
                "{}",
                "{\"devices\":[]}",
                "{\"devices\":[{\"name\":\"serial\",\"instance_id\":1}]}",
                "{\"devices\":[{\"name\":\"serial\"},{\"name\":\"serial\"}]}",
        };
        static struct told t;

        (void)state;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                begin(&t, true);
                header(&t, "pc-test-1");
                ram(&t, true);
                full(&t, "full", 7, "serial", 0, 5);
                eof(&t, false);
                assert_true(t.ok);
                t.ok = devices_vmdesc(t.b, (const uint8_t *)bad[i],
                                      strlen(bad[i]), &t.err);
                FAILS(&t, ERR_CORRUPT, "");
        }
}

/* Whoever looks at sections compares each with all others. */
static void too_many_sections_are_refused(void **state)
{
        static struct told t;

        (void)state;
        begin(&t, true);
        header(&t, "pc-test-1");
        ram(&t, true);
        for (unsigned i = 0; t.ok && i <= LIMIT_DEVICE_SECTIONS; i++) {
                fixture_section(&t.f, 4, i, "s", i, 1);
                fixture_footer(&t.f, i);
                item(&t, "full");
        }
        FAILS(&t, ERR_LIMIT, "sections");
}

/* Of a live section and of what is no device's, nothing but the header stays,
 * however much comes. */
static void what_is_not_kept_is_not_counted(void **state)
{
        static const uint8_t zeros[64 * 1024];
        static struct told t;
        struct devices d;

        (void)state;
        begin(&t, false);
        header(&t, NULL);
        fixture_section(&t.f, 1, 6, "vfio", 0, 2);
        assert_done(devices_begin(t.b, t.number++, "start", "vfio", &t.err),
                    &t.err);
        assert_done(devices_bytes(t.b, t.f.bytes, t.f.e.len, &t.err), &t.err);
        for (uint64_t n = 0; n <= LIMIT_TAIL_BYTES; n += sizeof zeros)
                assert_done(devices_bytes(t.b, zeros, sizeof zeros, &t.err),
                            &t.err);
        assert_done(devices_end(t.b, &t.err), &t.err);
        t.f.e.len = 0;
        ram(&t, true);
        full(&t, "full", 7, "serial", 0, 5);
        eof(&t, false);
        assert_done(finish(&t, &d), &t.err);
        assert_string_equal(d.list[0].idstr, "vfio");
        assert_int_equal(d.list[2].len, 5);
        devices_fini(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sections_come_out_as_they_went_in),
                cmocka_unit_test(
                        start_and_full_of_one_name_each_keep_their_own),
                cmocka_unit_test(
                        a_stream_may_have_neither_footers_nor_machine_nor_vmdesc),
                cmocka_unit_test(the_end_of_ram_is_known_to_be_missing),
                cmocka_unit_test(find_wants_name_and_instance),
                cmocka_unit_test(what_is_no_section_is_refused),
                cmocka_unit_test(a_description_of_other_sections_is_refused),
                cmocka_unit_test(too_many_sections_are_refused),
                cmocka_unit_test(what_is_not_kept_is_not_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
