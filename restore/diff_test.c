/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "restore/diff.h"

#include "restore/fixture.h"

#include <inttypes.h>

#define PAGES (RAM_SIZE / 4096)

/* Bytes at a place of RAM (whole pages) or of the disk. */
struct part {
        uint64_t address, len;
        uint8_t byte;
};

struct vm {
        bool plain;
        const char *machine, *cpu, *argv; /* JSON of the latter two          */
        const char *created;
        const char *device; /* instead of "timer"                            */
        uint8_t t;          /* the value of its field                        */
        bool subsection;    /* of it                                         */
        bool no_vmdesc, bad_vmdesc;
        struct part ram[4]; /* over each other, in order                     */
        bool twice;         /* the first MiB of RAM comes as zeros before    */
        const char *disk;   /* its name; NULL: none                          */
        bool full;
        uint64_t disk_size;
        const char *zeros;
        struct part chunks[4];
};

static void add_device(struct writer *w, const struct vm *vm, unsigned number)
{
        const char *name = vm->device ? vm->device : "timer";
        uint8_t bytes[256] = {4, 0, 0, 0, 7}, *p = bytes + 5;
        char dir[512];

        *p++ = (uint8_t)strlen(name);
        p = mempcpy(p, name, strlen(name));
        p = mempcpy(p, "\0\0\0\0\0\0\0\2", 8);
        p = mempcpy(p, "\0\0\0\0\0\0\0", 7);
        *p++ = vm->t;
        if (vm->subsection) {
                p = mempcpy(p, "\5\6t/more\0\0\0\1", 12);
                p = mempcpy(p, "\0\0\0\x2a", 4);
        }
        p = mempcpy(p, "\x7e\0\0\0\7", 5);
        name_stream_dir(number, "full", name, dir);
        fixture_chunk(w, dir, 0, bytes, (size_t)(p - bytes));
}

static void add_vmdesc(struct writer *w, const struct vm *vm)
{
        struct err err = ERR_INIT;
        char text[1024];

        if (vm->no_vmdesc)
                return;
        snprintf(
                text, sizeof text,
                "{\"page_size\":4096,\"devices\":[{\"name\":\"%s\","
                "\"instance_id\":0,\"vmsd_name\":\"t\",\"version\":2,"
                "\"fields\":[{\"name\":\"t\",\"type\":\"%s\",\"size\":8}]%s}]}",
                vm->device ? vm->device : "timer",
                vm->bad_vmdesc ? "nullptr" : "int64",
                vm->subsection ? ",\"subsections\":[{\"vmsd_name\":\"t/more\","
                                 "\"version\":1,\"fields\":[{\"name\":\"m\","
                                 "\"type\":\"uint32\",\"size\":4}]}]"
                               : "");
        assert_done(writer_member(w, "stasis/vmdesc.json", text, strlen(text),
                                  &err),
                    &err);
}

static void add_ram(struct writer *w, const struct vm *vm)
{
        uint8_t *ram = calloc(1, RAM_SIZE);

        assert_non_null(ram);
        if (vm->twice)
                fixture_chunk(w, "ram/pc.ram", 0, ram, CHUNK_SIZE);
        for (size_t i = 0; i < 4; i++)
                memset(ram + vm->ram[i].address, vm->ram[i].byte,
                       vm->ram[i].len);
        for (uint64_t at = 0; at < RAM_SIZE; at += CHUNK_SIZE) {
                size_t len =
                        RAM_SIZE - at < CHUNK_SIZE ? RAM_SIZE - at : CHUNK_SIZE;

                if (ram[at] || memcmp(ram + at, ram + at + 1, len - 1) != 0 ||
                    vm->twice)
                        fixture_chunk(w, "ram/pc.ram", at, ram + at, len);
        }
        free(ram);
}

static void add_disk(struct writer *w, const struct vm *vm)
{
        struct err err = ERR_INIT;
        char dir[512], name[600];

        name_disk_dir(vm->disk, dir);
        if (vm->zeros) {
                snprintf(name, sizeof name, "%s/zeros", dir);
                assert_done(writer_member(w, name, vm->zeros, strlen(vm->zeros),
                                          &err),
                            &err);
        }
        for (size_t i = 0; i < 4 && vm->chunks[i].len; i++) {
                uint8_t *bytes = malloc(vm->chunks[i].len);

                assert_non_null(bytes);
                memset(bytes, vm->chunks[i].byte, vm->chunks[i].len);
                fixture_chunk(w, dir, vm->chunks[i].address, bytes,
                              vm->chunks[i].len);
                free(bytes);
        }
}

