# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
#
# What QEMU keeps in an image beside the disk: the state of a VM (savevm), read
# out as the migration stream that it is and loaded by a QEMU; and the names of
# persistent bitmaps.

set -u
: "${TOOLS:?run by tests/run.sh}" "${QEMU:=qemu-system-x86_64}"

fail() {
        echo "FAILED: $*" >&2
        cat ./*.log >&2
        exit 1
}

quiet=(-accel tcg -M pc -m 8 -nodefaults -display none -no-user-config)

# The VM state in clusters of several sizes, behind disks that do not end with
# an L2 table's reach.
for options in cluster_size=4K cluster_size=64K,compat=0.10 \
        cluster_size=16K,extended_l2=on cluster_size=512; do
        rm -f vm.qcow2 state
        qemu-img create -q -f qcow2 -o "$options" vm.qcow2 10000384 ||
                fail "create $options"
        printf '%s\n' 'savevm first' 'savevm second' quit | timeout 60 "$QEMU" \
                "${quiet[@]}" -S -monitor stdio \
                -drive file=vm.qcow2,format=qcow2,if=none,id=d \
                -device virtio-blk-pci,drive=d > savevm.log 2>&1 ||
                fail "savevm: $options"
        "$TOOLS/qcowcat" qcow2 vm.qcow2 vmstate > state 2> qcowcat.log ||
                fail "qcowcat: $options"
        [ "$(head -c 4 state)" = QEVM ] || fail "no stream: $options"
        qemu-img convert -O raw vm.qcow2 want
        "$TOOLS/qcowcat" qcow2 vm.qcow2 > got || fail "$options"
        cmp got want || fail "the disk: $options"
        # A raw disk of the same size, empty as that one is.
        truncate -s 10000384 empty.raw
        { sleep 1; printf '%s\n' 'info status' quit; } |
                timeout 60 "$QEMU" "${quiet[@]}" \
                -S -monitor stdio -incoming 'exec:cat state' \
                -drive file=empty.raw,format=raw,if=none,id=d \
                -device virtio-blk-pci,drive=d > load.log 2>&1 ||
                fail "load: $options"
        grep -q 'VM status: paused' load.log || fail "load: $options"
        ! grep -q 'inmigrate\|failed' load.log || fail "load: $options"
done

# Valid ones; an image whose writer does not know them has none.
qemu-img create -q -f qcow2 bitmaps.qcow2 1M
qemu-img bitmap --add bitmaps.qcow2 daily
qemu-img bitmap --add -g 4096 bitmaps.qcow2 'second one'
[ "$("$TOOLS/qcowcat" qcow2 bitmaps.qcow2 bitmaps)" = \
        "$(printf 'daily\nsecond one')" ] || fail "names of bitmaps"
printf '\0' | dd of=bitmaps.qcow2 bs=1 seek=95 conv=notrunc status=none
[ -z "$("$TOOLS/qcowcat" qcow2 bitmaps.qcow2 bitmaps)" ] ||
        fail "stale bitmaps are named"
