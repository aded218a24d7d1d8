/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu/explain.h"

#include "base/test.h"

struct row {
        const char *said, *code, *device, *cause, *remedy; /* parts of them */
};

static void check(const struct row *row, const char *section)
{
        struct explanation e;

        if (!explain(row->said, section, &e))
                fail_msg("not recognised: %s", row->said);
        assert_string_equal(e.code, row->code);
        assert_string_equal(e.device, row->device);
        if (!strstr(e.cause, row->cause))
                fail_msg("'%s' is not in '%s'", row->cause, e.cause);
        if (!strstr(e.remedy, row->remedy))
                fail_msg("'%s' is not in '%s'", row->remedy, e.remedy);
        if (strpbrk(e.cause, "$#\n") || strpbrk(e.remedy, "$#\n"))
                fail_msg("not filled in: %s; %s", e.cause, e.remedy);
        assert_int_not_equal(e.remedy[0], '\0');
}

#define Q "qemu-system-x86_64: "
#define IN(dev)                                                                \
        Q "error while loading state for instance 0x0 of device '" dev "'\n"
#define FAILED(why) Q "load of migration failed: " why "\n"
#define EINVAL_     FAILED("Invalid argument")
#define NEW(dev, chain)                                                        \
        Q "load of migration failed: Invalid argument: error while loading "   \
          "state for instance 0x0 of device '" dev "': " chain "\n"