static json_t *manifest_of(const struct vm *vm)
{
        json_t *m = json_pack(
                "{s:s, s:{s:s}, s:i, s:[{s:s, s:s, s:I}, {s:s, s:s, s:I}]}",
                "created", vm->created ? vm->created : "2026-01-02T03:04:05Z",
                "machine", "type", vm->machine ? vm->machine : "pc-i440fx-1",
                "target_page_size", 4096, "ram_blocks", "name", "pc.ram", "dir",
                "ram/pc.ram", "size", (json_int_t)RAM_SIZE, "name", "rom",
                "dir", "ram/rom", "size", (json_int_t)ROM_SIZE);

        if (vm->cpu)
                json_object_set_new(m, "cpu", json_loads(vm->cpu, 0, NULL));
        if (vm->argv)
                json_object_set_new(m, "vm",
                                    json_pack("{s:o}", "argv",
                                              json_loads(vm->argv, 0, NULL)));
        return m;
}

static json_t *state_of(const struct vm *vm)
{
        json_t *s = json_pack("{s:[], s:[]}", "absent", "devices");
        char dir[512];

        if (vm->disk)
                json_object_set_new(
                        s, "disks",
                        json_pack("[{s:s, s:s, s:s, s:I, s:i}]", "name",
                                  vm->disk, "dir", name_disk_dir(vm->disk, dir),
                                  "stored", vm->full ? "full" : "overlay",
                                  "virtual_size",
                                  (json_int_t)(vm->disk_size ? vm->disk_size
                                                             : 4 * MiB),
                                  "granularity", 512));
        return s;
}

static int snapshot(const struct vm *vm)
{
        struct writer_options options = {.compress = !vm->plain, .level = 1};
        struct fixture f = {0};
        int fd = memfd_create("snapshot", MFD_CLOEXEC);
        json_t *manifest = manifest_of(vm), *state = state_of(vm);
        struct err err = ERR_INIT;
        struct writer *w;
        unsigned number = 0;

        assert_true(fd >= 0);
        assert_done(writer_new(fd, "snapshot", false, &options, &w, &err),
                    &err);
        assert_done(writer_manifest(w, manifest, &err), &err);
        fixture_items(w, &f, fixture_before, 4, &number);
        add_ram(w, vm);
        fixture_items(w, &f, fixture_after, 2, &number);
        add_device(w, vm, number++);
        fixture_items(w, &f, fixture_after + 3, 1, &number);
        add_vmdesc(w, vm);
        if (vm->disk)
                add_disk(w, vm);
        assert_done(writer_state(w, state, &err), &err);
        assert_done(writer_finish(w, &err), &err);
        writer_free(w);
        json_decref(manifest);
        json_decref(state);
        return fd;
}

/* ---- what is told, a line a difference ----------------------------------- */

struct notes {
        char text[4096];
        size_t len;
};

static void note(struct notes *n, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));

static void note(struct notes *n, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        n->len += (size_t)vsnprintf(n->text + n->len, sizeof n->text - n->len,
                                    fmt, ap);
        va_end(ap);
        assert_true(n->len < sizeof n->text);
}

static void note_value(struct notes *n, const json_t *v)
{
        char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

        note(n, " %s", text ? text : "-");
        free(text);
}

static void note_field(struct notes *n, const struct field *f)
{
        if (!f)
                note(n, " -");
        else if (f->kind == FIELD_BYTES)
                note(n, " %zu:%02x", f->size, f->bytes[f->size - 1]);
        else
                note(n, " %" PRIu64, f->value);
}

static void note_region(struct notes *n, const struct diff_region *r)
{
        note(n, " %s %" PRIu64 "/%u", r->name, r->differing / r->unit, r->unit);
        for (int s = 0; s < 2; s++)
                note(n, " %c%d:%" PRIu64 ",%" PRIu64, "ab"[s], r -> present[s],
                     r -> zero[s] / r -> unit, r -> hole[s] / r -> unit);
        for (size_t i = 0; i < r->range_count && i < 4; i++)
                note(n, " %" PRIx64 "+%" PRIx64, r->ranges[i].offset,
                     r->ranges[i].length);
}

