# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# 100 GiB with data scattered over them, and 10 TiB that were discarded: a
# snapshot of both is small, and both come back.
. "$SOURCE/tests/lib.sh" || exit 1

truncate -s 100G base1.img
truncate -s 11T base2.img || fail "this file system has no files of 11 TiB"
qemu-img create -q -f qcow2 -b base1.img -F raw disk1.qcow2
qemu-img create -q -f qcow2 -o cluster_size=2M -b base2.img -F raw disk2.qcow2
for n in $(seq 64); do
        echo "write -P $n $((n * 1590))M 64k"
        echo "write -z $((n * 1590 + 3))M 192k"
done | qemu-io -f qcow2 disk1.qcow2 > /dev/null || fail qemu-io
{
        for n in $(seq 0 10239); do echo "write -z ${n}G 1G"; done
        echo "write -P 7 10T 2M"
} | qemu-io -f qcow2 disk2.qcow2 > /dev/null || fail qemu-io

machine=(-M pc -m 64 -boot a -device floppy,drive=f
        -drive "file=$GUEST/dots.img,format=raw,readonly=on,if=none,id=f"
        -device virtio-blk-pci,drive=d1 -device virtio-blk-pci,drive=d2)
drives() {
        drives=(-drive "file=$1,format=qcow2,if=none,id=d1"
                -drive "file=$2,format=qcow2,if=none,id=d2")
}
drives disk1.qcow2 disk2.qcow2
start vm "${machine[@]}" "${drives[@]}"
wait_for vm.serial '\.\.' 60
try save "$STASIS" save --qmp vm.qmp --quit --disks=overlay vm.stasis
within 20 gone "$pid" || fail "QEMU did not end"
size=$(stat -c %s vm.stasis)
say "the snapshot has $size bytes"
[ "$size" -lt 8000000 ] || fail "the snapshot has $size bytes"
try verify "$STASIS" verify vm.stasis

drives new1.qcow2 new2.qcow2
resume vm vm.stasis --disk d1=new1.qcow2 --disk d2=new2.qcow2 -- \
        "${machine[@]}" "${drives[@]}"
stop "$pid" "$keeper"
say "restored"
for n in 1 2; do
        qemu-img check -q new$n.qcow2 || fail "new$n.qcow2 is not clean"
        # Extent by extent: neither what is zero nor what is the base's has moved.
        for f in disk$n new$n; do
                qemu-img map --output=json -f qcow2 $f.qcow2 |
                        jq -r '.[] | "\(.length) \(.depth)\(.zero)\(.data)"' |
                        awk '$2 != kind { if (NR > 1) printf "%.0f %s\n", len, kind
                                        kind = $2; len = 0 }
                                { len += $1 } END { printf "%.0f %s\n", len, kind }' > $f.map
        done
        cmp disk$n.map new$n.map || fail "extents of disk $n"
done
qemu-img compare -q disk1.qcow2 new1.qcow2 || fail "content of disk 1"
for f in disk2 new2; do
        qemu-io -r -f qcow2 -c 'read -P 0 5T 2M' -c 'read -P 7 10T 2M' \
                -c 'read -P 0 10242G 2M' $f.qcow2 > qemu-io.log ||
                { cat qemu-io.log >&2; fail "content of $f"; }
done
