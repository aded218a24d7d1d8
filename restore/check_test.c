/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/check.h"

#include "base/test.h"

#include <string.h>

/* A target; what of the snapshot and of it differs, the tests say. */
#define MANIFEST                                                               \
        "{'machine':{'type':'pc-q35-7.2'},'qemu':{'arch':'x86_64'},"           \
        "'accelerator':'tcg','target_page_size':4096,"                         \
        "'cpu':{'model':'qemu64','count':2,'features':['sse','avx']},"         \
        "'ram_blocks':[{'name':'pc.ram','dir':'ram/pc.ram','size':65536},"     \
        "{'name':'pc.bios','dir':'ram/pc.bios','size':8192},"                  \
        "{'name':'/rom@etc/acpi/tables','dir':'ram/x','size':8192}]}"
#define BLOCKS                                                                 \
        "[{'name':'pc.ram','used':65536,'total':65536},"                       \
        "{'name':'pc.bios','used':8192,'total':8192},"                         \
        "{'name':'/rom@etc/acpi/tables','used':4096,'total':65536}]"

struct fixture {
        struct check c;
        struct state s;
        struct view v;
        struct device_section was[8], is[8];
        json_t *owned[16];
        size_t owned_count;
        struct err err;
};

static json_t *parse(const char *text)
{
        char json[4096];
        json_t *value;
        size_t i;

        for (i = 0; text[i]; i++)
                json[i] = text[i] == '\'' ? '"' : text[i];
        json[i] = '\0';
        value = json_loads(json, JSON_DECODE_ANY, NULL);
        assert_non_null(value);
        return value;
}

static void begin(struct fixture *f, const char *const *forced, unsigned count)
{
        *f = (struct fixture){.err = ERR_INIT, .s.manifest = parse(MANIFEST)};
        f->v.identity = parse(MANIFEST);
        f->v.ram_blocks = parse(BLOCKS);
        f->s.devices.list = f->was;
        f->v.devices.list = f->is;
        f->v.have_devices = true;
        assert_done(check_init(&f->c, forced, count, NULL, &f->err), &f->err);
}

static void end(struct fixture *f)
{
        check_fini(&f->c);
        json_decref(f->s.manifest);
        json_decref(f->v.identity);
        json_decref(f->v.ram_blocks);
        json_decref(f->v.pci);
        for (size_t i = 0; i < f->owned_count; i++)
                json_decref(f->owned[i]);
}

static void run(struct fixture *f)
{
        check_fini(&f->c);
        assert_done(check_machine(&f->c, f->s.manifest, &f->v, &f->err),
                    &f->err);
        assert_done(check_devices(&f->c, &f->s, &f->v, &f->err), &f->err);
}

/* The only reason there is. */
static const struct reason *only(struct fixture *f, const char *code,
                                 enum severity severity)
{
        run(f);
        if (f->c.count != 1)
                fail_msg("%zu reasons, not %s: %s, %s", f->c.count, code,
                         f->c.count ? f->c.list[0].message : "",
                         f->c.count > 1 ? f->c.list[1].message : "");
        assert_string_equal(f->c.list[0].code, code);
        assert_int_equal(f->c.list[0].severity, severity);
        return &f->c.list[0];
}

static void none(struct fixture *f)
{
        run(f);
        if (f->c.count)
                fail_msg("%s", f->c.list[0].message);
}

/* Replaces a value by path, "cpu.count". */
static void set(json_t *object, const char *path, const char *value)
{
        const char *dot = strchr(path, '.');
        char first[64];

        if (dot) {
                snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
                set(json_object_get(object, first), dot + 1, value);
                return;
        }
        if (!value) {
                json_object_del(object, path);
                return;
        }
        assert_int_equal(json_object_set_new(object, path, parse(value)), 0);
}

static struct device_section *add(struct devices *d, const char *idstr,
                                  unsigned instance)
{
        struct device_section *s = &d->list[d->count++];

        *s = (struct device_section){.instance_id = instance, .version_id = 1};
        snprintf(s->idstr, sizeof s->idstr, "%s", idstr);
        return s;
}

static void both(struct fixture *f, const char *idstr, unsigned instance)
{
        add(&f->s.devices, idstr, instance);
        add(&f->v.devices, idstr, instance);
}

static struct device_section *was(struct fixture *f, const char *idstr)
{
        return add(&f->s.devices, idstr, 0);
}

static struct device_section *is(struct fixture *f, const char *idstr)
{
        return add(&f->v.devices, idstr, 0);
}

