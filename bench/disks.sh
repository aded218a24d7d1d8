#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# disks.sh: a disk overlay of 2 GiB into a snapshot, uncompressed, beside
# `qemu-img convert` of the same overlay to the same place, and back.  Each
# time includes a sync; pairs alternate.  ROUNDS: how many (default 5).  Prints
# one line a measurement: WHAT MILLISECONDS BYTES.

set -eu
: "${STASIS:?run by make bench}" "${TOOLS:?}"
QEMU=${QEMU:-qemu-system-x86_64}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/stasis-bench-XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"

truncate -s 8G base.img
qemu-img create -q -f qcow2 -b base.img -F raw disk.qcow2
(tar -C / -cf - usr/lib usr/share usr/bin 2>/dev/null || true) |
        head -c 2147483648 > content || true
# In runs of 1 MiB with gaps of 64 KiB, as a guest's disk has it.
split -b 1M -d -a 4 content piece.
for n in $(seq 0 $(($(stat -c %s content) / 1048576 - 1))); do
        echo "write -q -s piece.$(printf %04d "$n") $((n * 1088))k 1M"
done | qemu-io -f qcow2 disk.qcow2 > /dev/null
rm -f content piece.*
sync

clock() {
        date +%s%N
}

tell() { # WHAT BEGAN FILE
        local now
        now=$(clock)
        echo "$1 $(((now - $2) / 1000000)) ms $(stat -c %s "$3") bytes"
}

"$QEMU" -M pc -m 64 -nodefaults -display none -qmp unix:qmp,server=on,wait=off \
        -drive file=disk.qcow2,format=qcow2,if=none,id=d1 \
        -device virtio-blk-pci,drive=d1 2>/dev/null &
pid=$!
until "$TOOLS/qmp" qmp query-status > /dev/null 2>&1; do sleep 0.05; done

for round in $(seq "${ROUNDS:-5}"); do
        rm -f ours.stasis theirs.qcow2
        sync
        t=$(clock)
        "$STASIS" save --qmp qmp --disk d1 --compress none ours.stasis 2>/dev/null
        tell "save: stasis none" "$t" ours.stasis
        sync
        t=$(clock)
        qemu-img convert -U -f qcow2 -O qcow2 -B base.img -F raw disk.qcow2 theirs.qcow2
        sync theirs.qcow2
        tell "save: qemu-img convert" "$t" theirs.qcow2
        rm -f back.qcow2
        sync
        t=$(clock)
        "$STASIS" export --disk d1 ours.stasis back.qcow2
        tell "export: stasis" "$t" back.qcow2
done
