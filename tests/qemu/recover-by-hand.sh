# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The specification's chapter on recovery is true: with tar, zstd and dd the RAM
# of a VM comes out of its snapshot as QEMU's own pmemsave writes it, and its
# disks as they were.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1

linux cloud
head -c 6000000 /dev/zero | tr '\0' b > d1.base
truncate -s 8M d1.base
qemu-img create -q -f qcow2 -b d1.base -F raw disk1.qcow2
qemu-io -c 'write -P 0x21 100k 3000k' -c 'write -z 4M 1M' -c 'discard 0 64k' \
        disk1.qcow2 > /dev/null
head -c 3000000 /dev/zero | tr '\0' f > disk2.img
truncate -s 5M disk2.img
start vm -M pc -m 192 "${guest[@]}" \
        -drive file=disk1.qcow2,format=qcow2,if=virtio,id=d1 \
        -drive file=disk2.img,format=raw,if=virtio,id=d2
wait_for vm.serial '^tick 5$' 180
for compress in zstd none; do
        say "with --compress $compress"
        # While nothing runs, QEMU's own word and the snapshot are of one moment.
        qmp vm stop > /dev/null
        qmp vm pmemsave "{\"val\":0,\"size\":201326592,\"filename\":\"$PWD/truth\"}" \
                > /dev/null
        try save "$STASIS" save --qmp vm.qmp --force --compress $compress \
                --disk d1=overlay --disk d2=full vm.stasis
        recover vm.stasis
        # Below 1 MiB firmware and video memory lie over RAM.
        cmp -n 655360 truth recovered/ram/pc.ram || fail "low memory differs"
        cmp -i 1048576 truth recovered/ram/pc.ram || fail "memory differs"

        qemu-img compare -q -U -f qcow2 disk1.qcow2 -F raw recovered/disk/d1.img ||
                fail "the overlay differs"
        cmp disk2.img recovered/disk/d2.img || fail "the disk in full differs"

        # Joined, the items are a stream: header first, end last.
        cat recovered/stream/* > joined
        [ "$(head -c 4 joined)" = QEVM ] || fail "no header"
        ls recovered/stream | tail -n 1 | grep -q 'eof$' || fail "no end"

        follow vm.stasis "Without tar" > report || fail "without tar"
        [ ! -s report ] || fail "$(cat report)"
        name=$(grep -o 'ram/[^/]*/0000000000000000' index | head -n 1)
        cmp chunk.raw <(head -c "$(stat -c %s chunk.raw)" \
                "recovered/${name%/*}") || fail "the chunk found without tar"
        follow vm.stasis Check > report || fail "checking by hand"
        [ ! -s report ] || fail "$(cat report)"

        # A byte changed in a chunk: checking by hand finds it.
        cp vm.stasis damaged
        at=$("$STASIS" list --chunks vm.stasis |
                awk '/ ram\// && !n++ { print $1 }')
        at=$((at + 9))
        was=$(od -An -tu1 -j $at -N 1 damaged)
        printf "\\x$(printf %x $((was ^ 1)))" | dd of=damaged bs=1 \
                conv=notrunc status=none seek=$at
        follow damaged Check > report
        grep -q damaged report || fail "damage was not found by hand"
        rm -f vm.stasis damaged
        qmp vm cont > /dev/null
done
