# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 200
#
# Block devices: a stored disk goes onto one, and a disk on one is stored; one
# that is mounted, or holds something, is not written without a word.
. "$SOURCE/tests/lib.sh" || exit 1
export PATH=$PATH:/sbin:/usr/sbin

[ "$(id -u)" = 0 ] || skip "loop devices and mounts need root"
loops=()
clean_up() {
        local l
        umount mounted 2> /dev/null
        end_all
        for l in ${loops[@]+"${loops[@]}"}; do losetup -d "$l" 2> /dev/null; done
}
trap clean_up EXIT
truncate -s 1M probe
probe=$(losetup -f --show probe 2>&1) || skip "no loop device: $probe"
loops+=("$probe")

# loop FILE: sets `device`.
loop() {
        device=$(losetup -f --show "$1") || fail "losetup $1"
        loops+=("$device")
}

# filesystem FILE LABEL
filesystem() {
        truncate -s 48M "$1"
        mke2fs -q -t ext4 -L "$2" "$1" || fail mke2fs
}

filesystem base.img base
qemu-img create -q -f qcow2 -b base.img -F raw disk.qcow2
qemu-io -c 'write -P 0x31 20M 3M' -c 'write -z 0 64k' disk.qcow2 > /dev/null
machine=(-M pc -m 64 -boot a -device floppy,drive=f
        -drive "file=$GUEST/dots.img,format=raw,readonly=on,if=none,id=f"
        -device virtio-blk-pci,drive=d1)
start vm "${machine[@]}" -drive file=disk.qcow2,format=qcow2,if=none,id=d1
wait_for vm.serial '\.\.' 60
try save "$STASIS" save --qmp vm.qmp --disks=overlay --quit vm.stasis
within 10 gone "$pid" || fail "QEMU did not end"
qemu-img convert -O raw disk.qcow2 flat.img

# refused STATUS PATTERN DEVICE [OPTION...]: nothing of it has changed.
refused() {
        local before
        before=$(md5sum < "$3")
        expect "$1" "$STASIS" export --disk d1 "${@:4}" vm.stasis "$3" 2> message
        grep -q -- "$2" message || { cat message >&2; fail "no '$2'"; }
        [ "$(md5sum < "$3")" = "$before" ] || fail "$3 was written to"
        cat message
}

filesystem in-use.img in-use
loop in-use.img
mkdir mounted
# Not to be written by the file system itself.
mount -o ro,noload "$device" mounted || fail mount
refused 4 mounted "$device"
refused 4 mounted "$device" --overwrite
umount mounted

truncate -s 20M small.img
loop small.img
refused 4 50331648 "$device"

truncate -s 64M table.img
printf 'label: gpt\nstart=2048\n' | sfdisk -q table.img
loop table.img
refused 2 gpt "$device"

filesystem precious.img precious
loop precious.img
refused 2 "precious.*--overwrite\|--overwrite.*precious" "$device"
try export "$STASIS" export --disk d1 --overwrite vm.stasis "$device"
cmp "$device" flat.img || fail "the device is not as the disk was"

# onto the first, now that nobody has it mounted: and a guest runs on that.
device=${loops[1]}
resume vm vm.stasis --overwrite --disk "d1=$device" -- "${machine[@]}" \
        -drive "file=$device,format=raw,if=none,id=d1"
refused 4 "pid $pid" "$device" --overwrite
rm vm.stasis
try "save of a device" "$STASIS" save --qmp vm.qmp --disk d1=full --quit vm.stasis
within 10 gone "$pid" || fail "QEMU did not end"
try export "$STASIS" export --disk d1 --format raw vm.stasis again.img
cmp again.img flat.img || fail "the device is not stored as it was"