/* As QEMU 5.2 to 10.0 print it, and 11.1 where that differs. */
static const struct row messages[] = {
        {Q "Machine type received is 'pc-i440fx-5.2' and local is "
           "'pc-i440fx-7.2'\n" EINVAL_,
         "machine-type", "", "pc-i440fx-5.2, the target is pc-i440fx-7.2",
         "-machine pc-i440fx-5.2"},
        {Q "Received TARGET_PAGE_BITS is 12 but local is 16\n" EINVAL_,
         "page-size", "", "12 bits, the target's 16", "architecture"},
        {Q "Capability x-ignore-shared is off, but received capability is "
           "on\n" EINVAL_,
         "capability", "", "x-ignore-shared is on in the snapshot and off",
         "set x-ignore-shared on"},
        {Q "Received unknown capability x-new\n" EINVAL_, "capability", "",
         "x-new, which the target lacks", "knows x-new"},
        {Q "UUID received is 0-1 and local is 0-2\n" EINVAL_, "capability", "",
         "0-1 in the snapshot and 0-2", "-uuid 0-1"},
        {Q "Configuration section missing\n" EINVAL_, "machine-type", "",
         "no machine type", "send-configuration=off"},
        {Q "Configuration section missing, 4 != 7\n", "machine-type", "",
         "no machine type", "send-configuration=off"},
        {Q
         "Size mismatch: pc.ram: 0x4000000 != 0x8000000: Invalid argument\n" IN(
                 "ram") EINVAL_,
         "ram-size", "ram", "pc.ram has 0x4000000 bytes (64.0 MiB)", "-m 64M"},
        {Q "Size mismatch: 0000:00:02.0/vga.vram: 0x1000000 != 0x2000000\n" IN(
                 "ram"),
         "ram-size", "ram", "vga.vram", "vgamem_mb="},
        {Q "Size mismatch: 0000:00:03.0/e1000.rom: 0x40000 != 0x80000: "
           "Invalid argument\n" IN("ram"),
         "rom-size", "ram", "ROM 0000:00:03.0/e1000.rom", "romsize=0x40000"},
        {Q "Size mismatch: pc.bios: 0x20000 != 0x40000\n" IN("ram"), "rom-size",
         "ram", "firmware pc.bios", "-bios FILE"},
        {Q "Size mismatch: system.flash0: 0x20000 != 0x40000\n" IN("ram"),
         "rom-size", "ram", "firmware system.flash0", "pflash"},
        {Q "Size too large: /rom@etc/acpi/tables: 0x40000 > 0x20000: Invalid "
           "argument\n" IN("ram"),
         "rom-size", "ram", "at most 0x20000", "-smp and devices"},
        {Q "Unknown ramblock \"pc.ram\", cannot accept migration\n" IN("ram"),
         "ram-missing", "ram", "no RAMBlock pc.ram", "id=pc.ram"},
        {Q "Unknown ramblock \"0000:00:02.0/vga.vram\", cannot accept "
           "migration\n" IN("ram"),
         "ram-missing", "ram", "0000:00:02.0/vga.vram", "PCI address"},
        {Q "Unknown ramblock \"/objects/m0\", cannot accept migration\n" IN(
                 "ram"),
         "ram-missing", "ram", "/objects/m0", "id=m0"},
        {Q "Can't find block x\n", "ram-missing", "ram", "RAMBlock x", "id=x"},
        {Q "block m0 should not be migrated !\n" IN("ram"), "capability", "ram",
         "RAMBlock m0", "x-ignore-shared"},
        {Q "Mismatched GPAs for block m0 4096!= 8192\n" IN("ram"),
         "device-moved", "ram", "4096 in the snapshot and 8192", "layout"},
        {Q "Mismatched RAM page size m0 (local) 4096 != 2097152\n" IN("ram"),
         "page-size", "ram", "2097152 bytes in the snapshot and 4096",
         "mem-path"},
        {Q "Postcopy needs matching RAM page sizes (s=1000 d=200000)\n",
         "page-size", "ram", "0x1000 in the snapshot, 0x200000", "postcopy"},
        {Q "Postcopy needs matching target page sizes (s=4096 d=65536)\n",
         "page-size", "ram", "4096 in the snapshot and 65536", "architecture"},
        {Q "Ack, bad migration stream!\n" IN("ram"), "stream-damaged", "ram",
         "before any RAMBlock", "verify"},
        {Q "Illegal RAM offset fffff000\n" IN("ram"), "stream-damaged", "ram",
         "at 0xfffff000", "verify"},
        {Q "Unknown combination of migration flags: 0x800\n" IN("ram"),
         "stream-damaged", "ram", "0x800", "verify"},
        {Q "Unknown combination of migration flags: 0x0\n" IN("ram"),
         "stream-damaged", "ram", "ends within RAM", "verify"},
        {Q "Received an unexpected compressed page\n" IN("ram"), "capability",
         "ram", "compressed by QEMU", "compress"},
        {Q "Failed to load XBZRLE page - len overflow!\n" Q
           "Failed to decompress XBZRLE page at 4000\n" IN("ram"),
         "stream-damaged", "ram", "XBZRLE", "verify"},
        {Q "Unknown savevm section or instance '0000:00:05.0/virtio-rng' 0. "
           "Make sure that your current VM setup matches your saved VM setup, "
           "including any hotplugged devices\n" EINVAL_,
         "device-missing", "0000:00:05.0/virtio-rng",
         "no virtio-rng at PCI address 0000:00:05.0", "addr=05.0"},
        {Q "load of migration failed: Invalid argument: Unknown section or "
           "instance '0000:00:05.0/virtio-rng' 0. Make sure that your current "
           "VM setup matches your saved VM setup, including any hotplugged "
           "devices\n",
         "device-missing", "0000:00:05.0/virtio-rng",
         "no virtio-rng at PCI address 0000:00:05.0", "addr=05.0"},
        {Q "Unknown savevm section or instance 'kvmclock' 0. Make sure\n",
         "accelerator", "kvmclock", "made with KVM", "-accel kvm"},
        {Q "Unknown savevm section or instance 'cpu_common' 1. Make sure\n",
         "cpu-count", "cpu_common", "more vCPUs", "-smp"},
        {Q "Unknown savevm section or instance 'block' 0. Make sure\n",
         "capability", "block", "block migration", "9.1"},
        {Q "Unknown savevm section or instance 'serial' 1. Make sure\n",
         "device-missing", "serial", "no instance 1",
         "devices of the snapshot"},
        {Q "Unknown savevm section or instance 'hpet' 0. Make sure\n",
         "device-missing", "hpet", "no such device", "devices of the snapshot"},
        {Q "savevm: unsupported version 99 for 'timer' v2\n" EINVAL_,
         "device-version", "timer",
         "version 99 of it, the target knows up to 2", "new"},
        {Q "load of migration failed: Invalid argument: unsupported version 99 "
           "for 'timer' v2\n",
         "device-version", "timer",
         "version 99 of it, the target knows up to 2", "new"},
        {Q
         "cpu/x: incoming version_id 3 is too new for local version_id 1\n" IN(
                 "cpu"),
         "device-version", "cpu", "cpu/x has version 3 in the snapshot", "new"},
        {Q "vga: incoming version_id 1 is too old for local minimum version_id "
           " 2\n" IN("vga"),
         "device-version", "vga", "none below 2", "older QEMU"},
        {Q "vtd too new\n" IN("vtd"), "device-version", "vtd", "vtd is newer",
         "new"},
        {IN("cpu") FAILED("No such file or directory"), "subsection-unknown",
         "cpu", "subsection", "new"},
        {NEW("cpu", "VM subsection 'cpu/x' in 'cpu' does not exist"),
         "subsection-unknown", "cpu", "cpu/x", "new"},
        {Q "get_pci_config_device: Bad config data: i=0x9a read: 1 device: 2 "
           "cmask: ff wmask: 0 w1cmask:0\n" Q
           "Failed to load PCIDevice:config\n" Q
           "Failed to load virtio-blk:virtio\n" IN("0000:00:04.0/virtio-blk")
                   EINVAL_,
         "device-config", "0000:00:04.0/virtio-blk", "2 vectors there, 3 here",
         "-smp"},
        {Q "get_pci_config_device: Bad config data: i=0x2 read: 1 device: 5 "
           "cmask: ff wmask: 0 w1cmask:0\n" IN("0000:00:04.0/virtio-blk"),
         "device-config", "0000:00:04.0/virtio-blk", "0x2 (device id)",
         "another model"},
        {Q "get_pci_config_device: Bad config data: i=0x16 read: 1 device: 5 "
           "cmask: ff wmask: 0 w1cmask:0\n" IN("x"),
         "device-config", "x", "0x16 (BAR 1)", "properties"},
        {Q "get_pci_config_device: Bad config data: i=0x10a read: 40 device: 0 "
           "cmask: ff wmask: 0 w1cmask:0\n" IN("x"),
         "device-config", "x", "extended capabilities", "properties"},
        {Q "Features 0x130002104 unsupported. Allowed features: 0x79bfffe7\n" Q
           "Failed to load virtio-blk:virtio\n" IN("0000:00:04.0/virtio-blk"),
         "device-config", "0000:00:04.0/virtio-blk", ": 32 (version_1)",
         "properties"},
        {Q "Features 0x40010000 unsupported. Allowed features: 0x40000000\n" IN(
                 "0000:00:04.0/virtio-net"),
         "device-config", "0000:00:04.0/virtio-net", ": 16 (status)",
         "properties"},
        {Q "Features 0x00000000000000010000000100000000 unsupported. Allowed "
           "features: 0x00000000000000000000000100000000\n" IN("v"),
         "device-config", "v", ": 64", "properties"},
        {Q "VQ 1 size 0x100 < last_avail_idx 0x10 - used_idx 0x9\n" IN("v"),
         "stream-damaged", "v", "virtqueue 1 of 0x100 entries", "verify"},
        {Q "VQ 1 size 0x100 Guest index 0x10 inconsistent with Host index 0x9: "
           "delta 0x7\n" IN("v"),
         "stream-damaged", "v", "index 0x10", "verify"},
        {Q "VQ 2 address 0x0 inconsistent with Host index 0x9\n" IN("v"),
         "stream-damaged", "v", "virtqueue 2", "verify"},
        {Q "VQ 2 vring.num 256 exceeds allocated max 128\n" IN("v"),
         "device-config", "v", "256 entries, the target's has at most 128",
         "queue-size="},
        {Q "Invalid number of virtqueues: 0x4000\n" IN("v"), "stream-damaged",
         "v", "0x4000 virtqueues", "verify"},
        {Q "6 != 4\n" Q "Failed to load ahci:ports\n" IN("x"), "device-config",
         "x", "ahci:ports is 0x4 in the snapshot and 0x6", "properties"},
        {Q "6 != 4\n" Q
           "Failed to load element of type int32 equal for ports\n" NEW(
                   "x", "Failed to load element of type ahci for ahci"),
         "device-config", "x", "ports is 0x4 in the snapshot and 0x6",
         "properties"},
        {Q "2 != 1\n" Q "Failed to load openpic:nb_cpus\n" IN("openpic"),
         "cpu-count", "openpic", "nb_cpus", "-smp"},
        {Q "Invalid value 9 expecting positive value <= 4\n" Q
           "Failed to load hpet:num_timers\n" IN("hpet"),
         "device-config", "hpet", "hpet:num_timers is 9 in the snapshot",
         "properties"},
        {Q "vmstate: get_nullptr expected VMS_NULLPTR_MARKER\n" Q
           "Failed to load css:css\n" IN("s390_css"),
         "device-config", "s390_css", "css:css", "properties"},
        {Q "Input validation failed: hpet/num_timers\n" IN("hpet"),
         "device-config", "hpet", "hpet/num_timers", "verify"},
        {Q "Failed to load vga:st\n" IN("vga") EINVAL_, "refused", "vga",
         "vga:st", "properties"},
        {IN("vga") EINVAL_, "refused", "vga", "does not say why", "properties"},
        {Q "vCPU set in guest-mode inconsistent with migrated kernel nested "
           "state\n" IN("cpu"),
         "accelerator", "cpu", "a guest of its own", "KVM"},
        {"error: failed to set MSR 0x10a to 0x4\n", "cpu-features", "ram",
         "register MSR 0x10a", "CPU model"},
        {Q "loadvm: ram RAM loading not allowed on Xen\n", "accelerator", "ram",
         "Xen", "-accel"},
        {Q "Missing section footer for timer\n" EINVAL_, "field-size", "timer",
         "more or fewer bytes", "version"},
        {Q "Mismatched section id in footer for timer - read 0x9 expected "
           "0x0\n" EINVAL_,
         "stream-damaged", "timer", "section 0x9, not to 0x0", "verify"},
        {Q "Unknown savevm section type 85\n" EINVAL_, "stream-damaged", "ram",
         "0x55", "verify"},
        {FAILED("Invalid argument: Unknown section type 85"), "stream-damaged",
         "ram", "0x55", "verify"},
        {Q "Unknown savevm section type 7\n" EINVAL_, "machine-type", "ram",
         "does not expect", "send-configuration=on"},
        {Q "Unknown savevm section 12\n" EINVAL_, "stream-damaged", "ram",
         "section 12", "verify"},
        {Q "error while loading state section id 2(ram)\n" FAILED(
                 "Input/output error"),
         "stream-damaged", "ram", "ends within", "verify"},
        {Q "Getting RAM address failed\n" Q
           "load of migration failed: Input/output error: Failed to load "
           "vmstate version_id: 4, ret: -5\n",
         "stream-damaged", "ram", "ends within", "verify"},
        {FAILED("Input/output error"), "stream-damaged", "ram",
         "ends before its end mark", "verify"},
        {Q "Unable to read ID string for section 4\n" EINVAL_, "stream-damaged",
         "ram", "section 4", "verify"},
        {Q "Not a migration stream\n" EINVAL_, "stream-damaged", "ram",
         "does not begin", "verify"},
        {FAILED("Invalid argument: Not a migration stream, magic: 0 != "
                "5145564d"),
         "stream-damaged", "ram", "does not begin", "verify"},
        {Q "SaveVM v2 format is obsolete and don't work anymore\n" FAILED(
                 "Operation not supported"),
         "stream-damaged", "ram", "version 2", "verify"},
        {Q "Unsupported migration stream version\n" FAILED(
                 "Operation not supported"),
         "stream-damaged", "ram", "format version", "verify"},
        {Q "MIG_CMD 0x63 unknown (len 0x0)\n", "stream-damaged", "ram",
         "command 0x63", "verify"},
        {Q "RAM postcopy is disabled but have 16 byte advise\n", "capability",
         "ram", "postcopy", "set the capability postcopy-ram"},
        {Q "RAM postcopy is enabled but have 0 byte advise\n", "capability",
         "ram", "postcopy", "clear the capability postcopy-ram"},
        {Q "CMD_POSTCOPY_RUN in wrong postcopy state (0)\n", "stream-damaged",
         "ram", "RUN", "fresh target"},
        {Q "Postcopy is not supported: Userfaultfd not available\n",
         "capability", "ram", "Userfaultfd not available", "userfaultfd"},
        {Q "Postcopy is not supported\n", "capability", "ram", "cannot do",
         "userfaultfd"},
        {"Error unknown block device drive0\n" IN("block"), "disk-missing",
         "block", "disk drive0", "drive0"},
        {Q "Error: Unknown node alias 'n0'\n" IN("dirty-bitmap"),
         "disk-missing", "dirty-bitmap", "node n0", "node-name"},
        {Q "-drive file=d: Failed to get \"write\" lock\nIs another process "
           "using the image [d]?\n",
         "disk-in-use", "ram", "in use", "image"},
        {Q "-drive file=d: Could not open 'd': No such file or directory\n",
         "disk-missing", "ram", "file d ", "put it there"},
        {Q "-incoming foo:bar: unknown migration protocol: foo:bar\n",
         "refused", "ram", "-incoming foo:bar", "unix:PATH"},
        {Q "-incoming unix:/no/x.sock: Failed to bind socket to /no/x.sock: No "
           "such file or directory\n",
         "refused", "ram", "at /no/x.sock (No such", "directory"},
        {"Could not access KVM kernel module: Permission denied\n",
         "accelerator", "ram", "Permission denied", "/dev/kvm"},
};

