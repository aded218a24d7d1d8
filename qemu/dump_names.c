/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What QEMU has renamed without a change on the wire, where names are not:
 * mostly a device's parent ("dev", "card", "pci_dev"), since devices became
 * objects.  Found in QEMU's history, up to 2.2.
 */
#include "qemu/dump_private.h"

#include <string.h>

struct renamed {
        const char *vmsd, *a, *b;
};

#define BRIDGE_PARENT "parent_obj.parent_obj.parent_obj"

static const struct renamed renamed[] = {
        /* The device that a device is built on. */
        {"e1000", "dev", "parent_obj"},
        {"ehci", "dev", "pcidev"},
        {"I440FX", "dev", "parent_obj"},
        {"ich9_ahci", "card", "parent_obj"},
        {"ich9-ahci", "ahci", "ich9_ahci"},
        {"ioh3420", "PCIDevice", "PCIEDevice"},
        {"x3130-upstream", "PCIDevice", "PCIEDevice"},
        {"xio3130-downstream", "PCIDevice", "PCIEDevice"},
        {"lsiscsi", "dev", "parent_obj"},
        {"mch", "d", "parent_obj"},
        {"pci_bridge", "bridge.dev", "parent_obj"},
        {"pci_bridge", "bridge.dev.shpc", "shpc"},
        {"pcnet", "pci_dev", "parent_obj"},
        {"piix4_pm", "dev", "parent_obj"},
        {"rtl8139", "dev", "parent_obj"},
        {"usb-host", "dev", "parent_obj"},
        {"vmware_vga", "card", "parent_obj"},
        {"xhci", "pci_dev", "parent_obj"},
        {"ioh-3240-express-root-port", "port.br.dev", BRIDGE_PARENT},
        {"ioh-3240-express-root-port", "port.br.dev.exp.aer_log",
         BRIDGE_PARENT ".exp.aer_log"},
        {"xio3130-express-downstream-port", "port.br.dev", BRIDGE_PARENT},
        {"xio3130-express-downstream-port", "port.br.dev.exp.aer_log",
         BRIDGE_PARENT ".exp.aer_log"},
        {"xio3130-express-upstream-port", "br.dev", "parent_obj.parent_obj"},
        {"xio3130-express-upstream-port", "br.dev.exp.aer_log",
         "parent_obj.parent_obj.exp.aer_log"},

        /* What moved within the device's own structure. */
        {"apic", "timer", "timer_expiry"},
        {"cirrus_vga", "hw_cursor_x", "vga.hw_cursor_x"},
        {"cirrus_vga", "hw_cursor_y", "vga.hw_cursor_y"},
        {"PIIX3", "pci_irq_levels", "pci_irq_levels_vmstate"},
        {"piix4_pm", "gpe", "ar.gpe"},
        {"piix4_pm", "pm1_cnt.cnt", "ar.pm1.cnt.cnt"},
        {"piix4_pm", "pm1a.en", "ar.pm1.evt.en"},
        {"piix4_pm", "pm1a.sts", "ar.pm1.evt.sts"},
        {"piix4_pm", "tmr.overflow_time", "ar.tmr.overflow_time"},
        {"piix4_pm", "tmr.timer", "ar.tmr.timer"},
        {"piix4_pm", "pci0_status",
         "acpi_pci_hotplug.acpi_pcihp_pci_status[0x0]"},
        {"qxl", "num_surfaces", "ssd.num_surfaces"},
        {"spapr_pci", "dma_liobn[0]", "mig_liobn"},
        {"spapr_pci", "io_win_addr", "mig_io_win_addr"},
        {"spapr_pci", "io_win_size", "mig_io_win_size"},
        {"spapr_pci", "mem_win_addr", "mig_mem_win_addr"},
        {"spapr_pci", "mem_win_size", "mig_mem_win_size"},
        {"usb-ccid", "abProtocolDataStructure", "abProtocolDataStructure.data"},
        {"usb-mouse", "usb-ptr-queue", "HIDPointerEventQueue"},
        {"usb-tablet", "usb-ptr-queue", "HIDPointerEventQueue"},
        {"vmware_vga_internal", "depth", "new_depth"},
};

static const struct {
        const char *a, *b;
} sections[] = {
        {"ICH9 LPC", "ICH9-LPC"},
        {"e1000-82540em", "e1000"},
};

static bool either(const char *a, const char *b, const char *x, const char *y)
{
        return (strcmp(a, x) == 0 && strcmp(b, y) == 0) ||
               (strcmp(a, y) == 0 && strcmp(b, x) == 0);
}

bool dump_same_name(const char *vmsd, const char *a, const char *b)
{
        if (strcmp(a, b) == 0)
                return true;
        for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
                if (strcmp(renamed[i].vmsd, vmsd) == 0 &&
                    either(a, b, renamed[i].a, renamed[i].b))
                        return true;
        return false;
}

const char *dump_other_section(const char *section)
{
        for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
                if (strcmp(sections[i].a, section) == 0)
                        return sections[i].b;
                if (strcmp(sections[i].b, section) == 0)
                        return sections[i].a;
        }
        return NULL;
}