static void what_is_alike_has_no_reason_against_it(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        both(&f, "timer", 0);
        both(&f, "cpu", 0);
        both(&f, "cpu", 1);
        both(&f, "0000:00:04.0/virtio-blk", 0);
        none(&f);
        assert_done(check_verdict(&f.c, &f.err), &f.err);
        end(&f);
}

static void what_is_not_known_of_a_target_is_no_reason(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        json_object_clear(f.v.identity);
        json_decref(f.v.ram_blocks);
        f.v.ram_blocks = NULL;
        f.v.have_devices = false;
        was(&f, "0000:00:04.0/virtio-blk");
        none(&f);
        end(&f);
}

static void machine_types_are_compared_whole(void **state)
{
        const struct reason *r;
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        set(f.v.identity, "machine.type", "'pc-q35-7.1'");
        r = only(&f, "machine-type", REASON_REFUSED);
        assert_string_equal(r->section, "configuration");
        assert_string_equal(r->snapshot, "pc-q35-7.2");
        assert_string_equal(r->target, "pc-q35-7.1");
        /* QEMU compares as many bytes as the stream has. */
        set(f.v.identity, "machine.type", "'pc-q35-7.2.1'");
        only(&f, "machine-type", REASON_WRONG);
        set(f.v.identity, "machine.type", "'pc-q35-7'");
        only(&f, "machine-type", REASON_REFUSED);
        set(f.v.identity, "machine.type", "'pc-q35-7.2'");
        set(f.s.manifest, "machine.type", NULL);
        r = only(&f, "machine-type", REASON_WARNING);
        assert_non_null(strstr(r->message, "names no machine type"));
        assert_done(check_verdict(&f.c, &f.err), &f.err);
        end(&f);
}

static void names_from_a_file_are_escaped(void **state)
{
        const struct reason *r;
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        set(f.s.manifest, "machine.type", "'pc\\u001b[2J'");
        r = only(&f, "machine-type", REASON_REFUSED);
        assert_string_equal(r->snapshot, "pc\\x1b[2J");
        assert_null(strchr(r->message, '\033'));
        set(f.s.manifest, "machine.type", "'pc-q35-7.2'");
        was(&f, "0000:00:04.0/\033d");
        r = only(&f, "device-missing", REASON_REFUSED);
        assert_string_equal(r->section, "0000:00:04.0/\\x1bd");
        assert_null(strchr(r->message, '\033'));
        end(&f);
}

static void streams_differ_before_any_device(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        f.s.devices.footers = true;
        only(&f, "machine-type", REASON_REFUSED);
        f.v.devices.footers = true;
        strcpy(f.v.devices.config.machine, "pc-q35-7.2");
        only(&f, "machine-type", REASON_REFUSED);
        strcpy(f.s.devices.config.machine, "pc-q35-7.2");
        none(&f);
        f.s.devices.page_size = 4096;
        none(&f);
        f.v.devices.page_size = 16384;
        assert_string_equal(only(&f, "page-size", REASON_REFUSED)->target,
                            "16384");
        end(&f);
}

static void architecture_and_accelerator_are_those(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        set(f.v.identity, "qemu.arch", "'i386'");
        only(&f, "architecture", REASON_REFUSED);
        set(f.v.identity, "qemu.arch", "'x86_64'");
        set(f.v.identity, "accelerator", "'kvm'");
        only(&f, "accelerator", REASON_WARNING);
        assert_done(check_verdict(&f.c, &f.err), &f.err);
        end(&f);
}

static void cpus_are_as_many_and_lose_nothing(void **state)
{
        const struct reason *r;
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        set(f.v.identity, "cpu.count", "1");
        only(&f, "cpu-count", REASON_REFUSED);
        set(f.v.identity, "cpu.count", "3");
        r = only(&f, "cpu-count", REASON_WRONG);
        assert_string_equal(r->snapshot, "2");
        assert_string_equal(r->target, "3");
        set(f.v.identity, "cpu.count", "2");
        set(f.v.identity, "cpu.model", "'Nehalem'");
        only(&f, "cpu-model", REASON_WARNING);
        set(f.v.identity, "cpu.model", "'qemu64'");
        set(f.v.identity, "cpu.features", "['sse','aes']");
        r = only(&f, "cpu-features", REASON_WRONG);
        assert_string_equal(r->snapshot, "avx");
        assert_non_null(strstr(r->message, "lacks 1 feature "));
        /* More does no harm; what is not known says nothing. */
        set(f.v.identity, "cpu.features", "['sse','avx','aes']");
        none(&f);
        set(f.v.identity, "cpu.features", NULL);
        none(&f);
        /* Settings are no features. */
        set(f.v.identity, "cpu.features", "['sse']");
        set(f.s.manifest, "cpu.features",
            "['sse','check','migratable','x-intel-pt-auto-level']");
        none(&f);
        end(&f);
}

