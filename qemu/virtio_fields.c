/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VirtIODevice's state, which vmdesc describes as one blob: what every
 * device has, transport, features, queues, is told by name; what is the device
 * class's own stays bytes.  (hw/virtio/virtio.c virtio_save, 5.2 to 10.2)
 *
 * A blob that does not look like that is told as one leaf: the bytes are
 * right in any case.
 */
#include "qemu/fields_private.h"

#include <stdio.h>
#include <string.h>

#define QUEUES_MAX   1024
#define PACKED_QUEUE 10

#define PCI_CONFIG         256U
#define PCI_CONFIG_EXPRESS 4096U
#define PCI_CAP_MSIX       0x11
#define PCI_CAP_EXPRESS    0x10

/* What a walk through the blob found; nothing has been told yet. */
struct layout {
        bool pci;         /* else the transport has no bytes that we know  */
        size_t config;    /* PCI configuration space, bytes                */
        unsigned vectors; /* of MSI-X; 0: none                             */
        size_t device;    /* the device's own configuration, bytes         */
        unsigned queues;
        size_t queue; /* bytes of one                                  */
        size_t end;   /* of the queues, in the blob                    */
};

/* A byte of the PCI configuration space, which follows a version. */
static unsigned pci_byte(const struct fields *f, size_t at)
{
        return (unsigned)fields_peek(f, 4 + at, 1);
}

static unsigned pci_capability(const struct fields *f, unsigned id)
{
        unsigned at = pci_byte(f, 0x34) & ~3U;

        /* No more than fit: the list may be a ring. */
        for (int i = 0; at >= 0x40 && i < 48; i++) {
                if (pci_byte(f, at) == id)
                        return at;
                at = pci_byte(f, at + 1) & ~3U;
        }
        return 0;
}

static size_t msix_size(unsigned vectors)
{
        return vectors ? 16 * (size_t)vectors + (vectors + 7) / 8 : 0;
}

static bool find_layout(const struct fields *f, size_t size, struct layout *l)
{
        unsigned msix;
        size_t at;

        *l = (struct layout){.pci = fields_peek(f, 0, 4) == 2 &&
                                    fields_peek(f, 4, 2) == 0xf41a};
        if (!l->pci)
                return false;
        l->config = pci_capability(f, PCI_CAP_EXPRESS) ? PCI_CONFIG_EXPRESS
                                                       : PCI_CONFIG;
        msix = pci_capability(f, PCI_CAP_MSIX);
        if (msix)
                l->vectors =
                        ((pci_byte(f, msix + 2) | pci_byte(f, msix + 3) << 8) &
                         0x7ff) +
                        1;
        at = 4 + l->config + 4 * 4 + msix_size(l->vectors) +
             (l->vectors ? 2 : 0);
        /* status, isr, queue_sel, features */
        l->device = (size_t)fields_peek(f, at + 8, 4);
        if (l->device > size)
                return false;
        at += 12 + l->device;
        l->queues = (unsigned)fields_peek(f, at, 4);
        l->queue = 4 + 8 + 2 + (l->vectors ? 2 : 0);
        l->end = at + 4 + l->queues * l->queue;
        return l->queues <= QUEUES_MAX && l->end <= size;
}

static bool tell_pci(struct fields *f, const struct layout *l)
{
        TRY(fields_leaf(f, "pci.version_id", "int32", FIELD_SIGNED, 4));
        TRY(fields_leaf(f, "pci.config", "pci config", FIELD_BYTES, l->config));
        for (unsigned i = 0; i < 4; i++) {
                char name[24];

                snprintf(name, sizeof name, "pci.irq_state[%u]", i);
                TRY(fields_leaf(f, name, "uint32", FIELD_UNSIGNED, 4));
        }
        if (!l->vectors)
                return true;
        TRY(fields_leaf(f, "pci.msix_table", "buffer", FIELD_BYTES,
                        16 * (size_t)l->vectors));
        TRY(fields_leaf(f, "pci.msix_pba", "buffer", FIELD_BYTES,
                        msix_size(l->vectors) - 16 * (size_t)l->vectors));
        return fields_leaf(f, "config_vector", "uint16", FIELD_UNSIGNED, 2);
}

