/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sentences whose numbers and names mean more than they say: RAMBlocks by
 * their names, PCI config space by its offsets, section names by their shape.
 */
#include "qemu/explain_private.h"

#include "base/limits.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool ends_with(const char *s, const char *end)
{
        size_t n = strlen(s), m = strlen(end);

        return n >= m && strcmp(s + n - m, end) == 0;
}

enum ram_kind {
        RAM_MAIN,
        RAM_VIDEO,
        RAM_ROM,
        RAM_FIRMWARE,
        RAM_FLASH,
        RAM_ACPI
};

static enum ram_kind kind_of(const char *block)
{
        if (strstr(block, "rom@etc/"))
                return RAM_ACPI;
        if (strstr(block, "flash"))
                return RAM_FLASH;
        if (strcmp(block, "pc.bios") == 0 || strcmp(block, "pc.rom") == 0 ||
            strcmp(block, "isa-bios") == 0)
                return RAM_FIRMWARE;
        if (ends_with(block, ".rom") || strstr(block, "rom@"))
                return RAM_ROM;
        return strstr(block, "vram") || strstr(block, "vga") ? RAM_VIDEO
                                                             : RAM_MAIN;
}

static void ram_remedy(enum ram_kind kind, uint64_t received,
                       struct explanation *out)
{
        char *to = out->remedy;
        size_t room = sizeof out->remedy;

        switch (kind) {
        case RAM_ACPI:
                snprintf(to, room,
                         "QEMU builds it from the VM's devices: use the same "
                         "machine type, -smp and devices, and the QEMU that "
                         "saved");
                break;
        case RAM_FLASH:
                snprintf(to, room,
                         "give the target a pflash image of 0x%" PRIx64
                         " bytes: the firmware file it had",
                         received);
                break;
        case RAM_FIRMWARE:
                snprintf(to, room,
                         "give the target the firmware file it had: -bios FILE "
                         "or -L DIR of the QEMU that saved");
                break;
        case RAM_ROM:
                snprintf(to, room,
                         "give the target the ROM file it had: -L DIR of the "
                         "QEMU that saved, or romfile=FILE (or "
                         "romsize=0x%" PRIx64 ") for this device",
                         received);
                break;
        case RAM_VIDEO:
                snprintf(to, room,
                         "give the display device the memory it had "
                         "(vgamem_mb=, vram_size_mb=, ram_size=)");
                break;
        case RAM_MAIN:
                if (received % MiB == 0)
                        snprintf(to, room,
                                 "start the target with the same RAM: -m "
                                 "%" PRIu64 "M, or that size= for the memory "
                                 "backend",
                                 (uint64_t)(received / MiB));
                else
                        snprintf(to, room,
                                 "start the target with the same sizes of RAM");
                break;
        }
}

static const char *ram_code(enum ram_kind kind)
{
        return kind == RAM_MAIN || kind == RAM_VIDEO ? "ram-size" : "rom-size";
}

static const char *ram_noun(enum ram_kind kind)
{
        switch (kind) {
        case RAM_ROM:
                return "ROM ";
        case RAM_FIRMWARE:
        case RAM_FLASH:
                return "firmware ";
        case RAM_ACPI:
                return "firmware table ";
        default:
                return "RAMBlock ";
        }
}

void explain_ram_size(const struct phrase *p, const struct explain_told *r,
                      struct explanation *out)
{
        uint64_t received = p->captures[1].low, local = p->captures[2].low;
        enum ram_kind kind = kind_of(p->captures[0].text);
        char block[256], theirs[32], ours[32];

        (void)r;
        out->code = ram_code(kind);
        snprintf(out->cause, sizeof out->cause,
                 "%s%s has 0x%" PRIx64 " bytes (%s) in the snapshot and "
                 "%s0x%" PRIx64 " (%s) in the target",
                 ram_noun(kind),
                 text_escape(p->captures[0].text, block, sizeof block),
                 received, text_bytes(received, theirs, sizeof theirs),
                 strchr(p->begin, '>') && strchr(p->begin, '>') < p->end
                         ? "at most "
                         : "",
                 local, text_bytes(local, ours, sizeof ours));
        ram_remedy(kind, received, out);
}

void explain_ram_missing(const struct phrase *p, const struct explain_told *r,
                         struct explanation *out)
{
        const char *name = p->captures[0].text;
        char block[256];

