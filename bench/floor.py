# SPDX-License-Identifier: LGPL-2.1-or-later
"""What no save in compressed frames of 1 MiB can be faster than: the CPU time
that QEMU needs to send the guest into a socketpair, and that which compressing
its RAM takes, over the CPUs."""

import json
import os
import socket
import subprocess

import guests
import measure
import ways

LEVELS = {"zstd:1": "1", "zstd:-1": "-1"}


def drain(end):
    buffer = bytearray(1 << 20)
    total = 0
    while got := end.recv_into(buffer):
        total += got
    return total


def send_cpu(env, guest, qemu):
    """CPU seconds of QEMU's process to send all, and the bytes."""
    with guests.start(env, guest, qemu) as machine:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                machine.watch.command("getfd", {"fdname": "floor"},
                                      [theirs.fileno()])
            machine.watch.command("migrate-set-parameters",
                                  {"max-bandwidth": 0})
            before = measure.process_cpu(machine.pid)
            machine.watch.command("migrate", {"uri": "fd:floor"})
            total = drain(ours)
        meter = measure.Meter(lambda: [])
        ways.wait_migrated(machine, meter)
        return measure.process_cpu(machine.pid) - before, total


def write_frames(snapshot, path):
    """The RAM that an uncompressed snapshot holds, whole chunks of 1 MiB."""
    with open(path, "wb") as f:
        subprocess.run(["tar", "-xOf", snapshot, "--wildcards", "ram/pc.ram/*"],
                       stdout=f, check=True)


def frames(env, level, path):
    run = subprocess.run([env["micro"], "frames", level, path], check=True,
                         stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def floors(env, guest, qemu, snapshot):
    """Name and measurement for each level."""
    path = "frames"
    if not os.path.exists(path):
        write_frames(snapshot, path)
    measure.warm(path)
    sending, total = send_cpu(env, guest, qemu)
    for name, level in LEVELS.items():
        packed = frames(env, level, path)
        cpu = sending + packed["cpu_seconds"]
        yield name, {
            "wall": cpu / len(os.sched_getaffinity(0)), "cpu": cpu,
            "send_cpu": sending, "frames_cpu": packed["cpu_seconds"],
            "frames": packed["frames"], "stream_bytes": total,
            "bytes": packed["stored_bytes"],
        }