static void a_cpu_s_sections_are_a_matter_of_smp(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        both(&f, "cpu", 0);
        add(&f.s.devices, "cpu", 1);
        add(&f.s.devices, "apic", 1);
        only(&f, "cpu-count", REASON_REFUSED);
        end(&f);
        begin(&f, NULL, 0);
        both(&f, "cpu", 0);
        add(&f.v.devices, "cpu", 1);
        add(&f.v.devices, "apic", 1);
        only(&f, "cpu-count", REASON_WRONG);
        end(&f);
}

static void ramblocks_have_the_same_sizes(void **state)
{
        const struct reason *r;
        struct fixture f;
        json_t *block;

        (void)state;
        begin(&f, NULL, 0);
        block = json_array_get(f.v.ram_blocks, 0);
        for (const char *size = "131072"; size;
             size = strcmp(size, "32768") ? "32768" : NULL) {
                set(block, "used", size);
                set(block, "total", size);
                r = only(&f, "ram-size", REASON_REFUSED);
                assert_string_equal(r->section, "pc.ram");
                assert_string_equal(r->snapshot, "0x10000");
                assert_non_null(strstr(r->message, "-m"));
        }
        set(block, "name", "'other'");
        set(block, "used", "65536");
        set(block, "total", "65536");
        run(&f);
        assert_int_equal(f.c.count, 2);
        assert_int_equal(check_find(&f.c, "ram-missing")->severity,
                         REASON_REFUSED);
        assert_int_equal(check_find(&f.c, "ram-extra")->severity, REASON_WRONG);
        assert_string_equal(check_find(&f.c, "ram-missing")->section, "pc.ram");
        assert_string_equal(check_find(&f.c, "ram-extra")->section, "other");
        end(&f);
}

static void a_rom_that_grew_is_named_as_one(void **state)
{
        const struct reason *r;
        struct fixture f;
        json_t *block;

        (void)state;
        begin(&f, NULL, 0);
        block = json_array_get(f.v.ram_blocks, 1);
        set(block, "used", "16384");
        set(block, "total", "16384");
        r = only(&f, "rom-size", REASON_REFUSED);
        assert_non_null(strstr(r->message, "grown"));
        assert_non_null(strstr(r->message, "romfile="));
        set(block, "used", "4096");
        set(block, "total", "4096");
        r = only(&f, "rom-size", REASON_REFUSED);
        assert_null(strstr(r->message, "grown"));
        set(block, "name", "'0000:00:03.0/virtio-net-pci.rom'");
        set(json_array_get(json_object_get(f.s.manifest, "ram_blocks"), 1),
            "name", "'0000:00:03.0/virtio-net-pci.rom'");
        only(&f, "rom-size", REASON_REFUSED);
        end(&f);
}

/* ACPI tables: the target grows its block to what comes, up to its total. */
static void what_can_be_resized_may_differ_up_to_its_total(void **state)
{
        struct fixture f;
        json_t *want;

        (void)state;
        begin(&f, NULL, 0);
        want = json_array_get(json_object_get(f.s.manifest, "ram_blocks"), 2);
        set(want, "size", "65536");
        none(&f);
        set(want, "size", "65537");
        assert_string_equal(only(&f, "rom-size", REASON_REFUSED)->target,
                            "0x10000");
        end(&f);
}

static void memory_alone_is_compared_where_blocks_cannot_be_listed(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        json_decref(f.v.ram_blocks);
        f.v.ram_blocks = NULL;
        f.v.memory = 65536;
        strcpy(f.v.memory_id, "pc.ram");
        none(&f);
        f.v.memory = 65536 * 2;
        only(&f, "ram-size", REASON_REFUSED);
        end(&f);
}