static void every_message_has_a_device_a_cause_and_a_remedy(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
                check(&messages[i], messages[i].device[0] ? "ram" : "");
}

static void other_prefixes_and_quotes_do_not_matter(void **state)
{
        static const struct row rows[] = {
                {"2026-01-01T00:00:00Z /usr/lib/qemu: savevm: Unknown savevm "
                 "section or instance \"timer\" 0. Whatever",
                 "device-missing", "timer", "no such device", "devices"},
                {"[wrapper] unsupported version 3 for \"timer\" v2",
                 "device-version", "timer", "version 3", "new"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                check(&rows[i], "");
}

static void warnings_explain_nothing(void **state)
{
        struct explanation e;

        (void)state;
        assert_false(explain(Q "warning: TCG doesn't support requested "
                               "features\n" Q "warning: 1 != 2\n",
                             "ram", &e));
        assert_string_equal(e.code, "refused");
}

static void what_is_not_known_is_said_not_to_be(void **state)
{
        static const char *const said[] = {"", "\n\n", Q "Zounds\n", EINVAL_,
                                           "%s$1#1"};
        struct explanation e;

        (void)state;
        for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
                assert_false(explain(said[i], "tim\ner", &e));
                assert_string_equal(e.code, "refused");
                assert_string_equal(e.device, "tim\\x0aer");
                assert_string_equal(e.cause, "");
        }
}

static void the_instance_is_told(void **state)
{
        struct explanation e;

        (void)state;
        assert_true(explain(Q "error while loading state for instance 0x1f of "
                              "device 'serial'\n" EINVAL_,
                            "", &e));
        assert_int_equal(e.instance_id, 0x1f);
        assert_true(
                explain("Unknown section or instance 'serial' 12. ", "", &e));
        assert_int_equal(e.instance_id, 12);
}

static void names_cannot_drive_a_terminal(void **state)
{
        struct explanation e;

        (void)state;
        assert_true(explain("Size mismatch: a\x1b[31m: 0x1 != 0x2\n"
                            "error while loading state for instance 0x0 of "
                            "device 'b\x1b[31m'\n",
                            "", &e));
        assert_null(strchr(e.cause, '\x1b'));
        assert_string_equal(e.device, "b\\x1b[31m");
}

static void only_the_end_of_a_flood_counts(void **state)
{
        size_t len = 1 << 20;
        char *said = malloc(len + 100);
        struct explanation e;

        (void)state;
        assert_non_null(said);
        memset(said, 'x', len);
        memcpy(said, "2 != 1\n", 7);
        strcpy(said + len, "\nNot a migration stream\n");
        assert_true(explain(said, "", &e));
        assert_string_equal(e.code, "stream-damaged");
        free(said);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(
                        every_message_has_a_device_a_cause_and_a_remedy),
                cmocka_unit_test(other_prefixes_and_quotes_do_not_matter),
                cmocka_unit_test(warnings_explain_nothing),
                cmocka_unit_test(what_is_not_known_is_said_not_to_be),
                cmocka_unit_test(the_instance_is_told),
                cmocka_unit_test(names_cannot_drive_a_terminal),
                cmocka_unit_test(only_the_end_of_a_flood_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
