# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 600
#
# A Linux guest with ext4 on overlays writes files while it is saved with its
# disks, and goes on elsewhere: on fresh overlays that the snapshot made.
. "$SOURCE/tests/lib.sh" || exit 1
export PATH=$PATH:/sbin:/usr/sbin

# overlays: disk1 is qcow2 on qcow2 on raw, disk2 qcow2 on raw.
overlays() {
        local n
        for n in 1 2; do
                rm -f base$n.img
                truncate -s 64M base$n.img
                mke2fs -q -t ext4 -L "base$n" base$n.img || fail mke2fs
        done
        qemu-img create -q -f qcow2 -b base1.img -F raw middle1.qcow2
        qemu-io -c 'write -P 0x31 60M 1M' middle1.qcow2 > /dev/null
        qemu-img create -q -f qcow2 -b middle1.qcow2 -F qcow2 disk1.qcow2
        qemu-img create -q -f qcow2 -b base2.img -F raw disk2.qcow2
}

# machine TYPE FILE1 FILE2
machine() {
        case $1 in
        pc) bus=(-device virtio-blk-pci,drive=d1,id=one
                -device virtio-blk-pci,drive=d2,id=two) names=(vda vdb) ;;
        q35) bus=(-device virtio-scsi-pci,id=scsi
                -device scsi-hd,drive=d1,id=one -device scsi-hd,drive=d2,id=two)
                names=(sda sdb) ;;
        esac
        options=(-M "$1" -m 256 -smp 2
                -drive "file=$2,format=qcow2,if=none,id=d1,discard=unmap"
                -drive "file=$3,format=qcow2,if=none,id=d2" "${bus[@]}")
}

# same A B: two images read alike, and the second is sound.
same() {
        qemu-img compare -q "$1" "$2" || fail "$2 is not as $1"
        qemu-img check -q "$2" || fail "$2 is not clean"
}

moved() {
        local type=$1
        say "$type"
        rm -f vm.* new* out*
        overlays
        machine "$type" disk1.qcow2 disk2.qcow2
        linux cloud "fs=${names[0]}:60" "fs=${names[1]}:60"
        start vm "${options[@]}" "${guest[@]}"
        wait_for vm.serial "^fs ${names[1]} 5$" 120
        wait_for vm.serial "^fs ${names[0]} 5$" 60
        try save "$STASIS" save --qmp vm.qmp --quit --disks=overlay vm.stasis
        within 10 gone "$pid" || fail "QEMU did not end"
        try verify "$STASIS" verify vm.stasis
        try info "$STASIS" info vm.stasis

        # The images are as they were at the cut: what is exported equals them.
        for n in 1 2; do
                try export "$STASIS" export --disk d$n vm.stasis out$n.qcow2
                same disk$n.qcow2 out$n.qcow2
                try export "$STASIS" export --disk d$n --format raw \
                        vm.stasis out$n.img
                qemu-img compare -q disk$n.qcow2 out$n.img ||
                        fail "out$n.img is not as disk$n.qcow2"
        done

        # Elsewhere: the old overlays are gone.
        mkdir -p old && mv disk1.qcow2 disk2.qcow2 old/
        machine "$type" new1.qcow2 new2.qcow2
        resume vm vm.stasis --disk d1=new1.qcow2 --disk d2=new2.qcow2 -- \
                "${options[@]}" "${guest[@]}"
        goes_on vm 20 || fail "the guest does not go on"
        wait_for vm.serial "^fs ${names[0]} done 10" 240
        wait_for vm.serial "^fs ${names[1]} done 10" 240
        stop "$pid" "$keeper"
        one_life vm.serial
        for n in 1 2; do
                qemu-img check -q new$n.qcow2 || fail "new$n.qcow2 is not clean"
                qemu-img convert -O raw new$n.qcow2 flat.img
                e2fsck -fn flat.img > e2fsck.log 2>&1 ||
                        { cat e2fsck.log >&2; fail "file system of disk $n"; }
                rm -f flat.img
        done
}

for type in ${MACHINES:-pc q35}; do
        moved "$type"
done