static void devices_are_the_same(void **state)
{
        const struct reason *r;
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        was(&f, "0000:00:04.0/virtio-blk");
        r = only(&f, "device-missing", REASON_REFUSED);
        assert_string_equal(r->section, "0000:00:04.0/virtio-blk");
        assert_string_equal(r->target, "");
        is(&f, "0000:00:04.0/virtio-net");
        run(&f); /* another one in its place */
        assert_int_equal(f.c.count, 2);
        r = check_find(&f.c, "device-missing");
        assert_string_equal(r->target, "0000:00:04.0/virtio-net");
        assert_non_null(strstr(r->message, "there it has"));
        assert_int_equal(check_find(&f.c, "device-extra")->severity,
                         REASON_WRONG);
        end(&f);
        begin(&f, NULL, 0);
        both(&f, "serial", 0);
        add(&f.s.devices, "serial", 1);
        r = only(&f, "device-missing", REASON_REFUSED);
        assert_non_null(strstr(r->message, "instance 1"));
        end(&f);
        begin(&f, NULL, 0);
        is(&f, "hpet");
        r = only(&f, "device-extra", REASON_WRONG);
        assert_string_equal(r->target, "hpet");
        assert_string_equal(r->snapshot, "");
        end(&f);
}

static void a_device_elsewhere_has_moved(void **state)
{
        const struct reason *r;
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        both(&f, "0000:00:04.0/virtio-blk", 0);
        was(&f, "0000:00:05.0/virtio-blk");
        is(&f, "0000:00:06.0/virtio-blk");
        r = only(&f, "device-moved", REASON_REFUSED);
        assert_string_equal(r->snapshot, "0000:00:05.0/virtio-blk");
        assert_string_equal(r->target, "0000:00:06.0/virtio-blk");
        /* One that moved is not the place of a second one. */
        was(&f, "0000:00:07.0/virtio-blk");
        run(&f);
        assert_int_equal(f.c.count, 2);
        assert_string_equal(check_find(&f.c, "device-missing")->section,
                            "0000:00:07.0/virtio-blk");
        end(&f);
}

static void a_newer_section_is_not_for_an_older_target(void **state)
{
        const struct reason *r;
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        both(&f, "hpet", 0);
        f.was[0].version_id = 3;
        f.is[0].version_id = 2;
        r = only(&f, "device-version", REASON_REFUSED);
        assert_string_equal(r->snapshot, "3");
        assert_string_equal(r->target, "2");
        f.is[0].version_id = 4;
        none(&f);
        end(&f);
}

/* Sections with a PCI configuration space on both sides. */
static void pci(struct fixture *f, uint8_t a[256], uint8_t b[256])
{
        json_t *vmdesc = parse("{'name':'d','vmsd_name':'d','version':1,"
                               "'fields':[{'name':'config','type':'pci config'"
                               ",'size':256}]}");

        memset(a, 0, 256);
        memset(b, 0, 256);
        both(f, "0000:00:04.0/virtio-blk", 0);
        f->owned[f->owned_count++] = vmdesc;
        f->was[0].vmdesc = f->is[0].vmdesc = vmdesc;
        f->was[0].payload = a;
        f->is[0].payload = b;
        f->was[0].len = f->is[0].len = 256;
}

static void a_device_with_other_properties_is_named(void **state)
{
        static const struct {
                unsigned at;
                const char *what;
        } words[] = {
                {0x00, "vendor"}, {0x02, "device id"},   {0x08, "revision"},
                {0x0a, "class"},  {0x0e, "header type"},
        };
        const struct reason *r;
        uint8_t a[256], b[256];
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        pci(&f, a, b);
        none(&f);
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
                a[words[i].at] = 1;
                r = only(&f, "device-config", REASON_REFUSED);
                assert_string_equal(r->section, "0000:00:04.0/virtio-blk");
                assert_non_null(strstr(r->message, words[i].what));
                a[words[i].at] = 0;
        }
        /* What the guest has written is its own. */
        a[0x04] = 7;
        a[0x3c] = 11;
        none(&f);
        end(&f);
}

static void a_device_with_other_vectors_is_named(void **state)
{
        const struct reason *r;
        uint8_t a[256], b[256];
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        pci(&f, a, b);
        a[0x34] = b[0x34] = 0x40;
        a[0x40] = b[0x40] = 0x09;
        a[0x41] = b[0x41] = 0x60;
        a[0x60] = b[0x60] = 0x11;
        a[0x62] = 1; /* and one: 2 vectors */
        b[0x62] = 4;
        r = only(&f, "device-config", REASON_REFUSED);
        assert_non_null(strstr(r->message, "vectors"));
        assert_non_null(strstr(r->message, "is 0x2 in the snapshot, 0x5"));
        b[0x62] = 1;
        b[0x63] = 0x80; /* MSI-X on: the guest's */
        none(&f);
        b[0x60] = 0x05;
        r = only(&f, "device-config", REASON_REFUSED);
        assert_non_null(strstr(r->message, "MSI-X capability"));
        /* A ring of capabilities ends, too. */
        a[0x61] = b[0x61] = 0x40;
        a[0x60] = b[0x60] = 0x09;
        none(&f);
        end(&f);
}

