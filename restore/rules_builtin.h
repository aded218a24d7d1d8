/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules for well-known devices: what their registers and queues can hold
 * (hw/timer/hpet.c, hw/char/serial.c, hw/input/ps2.c, hw/virtio/virtio.c,
 * hw/rtc/mc146818rtc.c, hw/timer/i8254.c, hw/intc/i8259.c; QEMU 5.2 to 10.2).
 */
#ifndef STASIS_RESTORE_RULES_BUILTIN_H
#define STASIS_RESTORE_RULES_BUILTIN_H

static const char rules_builtin[] =
        "{\"rules\": ["
        "{\"device\": \"hpet\", \"field\": \"num_timers\", \"min\": 3,"
        " \"max\": 32},"
        "{\"device\": \"hpet\", \"field\": \"timer[*].tn\","
        " \"less_than\": \"num_timers\"},"
        "{\"device\": \"hpet\", \"field\": \"timer[*].wrap_flag\","
        " \"one_of\": [0, 1]},"
        "{\"device\": \"hpet\", \"field\": \"timer[*].qemu_timer\","
        " \"min\": -1},"
        "{\"device\": \"serial\","
        " \"field\": \"state.serial/recv_fifo.recv_fifo.num\","
        " \"min\": 0, \"max\": 16},"
        "{\"device\": \"serial\","
        " \"field\": \"state.serial/recv_fifo.recv_fifo.head\","
        " \"min\": 0, \"max\": 15},"
        "{\"device\": \"serial\","
        " \"field\": \"state.serial/xmit_fifo.xmit_fifo.num\","
        " \"min\": 0, \"max\": 16},"
        "{\"device\": \"serial\","
        " \"field\": \"state.serial/xmit_fifo.xmit_fifo.head\","
        " \"min\": 0, \"max\": 15},"
        "{\"device\": \"ps2kbd\", \"field\": \"parent_obj.queue.count\","
        " \"min\": 0, \"max\": 256},"
        "{\"device\": \"ps2kbd\", \"field\": \"parent_obj.queue.rptr\","
        " \"min\": 0, \"max\": 255},"
        "{\"device\": \"ps2kbd\", \"field\": \"parent_obj.queue.wptr\","
        " \"min\": 0, \"max\": 255},"
        "{\"device\": \"ps2kbd\", \"field\": \"scancode_set\","
        " \"min\": 1, \"max\": 3},"
        "{\"device\": \"ps2mouse\", \"field\": \"parent_obj.queue.count\","
        " \"min\": 0, \"max\": 256},"
        "{\"device\": \"ps2mouse\", \"field\": \"parent_obj.queue.rptr\","
        " \"min\": 0, \"max\": 255},"
        "{\"device\": \"ps2mouse\", \"field\": \"parent_obj.queue.wptr\","
        " \"min\": 0, \"max\": 255},"
        "{\"device\": \"mc146818rtc\", \"field\": \"cmos_index\","
        " \"max\": 255},"
        "{\"device\": \"i8254\", \"field\": \"channels[*].count\","
        " \"min\": 0, \"max\": 65536},"
        "{\"device\": \"i8254\", \"field\": \"channels[*].mode\","
        " \"max\": 7},"
        "{\"device\": \"*\", \"field\": \"virtio.vq[*].vring.num\","
        " \"min\": 0, \"max\": 1024},"
        "{\"device\": \"*\", \"field\": \"virtio.queue_sel\","
        " \"max\": 1023},"
        "{\"device\": \"*\","
        " \"field\": \"virtio.virtio/packed_virtqueues.vq[*].avail_idx\","
        " \"less_than\": \"virtio.vq[*].vring.num\"},"
        "{\"device\": \"*\","
        " \"field\": \"virtio.virtio/packed_virtqueues.vq[*].used_idx\","
        " \"less_than\": \"virtio.vq[*].vring.num\"}"
        "]}";

#endif
