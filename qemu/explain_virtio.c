/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * virtio feature bits by name (Virtual I/O Device 1.2, sections 5 and 6), as
 * QEMU's device properties spell them where it has such a property.
 */
#include "qemu/explain_private.h"

#include <stdio.h>
#include <string.h>

struct feature {
        unsigned bit;
        const char *name;
};

struct features {
        const char *device; /* as in the section's name; NULL: any device */
        struct feature list[40];
};

static const struct features known[] = {
        {"virtio-net",
         {{0, "csum"},
          {1, "guest_csum"},
          {2, "ctrl_guest_offloads"},
          {3, "host_mtu"},
          {5, "mac"},
          {6, "gso"},
          {7, "guest_tso4"},
          {8, "guest_tso6"},
          {9, "guest_ecn"},
          {10, "guest_ufo"},
          {11, "host_tso4"},
          {12, "host_tso6"},
          {13, "host_ecn"},
          {14, "host_ufo"},
          {15, "mrg_rxbuf"},
          {16, "status"},
          {17, "ctrl_vq"},
          {18, "ctrl_rx"},
          {19, "ctrl_vlan"},
          {20, "ctrl_rx_extra"},
          {21, "guest_announce"},
          {22, "mq"},
          {23, "ctrl_mac_addr"},
          {54, "guest_uso4"},
          {55, "guest_uso6"},
          {56, "host_uso"},
          {57, "hash"},
          {60, "rss"},
          {61, "rsc_ext"},
          {62, "standby"},
          {63, "speed"}}},
        {"virtio-blk",
         {{0, "barrier"},
          {1, "size_max"},
          {2, "seg_max"},
          {4, "geometry"},
          {5, "read-only"},
          {6, "blk_size"},
          {7, "scsi"},
          {9, "write-cache"},
          {10, "topology"},
          {11, "config-wce"},
          {12, "num-queues"},
          {13, "discard"},
          {14, "write-zeroes"},
          {16, "secure-erase"},
          {17, "zoned"}}},
        {"virtio-scsi",
         {{0, "inout"}, {1, "hotplug"}, {2, "param_change"}, {3, "t10_pi"}}},
        {"virtio-console",
         {{0, "size"}, {1, "multiport"}, {2, "emergency-write"}}},
        {"virtio-balloon",
         {{0, "must_tell_host"},
          {1, "stats"},
          {2, "deflate-on-oom"},
          {3, "free-page-hint"},
          {4, "page-poison"},
          {5, "free-page-reporting"}}},
        {"virtio-gpu",
         {{0, "virgl"},
          {1, "edid"},
          {2, "resource_uuid"},
          {3, "blob"},
          {4, "context_init"}}},
        {NULL,
         {{24, "notify_on_empty"},
          {27, "any_layout"},
          {28, "indirect_desc"},
          {29, "event_idx"},
          {30, "bad_feature"},
          {32, "version_1"},
          {33, "iommu_platform"},
          {34, "packed"},
          {35, "in_order"},
          {36, "order_platform"},
          {37, "sr_iov"},
          {38, "notification_data"},
          {40, "queue_reset"}}},
};

static const char *name_in(const struct features *f, unsigned bit)
{
        for (size_t i = 0; i < sizeof f->list / sizeof *f->list; i++)
                if (f->list[i].name && f->list[i].bit == bit)
                        return f->list[i].name;
        return NULL;
}

static const char *name_of(const char *device, unsigned bit)
{
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                const char *name;

                if (known[i].device && !strstr(device, known[i].device))
                        continue;
                name = name_in(&known[i], bit);
                if (name)
                        return name;
        }
        return NULL;
}

void explain_features(const struct phrase *p, const struct explain_told *r,
                      struct explanation *out)
{
        const struct phrase_capture *has = &p->captures[0],
                                    *may = &p->captures[1];
        size_t len = 0, room = sizeof out->cause;
        char *to = out->cause;
        const char *sep = "";

        (void)r;
        len += (size_t)snprintf(to, room,
                                "the guest uses virtio features that this "
                                "device does not offer in the target: ");
        for (unsigned bit = 0; bit < 128 && len < room; bit++) {
                uint64_t wanted = bit < 64 ? has->low : has->high;
                uint64_t offered = bit < 64 ? may->low : may->high;
                const char *name = name_of(out->device, bit);

                if (!((wanted & ~offered) >> bit % 64 & 1))
                        continue;
                len += (size_t)snprintf(to + len, room - len,
                                        name ? "%s%u (%s)" : "%s%u%s", sep, bit,
                                        name ? name : "");
                sep = ", ";
        }
        snprintf(out->remedy, sizeof out->remedy,
                 "give the device the properties it had (those named, num-"
                 "queues=), its back end the same abilities, and the target "
                 "the same machine type");
}