static void by_address_alone_functions_must_be_there(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        f.v.have_devices = false;
        f.v.pci = parse("['00.0','04.0','1e.0','1e.0:01.0']");
        was(&f, "0000:00:04.0/virtio-blk");
        was(&f, "0000:00:1e.0:01.0/e1000");
        was(&f, "timer");
        was(&f, "0001:00:09.0/x"); /* of another domain: not known */
        was(&f, "usb/1/usb-tablet");
        none(&f);
        was(&f, "0000:00:04.1/virtio-blk");
        assert_string_equal(only(&f, "device-missing", REASON_REFUSED)->section,
                            "0000:00:04.1/virtio-blk");
        end(&f);
}

#define DUMP                                                                   \
        "{'vmschkmachine':{'Name':'pc'},'hpet':{'Name':'hpet',"                \
        "'minimum_version_id':1,"                                              \
        "'version_id':2,'Description':{'name':'hpet','version_id':2,"          \
        "'minimum_version_id':1,'Fields':[{'field':'config',"                  \
        "'version_id':0,'field_exists':false,'size':8}],"                      \
        "'Subsections':[{'name':'hpet/offset','version_id':1,"                 \
        "'minimum_version_id':1}]}}}"

static void a_binary_knows_versions_and_subsections(void **state)
{
        static const struct {
                const char *vmdesc, *code, *says;
        } cases[] = {
                {"{'vmsd_name':'hpet','version':2,'fields':[],'subsections':["
                 "{'vmsd_name':'hpet/offset','version':1,'fields':[]}]}",
                 NULL, NULL},
                {"{'vmsd_name':'unknown','version':9,'fields':[]}", NULL, NULL},
                {"{'vmsd_name':'hpet','version':3,'fields':[]}",
                 "device-version", "hpet"},
                {"{'vmsd_name':'hpet','version':2,'fields':[],'subsections':["
                 "{'vmsd_name':'hpet/new','version':1,'fields':[]}]}",
                 "subsection-unknown", "hpet/new"},
                {"{'vmsd_name':'hpet','version':2,'fields':[],'subsections':["
                 "{'vmsd_name':'hpet/offset','version':2,'fields':[]}]}",
                 "device-version", "hpet/offset"},
        };
        json_auto_t *known = parse(DUMP);
        char *json = json_dumps(known, 0);
        struct fixture f;
        struct dump *dump;

        (void)state;
        begin(&f, NULL, 0);
        assert_done(
                dump_parse((const uint8_t *)json, strlen(json), &dump, &f.err),
                &f.err);
        free(json);
        was(&f, "hpet");
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                json_t *vmdesc = parse(cases[i].vmdesc);

                f.was[0].vmdesc = vmdesc;
                check_fini(&f.c);
                assert_done(check_dump(&f.c, &f.s.devices, dump, &f.err),
                            &f.err);
                json_decref(vmdesc);
                if (!cases[i].code) {
                        assert_int_equal(f.c.count, 0);
                        continue;
                }
                assert_int_equal(f.c.count, 1);
                assert_string_equal(f.c.list[0].code, cases[i].code);
                assert_string_equal(f.c.list[0].section, "hpet");
                assert_int_equal(f.c.list[0].severity, REASON_REFUSED);
                assert_non_null(strstr(f.c.list[0].message, cases[i].says));
        }
        dump_free(dump);
        end(&f);
}

/* ---- the verdict --------------------------------------------------------- */

static void a_single_reason_is_told_with_what_overrides_it(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        is(&f, "hpet");
        run(&f);
        assert_false(check_clear(&f.c, REASON_WRONG));
        assert_true(check_clear(&f.c, REASON_REFUSED));
        assert_false(check_verdict(&f.c, &f.err));
        assert_int_equal(f.err.status, ERR_MISMATCH);
        assert_non_null(strstr(f.err.why, "the target has hpet"));
        assert_non_null(strstr(f.err.why, "--force=device-extra"));
        end(&f);
}