static bool visit(void *arg, const struct difference *d, struct err *err)
{
        static const char *const kinds[] = {"config", "device", "field", "ram",
                                            "disk"};
        struct notes *n = arg;

        (void)err;
        note(n, "%s", kinds[d->kind]);
        for (int s = 0; s < 2 && d->kind == DIFFERENCE_DEVICE; s++)
                note(n, " %s", d->section[s] ? d->section[s]->idstr : "-");
        if (d->path)
                note(n, " %s", d->path);
        for (int s = 0; s < 2; s++) {
                if (d->kind == DIFFERENCE_CONFIG)
                        note_value(n, d->value[s]);
                if (d->kind == DIFFERENCE_FIELD)
                        note_field(n, d->field[s]);
        }
        if (d->region)
                note_region(n, d->region);
        note(n, "\n");
        return true;
}

static bool run(int a, int b, unsigned threads, struct notes *n, bool *equal,
                struct err *err)
{
        struct diff_input in[2] = {{a, "a"}, {b, "b"}};
        struct diff_options how = {
                .threads = threads,
                .visit = visit,
                .arg = n,
        };

        *n = (struct notes){.len = 0};
        return diff_run(in, &how, equal, err);
}

static void assert_told(const struct vm *a, const struct vm *b,
                        const char *want)
{
        int fd_a = snapshot(a), fd_b = snapshot(b);

        for (unsigned threads = 0; threads < 4; threads += 3) {
                struct err err = ERR_INIT;
                struct notes n;
                bool equal;

                assert_done(run(fd_a, fd_b, threads, &n, &equal, &err), &err);
                assert_string_equal(n.text, want);
                assert_int_equal(equal, !want[0]);
        }
        close(fd_a);
        close(fd_b);
}

/* ---- tests --------------------------------------------------------------- */

static void how_a_file_is_made_is_no_difference(void **state)
{
        static const struct vm vms[] = {
                {.ram = {{4096, 4096, 9}}},
                {.ram = {{4096, 4096, 9}}, .plain = true},
                {.ram = {{4096, 4096, 9}}, .twice = true},
                {.ram = {{4096, 4096, 9}}, .created = "2030-01-01T00:00:00Z"},
        };

        (void)state;
        for (size_t i = 0; i < 4; i++)
                assert_told(&vms[0], &vms[i], "");
}

static void configuration_is_compared_key_by_key_and_lists_as_sets(void **state)
{
        (void)state;
        assert_told(
                &(struct vm){.machine = "pc-1",
                             .cpu = "{\"count\":1,\"features\":[\"x\",\"y\"]}"},
                &(struct vm){.machine = "pc-2",
                             .cpu = "{\"features\":[\"y\",\"z\",\"w\"]}"},
                "config machine.type \"pc-1\" \"pc-2\"\n"
                "config cpu.count 1 -\n"
                "config cpu.features [\"x\"] [\"z\",\"w\"]\n");
        assert_told(&(struct vm){.cpu = "{\"features\":[\"x\",\"y\"]}"},
                    &(struct vm){.cpu = "{\"features\":[\"y\",\"x\"]}"}, "");
}

static void command_lines_differ_in_their_middle_without_secrets(void **state)
{
        (void)state;
        assert_told(
                &(struct vm){.argv = "[\"qemu\",\"-m\",\"64\",\"-S\"]"},
                &(struct vm){.argv = "[\"qemu\",\"-m\",\"65\",\"-v\",\"-S\"]"},
                "config vm.argv [\"64\"] [\"65\",\"-v\"]\n");
        assert_told(
                &(struct vm){.argv = "[\"qemu\"]"},
                &(struct vm){.argv = "[\"qemu\",\"-object\","
                                     "\"secret,id=s,data=hunter2\"]"},
                "config vm.argv - [\"-object\",\"secret,id=s,data=<redacted>\""
                "]\n");
        assert_told(&(struct vm){0},
                    &(struct vm){.argv = "[\"-object\","
                                         "\"secret,id=s,data=hunter2\"]"},
                    "config vm.argv - [\"-object\","
                    "\"secret,id=s,data=<redacted>\"]\n");
}

static void device_sections_are_compared_field_by_field(void **state)
{
        (void)state;
        assert_told(&(struct vm){.t = 1}, &(struct vm){.t = 2},
                    "field t 1 2\n");
        assert_told(&(struct vm){.t = 1}, &(struct vm){.t = 1, .device = "x"},
                    "device timer -\n"
                    "device - x\n");
        /* Without what is in it. */
        assert_told(&(struct vm){.subsection = true}, &(struct vm){.t = 3},
                    "field t 0 3\n"
                    "field t/more 1 -\n");
        assert_told(&(struct vm){0}, &(struct vm){.subsection = true},
                    "field t/more - 1\n");
}