static bool tell_queue(struct fields *f, const struct layout *l, unsigned i)
{
        size_t mark;
        bool ok;

        TRY(fields_push(f, "vq", &mark));
        ok = fields_push_index(f, i, &(size_t){0}) &&
             fields_leaf(f, "vring.num", "uint32", FIELD_UNSIGNED, 4) &&
             fields_leaf(f, "vring.desc", "uint64", FIELD_UNSIGNED, 8) &&
             fields_leaf(f, "last_avail_idx", "uint16", FIELD_UNSIGNED, 2) &&
             (!l->vectors ||
              fields_leaf(f, "vector", "uint16", FIELD_UNSIGNED, 2));
        fields_pop(f, mark);
        return ok;
}

static bool tell_common(struct fields *f, const struct layout *l)
{
        TRY(tell_pci(f, l));
        TRY(fields_leaf(f, "status", "uint8", FIELD_UNSIGNED, 1));
        TRY(fields_leaf(f, "isr", "uint8", FIELD_UNSIGNED, 1));
        TRY(fields_leaf(f, "queue_sel", "uint16", FIELD_UNSIGNED, 2));
        TRY(fields_leaf(f, "guest_features_lo", "uint32", FIELD_UNSIGNED, 4));
        TRY(fields_leaf(f, "config_len", "uint32", FIELD_UNSIGNED, 4));
        TRY(fields_leaf(f, "config", "buffer", FIELD_BYTES, l->device));
        TRY(fields_leaf(f, "queues", "uint32", FIELD_UNSIGNED, 4));
        for (unsigned i = 0; i < l->queues; i++)
                TRY(tell_queue(f, l, i));
        return true;
}

/* Where the next "virtio/..." subsection begins, from `at` on; end: none. */
static size_t next_subsection(const struct fields *f, size_t at, size_t end)
{
        static const char prefix[] = "virtio/";

        for (; at + 2 + sizeof prefix <= end; at++)
                if (f->bytes[at] == 5 && f->bytes[at + 1] > sizeof prefix - 1 &&
                    memcmp(f->bytes + at + 2, prefix, sizeof prefix - 1) == 0 &&
                    at + 2 + f->bytes[at + 1] + 4 <= end)
                        return at;
        return end;
}

/* Of a ring in packed form: indices, whose top bit is the wrap counter's, then
 * how many buffers the device has. */
static bool tell_packed_queue(struct fields *f, unsigned i)
{
        size_t mark;
        bool ok;

        TRY(fields_push(f, "vq", &mark));
        ok = fields_push_index(f, i, &(size_t){0}) &&
             fields_leaf(f, "avail_idx", "uint16", FIELD_UNSIGNED, 2) &&
             fields_leaf(f, "avail_wrap", "bool", FIELD_BOOL, 1) &&
             fields_leaf(f, "used_idx", "uint16", FIELD_UNSIGNED, 2) &&
             fields_leaf(f, "used_wrap", "bool", FIELD_BOOL, 1) &&
             fields_leaf(f, "inuse", "uint32", FIELD_UNSIGNED, 4);
        fields_pop(f, mark);
        return ok;
}

static bool tell_body(struct fields *f, const char *name, size_t size)
{
        if (strcmp(name, "virtio/packed_virtqueues") != 0 ||
            size != (size_t)QUEUES_MAX * PACKED_QUEUE)
                return size == 0 ||
                       fields_leaf(f, "data", size <= 8 ? "number" : "buffer",
                                   size <= 8 ? FIELD_UNSIGNED : FIELD_BYTES,
                                   size);
        for (unsigned i = 0; i < QUEUES_MAX; i++)
                TRY(tell_packed_queue(f, i));
        return true;
}

static bool tell_subsection(struct fields *f, size_t end)
{
        size_t len = f->bytes[f->at + 1], mark;
        char name[256];
        bool ok;

        memcpy(name, f->bytes + f->at + 2, len);
        name[len] = '\0';
        TRY(fields_push(f, name, &mark));
        ok = fields_subsection(f, name, NULL);
        ok = ok && tell_body(f, name, next_subsection(f, f->at, end) - f->at);
        fields_pop(f, mark);
        return ok;
}

bool fields_virtio(struct fields *f, size_t size)
{
        size_t end = f->at + size, own;
        struct layout l;

        if (!find_layout(f, size, &l))
                return fields_tell(f, "virtio", FIELD_BYTES, size);
        TRY(tell_common(f, &l));
        own = next_subsection(f, f->at, end) - f->at;
        if (own > 0)
                TRY(fields_leaf(f, "device", "buffer", FIELD_BYTES, own));
        while (f->at < end)
                TRY(tell_subsection(f, end));
        return true;
}