        (void)r;
        text_escape(name, block, sizeof block);
        snprintf(out->cause, sizeof out->cause, "the target has no RAMBlock %s",
                 block);
        if (strchr(name, '/') && strchr(name, ':'))
                snprintf(out->remedy, sizeof out->remedy,
                         "give the target the device that owns it, at the PCI "
                         "address in its name");
        else if (kind_of(name) != RAM_MAIN)
                snprintf(out->remedy, sizeof out->remedy,
                         "give the target the same machine type, firmware and "
                         "display device");
        else
                snprintf(out->remedy, sizeof out->remedy,
                         "give the target's memory backend that name (-object "
                         "memory-backend-...,id=%.100s), or none for the "
                         "machine's default",
                         strrchr(block, '/') ? strrchr(block, '/') + 1 : block);
}

/* Offsets of a type 0 header (PCI Local Bus 3.0, section 6.1). */
static const char *pci_field(unsigned offset, char out[64])
{
        static const struct {
                unsigned from, to;
                const char *name;
        } fields[] = {
                {0x00, 0x01, "vendor id"},
                {0x02, 0x03, "device id"},
                {0x04, 0x05, "command"},
                {0x06, 0x07, "status"},
                {0x08, 0x08, "revision"},
                {0x09, 0x0b, "class code"},
                {0x0e, 0x0e, "header type"},
                {0x2c, 0x2d, "subsystem vendor id"},
                {0x2e, 0x2f, "subsystem id"},
                {0x30, 0x33, "ROM address"},
                {0x34, 0x34, "capability pointer"},
                {0x3d, 0x3d, "interrupt pin"},
        };

        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
                if (offset >= fields[i].from && offset <= fields[i].to)
                        return fields[i].name;
        if (offset >= 0x10 && offset <= 0x27) {
                snprintf(out, 64, "BAR %u", (offset - 0x10) / 4);
                return out;
        }
        if (offset >= 0x100)
                return "PCI Express extended capabilities";
        return offset >= 0x40 ? "capabilities" : "header";
}

/* The control word of MSI-X lies two bytes into its capability, which begins
 * at a multiple of four; its low bits are the number of vectors less one. */
static bool may_be_vectors(unsigned offset, uint64_t a, uint64_t b)
{
        return offset >= 0x40 && offset < 0x100 && offset % 4 == 2 &&
               a < 0x80 && b < 0x80;
}

void explain_pci_config(const struct phrase *p, const struct explain_told *r,
                        struct explanation *out)
{
        unsigned offset = (unsigned)p->captures[0].low & 0xfffU;
        uint64_t theirs = p->captures[1].low, ours = p->captures[2].low;
        char name[64];

        (void)r;
        if (may_be_vectors(offset, theirs, ours)) {
                snprintf(out->cause, sizeof out->cause,
                         "its PCI config byte 0x%x (MSI-X table size) is "
                         "0x%" PRIx64 " in the snapshot and 0x%" PRIx64
                         " in the target: %" PRIu64 " vectors there, %" PRIu64
                         " here",
                         offset, theirs, ours, theirs + 1, ours + 1);
                snprintf(out->remedy, sizeof out->remedy,
                         "start the target with the same -smp, and this device "
                         "with the same num-queues=, mq= and vectors=");
                return;
        }
        snprintf(out->cause, sizeof out->cause,
                 "its PCI config byte 0x%x (%s) is 0x%" PRIx64
                 " in the snapshot and 0x%" PRIx64 " in the target",
                 offset, pci_field(offset, name), theirs, ours);
        if (offset < 0x10 || (offset >= 0x2c && offset < 0x30))
                snprintf(out->remedy, sizeof out->remedy,
                         "another model is at this address: put the device "
                         "that was saved there, with the same machine type");
        else
                snprintf(out->remedy, sizeof out->remedy,
                         "give the device the properties it had when it was "
                         "saved (queues, vectors, memory, romfile), and the "
                         "target the same machine type");
}

static bool begins(const char *s, const char *with)
{
        return strncmp(s, with, strlen(with)) == 0;
}

/* "0000:00:05.0/virtio-rng" */
static bool pci_name(const char *idstr, const char **address_end)
{
        const char *slash = strchr(idstr, '/');

        *address_end = slash;
        return slash && slash - idstr >= 12 && idstr[4] == ':' &&
               memchr(idstr, '.', (size_t)(slash - idstr));
}