static void what_cannot_be_decoded_is_compared_as_bytes(void **state)
{
        (void)state;
        assert_told(&(struct vm){.t = 1, .no_vmdesc = true},
                    &(struct vm){.t = 2, .no_vmdesc = true},
                    "field bytes 8:01 8:02\n");
        assert_told(&(struct vm){.t = 1, .bad_vmdesc = true},
                    &(struct vm){.t = 2, .bad_vmdesc = true},
                    "field bytes 8:01 8:02\n");
        assert_told(&(struct vm){.t = 1},
                    &(struct vm){.t = 1, .no_vmdesc = true}, "");
}

static void ram_is_compared_by_page(void **state)
{
        (void)state;
        assert_told(&(struct vm){.ram = {{0, RAM_SIZE, 7}}},
                    &(struct vm){.ram = {{0, RAM_SIZE, 7},
                                         {8192, 4096, 8},
                                         {12289, 1, 0},
                                         {CHUNK_SIZE - 4096, 8192, 0}}},
                    "ram pc.ram 4/4096 a1:0,0 b1:2,0 2000+2000 ff000+2000\n");
        /* No chunk on one side. */
        assert_told(&(struct vm){0},
                    &(struct vm){.ram = {{CHUNK_SIZE + 4096, 4096, 1}}},
                    "ram pc.ram 1/4096 a1:1,0 b1:0,0 101000+1000\n");
        /* Of a chunk that came twice, the later one. */
        assert_told(&(struct vm){.ram = {{0, 4096, 1}}},
                    &(struct vm){.ram = {{0, 4096, 2}}, .twice = true},
                    "ram pc.ram 1/4096 a1:0,0 b1:0,0 0+1000\n");
}

static void overlays_are_compared_by_what_a_guest_reads(void **state)
{
        static const char zeros[] = "0000000000100000 0000000000100000\n";

        (void)state;
        /* Zeros in a list, or in a chunk; one chunk, or two. */
        assert_told(&(struct vm){.disk = "d",
                                 .zeros = zeros,
                                 .chunks = {{0, 8192, 5}}},
                    &(struct vm){.disk = "d",
                                 .chunks = {{0, 4096, 5},
                                            {4096, 4096, 5},
                                            {MiB, MiB, 0}}},
                    "");
        /* What is not there is the image below. */
        assert_told(&(struct vm){.disk = "d",
                                 .zeros = zeros,
                                 .chunks = {{0, 8192, 5}, {3 * MiB, 512, 1}}},
                    &(struct vm){.disk = "d", .chunks = {{0, 4096, 5}}},
                    "disk d 2057/512 a1:0,0 b1:0,2057 1000+1000 "
                    "100000+100000 300000+200\n");
        assert_told(&(struct vm){.disk = "d", .chunks = {{0, 1024, 1}}},
                    &(struct vm){.disk = "d", .chunks = {{512, 1024, 2}}},
                    "disk d 3/512 a1:0,1 b1:0,1 0+600\n");
        /* In full, it is zeros. */
        assert_told(&(struct vm){.disk = "d",
                                 .full = true,
                                 .chunks = {{0, 4096, 0}}},
                    &(struct vm){.disk = "d", .full = true}, "");
        assert_told(&(struct vm){.disk = "d",
                                 .full = true,
                                 .chunks = {{0, 4096, 1}}},
                    &(struct vm){.disk = "d", .full = true},
                    "disk d 8/512 a1:0,0 b1:8,0 0+1000\n");
}

static void a_disk_of_one_only_is_told(void **state)
{
        int a = snapshot(&(struct vm){.disk = "d"});
        int b = snapshot(&(struct vm){.disk = "e"});
        struct err err = ERR_INIT;
        struct notes n;
        bool equal;

        (void)state;
        assert_done(run(a, b, 0, &n, &equal, &err), &err);
        assert_non_null(strstr(n.text, "disk d 0/512 a1:0,0 b0:0,0\n"));
        assert_non_null(strstr(n.text, "disk e 0/512 a0:0,0 b1:0,0\n"));
        assert_non_null(strstr(n.text, "config state.disks[d] {"));
        assert_false(equal);
        close(a);
        close(b);
}