static void reasons_of_several_kinds_are_counted(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        is(&f, "hpet");
        is(&f, "tpm");
        run(&f);
        assert_false(check_verdict(&f.c, &f.err));
        assert_non_null(strstr(f.err.why, "2 reasons"));
        assert_non_null(strstr(f.err.why, "--force=device-extra"));
        err_clear(&f.err);
        set(f.v.identity, "cpu.count", "3");
        set(f.v.identity, "accelerator", "'kvm'"); /* only a warning */
        run(&f);
        assert_false(check_verdict(&f.c, &f.err));
        assert_non_null(strstr(f.err.why, "3 reasons"));
        assert_null(strstr(f.err.why, "--force"));
        end(&f);
}

static void a_reason_that_none_may_override_names_no_way(void **state)
{
        struct fixture f;

        (void)state;
        begin(&f, NULL, 0);
        set(json_array_get(f.v.ram_blocks, 0), "used", "131072");
        set(json_array_get(f.v.ram_blocks, 0), "total", "131072");
        run(&f);
        assert_false(check_verdict(&f.c, &f.err));
        assert_null(strstr(f.err.why, "--force"));
        end(&f);
}

static void a_forced_reason_stands_no_more(void **state)
{
        static const char *const forced[] = {"device-extra", "machine-type"};
        struct fixture f;

        (void)state;
        begin(&f, forced, 2);
        is(&f, "hpet");
        set(f.v.identity, "machine.type", "'other'");
        run(&f);
        assert_int_equal(f.c.count, 2);
        assert_true(f.c.list[0].forced && f.c.list[1].forced);
        assert_true(check_clear(&f.c, REASON_WRONG));
        assert_done(check_verdict(&f.c, &f.err), &f.err);
        set(f.v.identity, "cpu.count", "3");
        run(&f);
        assert_false(check_verdict(&f.c, &f.err));
        assert_non_null(strstr(f.err.why, "--force=cpu-count"));
        end(&f);
}

static void only_whole_codes_that_may_be_forced_are_taken(void **state)
{
        static const char *const good[] = {
                "machine-type",   "cpu-count",    "cpu-features",
                "ram-extra",      "device-extra", "device-missing",
                "device-moved",   "disks",        "disk-size",
                "device-version", "refused",      "device-config",
        };
        static const char *const bad[] = {
                "",
                "ram-size",
                "rom-size",
                "ram-missing",
                "device",
                "disk",
                "type",
                "disk-in-use",
                " ",
                "refused ",
                "Refused",
                "page-size",
                "machine",
                "disks disk-missing",
        };
        struct check c;

        (void)state;
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
                struct err err = ERR_INIT;

                assert_done(check_init(&c, &good[i], 1, NULL, &err), &err);
        }
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                struct err err = ERR_INIT;

                if (check_init(&c, &bad[i], 1, NULL, &err))
                        fail_msg("'%s' was taken", bad[i]);
                assert_int_equal(err.status, ERR_USAGE);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_alike_has_no_reason_against_it),
                cmocka_unit_test(what_is_not_known_of_a_target_is_no_reason),
                cmocka_unit_test(machine_types_are_compared_whole),
                cmocka_unit_test(names_from_a_file_are_escaped),
                cmocka_unit_test(streams_differ_before_any_device),
                cmocka_unit_test(architecture_and_accelerator_are_those),
                cmocka_unit_test(cpus_are_as_many_and_lose_nothing),
                cmocka_unit_test(a_cpu_s_sections_are_a_matter_of_smp),
                cmocka_unit_test(ramblocks_have_the_same_sizes),
                cmocka_unit_test(a_rom_that_grew_is_named_as_one),
                cmocka_unit_test(
                        what_can_be_resized_may_differ_up_to_its_total),
                cmocka_unit_test(
                        memory_alone_is_compared_where_blocks_cannot_be_listed),
                cmocka_unit_test(devices_are_the_same),
                cmocka_unit_test(a_device_elsewhere_has_moved),
                cmocka_unit_test(a_newer_section_is_not_for_an_older_target),
                cmocka_unit_test(a_device_with_other_properties_is_named),
                cmocka_unit_test(a_device_with_other_vectors_is_named),
                cmocka_unit_test(by_address_alone_functions_must_be_there),
                cmocka_unit_test(a_binary_knows_versions_and_subsections),
                cmocka_unit_test(
                        a_single_reason_is_told_with_what_overrides_it),
                cmocka_unit_test(reasons_of_several_kinds_are_counted),
                cmocka_unit_test(a_reason_that_none_may_override_names_no_way),
                cmocka_unit_test(a_forced_reason_stands_no_more),
                cmocka_unit_test(only_whole_codes_that_may_be_forced_are_taken),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