static void missing(struct explanation *out, const char *code,
                    const char *cause, const char *remedy)
{
        if (code)
                out->code = code;
        snprintf(out->cause, sizeof out->cause, "%s", cause);
        snprintf(out->remedy, sizeof out->remedy, "%s", remedy);
}

static void missing_pci(const char *idstr, const char *slash,
                        struct explanation *out)
{
        char type[128], address[128], raw[128];

        snprintf(raw, sizeof raw, "%.*s", (int)(slash - idstr), idstr);
        text_escape(raw, address, sizeof address);
        text_escape(slash + 1, type, sizeof type);
        snprintf(out->cause, sizeof out->cause,
                 "the target has no %s at PCI address %s: it is missing, at "
                 "another address, or another device is there",
                 type, address);
        snprintf(out->remedy, sizeof out->remedy,
                 "add it with addr=%s on that bus; without addr= a device gets "
                 "the next free slot in the order of the command line",
                 strrchr(address, ':') ? strrchr(address, ':') + 1 : address);
}

void explain_missing(const struct phrase *p, const struct explain_told *r,
                     struct explanation *out)
{
        const char *idstr = p->captures[0].text, *slash;
        uint64_t instance = p->captures[1].low;

        (void)r;
        if (begins(idstr, "kvm"))
                missing(out, "accelerator",
                        "the snapshot was made with KVM, the target runs "
                        "without it",
                        "start the target with -accel kvm");
        else if (instance > 0 && (strcmp(idstr, "cpu") == 0 ||
                                  strcmp(idstr, "cpu_common") == 0 ||
                                  strcmp(idstr, "apic") == 0))
                missing(out, "cpu-count",
                        "the snapshot has more vCPUs than the target",
                        "start the target with the same -smp");
        else if (strcmp(idstr, "block") == 0)
                missing(out, "capability",
                        "the stream carries disks (block migration), which "
                        "this QEMU does not support",
                        "use a QEMU older than 9.1, or restore the disks as "
                        "files");
        else if (strcmp(idstr, "dirty-bitmap") == 0)
                missing(out, "capability",
                        "the stream carries dirty bitmaps, which this QEMU "
                        "does not support",
                        "use a newer QEMU");
        else if (strcmp(idstr, "slirp") == 0)
                missing(out, NULL, "the target has no such -netdev user",
                        "give the target as many -netdev user as it had");
        else if (pci_name(idstr, &slash))
                missing_pci(idstr, slash, out);
        else if (instance > 0)
                snprintf(out->cause, sizeof out->cause,
                         "the target has no instance %" PRIu64 " of it: "
                         "fewer such devices",
                         instance);
        else
                snprintf(out->cause, sizeof out->cause,
                         "the target has no such device");
        if (!out->remedy[0])
                snprintf(out->remedy, sizeof out->remedy,
                         "start the target with the machine type and the "
                         "devices of the snapshot, hotplugged ones included");
}

/* QEMU tells its own value first. */
void explain_equal(const struct phrase *p, const struct explain_told *r,
                   struct explanation *out)
{
        char field[300];

        if (strstr(r->field, "cpus"))
                out->code = "cpu-count";
        snprintf(out->cause, sizeof out->cause,
                 "%s is 0x%" PRIx64 " in the snapshot and 0x%" PRIx64
                 " in the target, and cannot be changed by loading",
                 text_escape(r->field[0] ? r->field : "a field", field,
                             sizeof field),
                 p->captures[1].low, p->captures[0].low);
}

void explain_section_type(const struct phrase *p, const struct explain_told *r,
                          struct explanation *out)
{
        uint64_t type = p->captures[0].low;

        (void)r;
        if (type == 7) {
                out->code = "machine-type";
                snprintf(out->cause, sizeof out->cause,
                         "the snapshot names its machine type, which the "
                         "target does not expect");
                snprintf(out->remedy, sizeof out->remedy,
                         "use the machine type it was saved with, or add "
                         "-global migration.send-configuration=on");
                return;
        }
        snprintf(out->cause, sizeof out->cause,
                 "where a section should begin stands 0x%" PRIx64
                 ": damage, or the section before was read otherwise than "
                 "written",
                 type);
        snprintf(out->remedy, sizeof out->remedy,
                 "verify the snapshot; if it is sound, use the QEMU version "
                 "that saved");
}