/* 256 TiB, all of it zeros here and not there. */
static void vast_disks_take_no_time(void **state)
{
        static const uint64_t size = 256 * TiB;

        (void)state;
        assert_told(&(struct vm){.disk = "d",
                                 .disk_size = size,
                                 .zeros = "0000000000000000 "
                                          "0001000000000000\n"},
                    &(struct vm){.disk = "d",
                                 .disk_size = size,
                                 .chunks = {{size - MiB, MiB, 0}}},
                    "disk d 549755811840/512 a1:0,0 b1:0,549755811840 "
                    "0+fffffff00000\n");
}

/* ---- damage -------------------------------------------------------------- */

static void flip(int fd, const char *member, size_t distance)
{
        size_t len;
        uint8_t *bytes = fixture_bytes(fd, &len);
        uint8_t *found = memmem(bytes, len, member, strlen(member)), byte;
        off_t at;

        assert_non_null(found);
        at = found - bytes + (off_t)(512 + distance);
        byte = bytes[at] ^ 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        free(bytes);
}

/* They are not read; `verify` does. */
static void equal_chunks_are_not_read_and_others_are_checked(void **state)
{
        static const struct part first = {0, 4096, 1};
        int a = snapshot(&(struct vm){.plain = true,
                                      .ram = {first, {CHUNK_SIZE, 4096, 1}}});
        int b = snapshot(&(struct vm){.plain = true,
                                      .ram = {first, {CHUNK_SIZE, 4096, 2}}});
        struct err err = ERR_INIT;
        struct notes n;
        bool equal;

        (void)state;
        flip(b, "ram/pc.ram/0000000000000000", 77);
        assert_done(run(a, b, 0, &n, &equal, &err), &err);
        assert_string_equal(n.text,
                            "ram pc.ram 1/4096 a1:0,0 b1:0,0 100000+1000\n");
        flip(b, "ram/pc.ram/0000000000100000", 77);
        for (unsigned threads = 0; threads < 3; threads++) {
                struct err again = ERR_INIT;

                assert_false(run(a, b, threads, &n, &equal, &again));
                assert_int_equal(again.status, ERR_CORRUPT);
                assert_string_equal(again.file, "b");
                assert_string_equal(again.section,
                                    "ram/pc.ram/0000000000100000");
        }
        close(a);
        close(b);
}

static void chunks_that_overlap_are_refused(void **state)
{
        int a = snapshot(&(struct vm){.disk = "d"});
        int b = snapshot(&(struct vm){
                .disk = "d", .chunks = {{0, 8192, 1}, {4096, 4096, 1}}});
        struct err err = ERR_INIT;
        struct notes n;
        bool equal;

        (void)state;
        assert_false(run(a, b, 0, &n, &equal, &err));
        assert_int_equal(err.status, ERR_CORRUPT);
        assert_string_equal(err.file, "b");
        close(a);
        close(b);
}

static void pipes_are_refused(void **state)
{
        int a = snapshot(&(struct vm){0}), ends[2];
        struct err err = ERR_INIT;
        struct notes n;
        size_t len;
        uint8_t *bytes = fixture_bytes(a, &len);
        bool equal;

        (void)state;
        assert_int_equal(pipe(ends), 0);
        assert_true(fcntl(ends[1], F_SETPIPE_SZ, MiB) >= (int)len);
        assert_int_equal(write(ends[1], bytes, len), len);
        close(ends[1]);
        assert_false(run(a, ends[0], 0, &n, &equal, &err));
        assert_int_equal(err.status, ERR_USAGE);
        assert_string_equal(err.file, "b");
        free(bytes);
        close(ends[0]);
        close(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(how_a_file_is_made_is_no_difference),
                cmocka_unit_test(
                        configuration_is_compared_key_by_key_and_lists_as_sets),
                cmocka_unit_test(
                        command_lines_differ_in_their_middle_without_secrets),
                cmocka_unit_test(device_sections_are_compared_field_by_field),
                cmocka_unit_test(what_cannot_be_decoded_is_compared_as_bytes),
                cmocka_unit_test(ram_is_compared_by_page),
                cmocka_unit_test(overlays_are_compared_by_what_a_guest_reads),
                cmocka_unit_test(a_disk_of_one_only_is_told),
                cmocka_unit_test(vast_disks_take_no_time),
                cmocka_unit_test(
                        equal_chunks_are_not_read_and_others_are_checked),
                cmocka_unit_test(chunks_that_overlap_are_refused),
                cmocka_unit_test(pipes_are_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
