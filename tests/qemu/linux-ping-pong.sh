# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 900
#
# A Linux guest with two CPUs goes from QEMU to QEMU through files, time and
# again, while everything is in use: TCP between virtio-net and e1000, writes to
# virtio-blk, IDE (AHCI on q35) and USB disks, a random generator.  Its console
# must not show that it was ever moved.  MACHINES: which machine types.
. "$SOURCE/tests/lib.sh" || exit 1

ping_pong() {
        local type=$1 rounds=$2 round net
        say "$type"
        rm -f vm.* disk?
        truncate -s 32M disk1 disk2 disk3
        linux full net rng blk=vda blk=sda blk=sdb
        machine=(-M "$type" -m 320 -smp 2
                -netdev hubport,id=n0,hubid=0 -netdev hubport,id=n1,hubid=0
                -device virtio-net-pci,netdev=n0 -device e1000,netdev=n1
                -drive file=disk1,format=raw,if=virtio
                -drive file=disk2,format=raw,if=ide
                -drive file=disk3,format=raw,if=none,id=stick
                -device qemu-xhci -device usb-storage,drive=stick
                -device virtio-rng-pci)
        start vm "${machine[@]}" "${guest[@]}"
        wait_for vm.serial '^net 1 ok' 240
        wait_for vm.serial '^blk sdb 1 ok' 60
        for round in $(seq "$rounds"); do
                # At a different moment of the transfer each time.
                sleep "1.$((round * 37 % 100))"
                rm -f vm.stasis
                try save "$STASIS" save --qmp vm.qmp --quit vm.stasis
                within 10 gone "$pid" || fail "QEMU did not end"
                resume vm vm.stasis -- "${machine[@]}" "${guest[@]}"
                goes_on vm 10 || fail "the guest does not go on"
                say "round $round: tick $(last_tick vm.serial)"
        done
        net=$(grep -ac '^net' vm.serial)
        within 90 eval '[ "$(grep -ac "^net" vm.serial)" -gt '$((net + 1))' ]' ||
                fail "TCP does not go on"
        stop "$pid" "$keeper"
        one_life vm.serial
        # Each of them was really at work.
        for what in 'net [0-9]* ok' 'blk vda [0-9]* ok' 'blk sda [0-9]* ok' \
                        'blk sdb [0-9]* ok' 'rng [0-9]* ok'; do
                [ "$(grep -ac "^$what" vm.serial)" -gt 2 ] || fail "no $what"
        done
}

rounds=${LONG:+10}
for type in ${MACHINES:-pc q35}; do
        ping_pong "$type" "${rounds:-3}"
done
