# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# What must not happen to disks: a base that is not the recorded one, a target
# that holds something or is in use, one disk for two VMs.  Each is refused by
# name, before anything is written.
. "$SOURCE/tests/lib.sh" || exit 1
export PATH=$PATH:/sbin:/usr/sbin

# A base with a partition table and a file system in its partition.
truncate -s 96M base.img
printf 'label: gpt\nstart=2048, size=131072\n' | sfdisk -q base.img ||
        fail sfdisk
truncate -s 64M part.img
mke2fs -q -t ext4 -L data -U 5ed19e9a-6fb0-4e2c-9b1a-6d2f3f1c0a55 part.img ||
        fail mke2fs
dd if=part.img of=base.img bs=1M seek=1 conv=notrunc status=none
rm part.img
qemu-img create -q -f qcow2 -b base.img -F raw disk.qcow2
qemu-io -c 'write -P 0x11 70M 3M' disk.qcow2 > /dev/null
machine=(-M pc -m 64 -boot a -device floppy,drive=f
        -drive "file=$GUEST/dots.img,format=raw,readonly=on,if=none,id=f"
        -device virtio-blk-pci,drive=d1)
disk() { echo "file=$1,format=qcow2,if=none,id=d1"; }

start vm "${machine[@]}" -drive "$(disk disk.qcow2)"
wait_for vm.serial '\.\.' 60
try save "$STASIS" save --qmp vm.qmp --disks=overlay vm.stasis

# refused STATUS PATTERN OPTION...: a restore; nothing has been made.
refused() {
        local want=$1 pattern=$2
        shift 2
        emulator other
        expect "$want" "$STASIS" restore "$@" vm.stasis -- "${vm[@]}" \
                "${machine[@]}" -drive "$(disk new.qcow2)" \
                < /dev/null > /dev/null 2> message
        grep -q -- "$pattern" message || { cat message >&2; fail "no '$pattern'"; }
        [ ! -e new.qcow2 ] || fail "new.qcow2 was made all the same"
        [ -z "$(find . -name '.*.stasis-*')" ] || fail "something is left behind"
}

say "the source runs: on its own disk, refused, with its pid"
emulator other
expect 4 "$STASIS" restore vm.stasis -- "${vm[@]}" "${machine[@]}" \
        -drive "$(disk disk.qcow2)" < /dev/null > /dev/null 2> message
grep -q "pid $pid" message || { cat message >&2; fail "no pid $pid"; }
is_state vm running || fail "the source does not run on"

say "an image in use is never written"
refused 4 "pid $pid" --disk d1=disk.qcow2
refused 4 "pid $pid" --disk d1=disk.qcow2 --overwrite
is_state vm running || fail "the source does not run on"

say "the source runs: on a fresh overlay, fine; then again on that one, not"
resume other vm.stasis --disk d1=new.qcow2 -- "${machine[@]}" \
        -drive "$(disk new.qcow2)"
goes=$(stat -c %s other.serial)
within 10 eval '[ "$(stat -c %s other.serial)" -gt '"$goes"' ]' ||
        fail "the restored guest stands still"
cp new.qcow2 third.copy
expect 4 "$STASIS" restore --disk d1=new.qcow2 vm.stasis -- false \
        2> message < /dev/null
grep -q "pid $pid" message || { cat message >&2; fail "no pid"; }
expect 4 "$STASIS" restore --disk d1=new.qcow2 --overwrite vm.stasis -- false \
        2> message < /dev/null
resume third vm.stasis --disk d1=third.qcow2 -- "${machine[@]}" \
        -drive "$(disk third.qcow2)"
stop "$pid" "$keeper"
stop "$(cat other.pid)"
say "an image that is there, used by nobody"
expect 2 "$STASIS" restore --disk d1=new.qcow2 vm.stasis -- false \
        2> message < /dev/null
grep -q -- --overwrite message || { cat message >&2; fail "no --overwrite"; }
rm -f new.qcow2 third.qcow2 third.copy
stop "$(cat vm.pid)"

say "restored onto its own disk, unchanged: fine; a second time: it changed"
qemu-img info disk.qcow2 > /dev/null
rm -f disk2.qcow2
start vm "${machine[@]}" -drive "$(disk disk.qcow2)"
try save "$STASIS" save --qmp vm.qmp --quit --disks=overlay --digest-bases \
        --force vm.stasis
within 10 gone "$pid" || fail "QEMU did not end"
resume vm vm.stasis -- "${machine[@]}" -drive "$(disk disk.qcow2)"
stop "$pid" "$keeper"
qemu-io -c 'write -P 0x12 80M 64k' disk.qcow2 > /dev/null
emulator other
expect 4 "$STASIS" restore vm.stasis -- "${vm[@]}" "${machine[@]}" \
        -drive "$(disk disk.qcow2)" < /dev/null > /dev/null 2> message
grep -q 'not as it was at the cut.*--disk restores it' message ||
        { cat message >&2; fail "the changed disk"; }

say "the base: one byte of a superblock, grown, replaced, missing"
cp base.img kept.img
# s_last_orphan of the ext4 at 1 MiB: nobody would see it.
printf '\1' | dd of=base.img bs=1 seek=$((1048576 + 1024 + 0xe8)) conv=notrunc \
        status=none
refused 4 'base.img: .*not the base that disk d1 was saved on' --disk d1=new.qcow2
cp kept.img base.img
# A byte that no sample has: the digest of everything does.
printf '\1' | dd of=base.img bs=1 seek=31657280 conv=notrunc status=none
refused 4 'base.img: .*not the base that disk d1 was saved on' --disk d1=new.qcow2
cat message
cp kept.img base.img
truncate -s 97M base.img
refused 4 'base.img: .*not the base that disk d1 was saved on' --disk d1=new.qcow2
rm base.img
refused 4 'base.img: .*a base of disk d1 is not there' --disk d1=new.qcow2
truncate -s 96M base.img
refused 4 'base.img: .*not the base that disk d1 was saved on' --disk d1=new.qcow2
mke2fs -q -t ext4 -L other base.img
refused 4 'base.img: .*not the base that disk d1 was saved on' --disk d1=new.qcow2
cat message
rm base.img

say "the base elsewhere, as another file: fine"
mkdir elsewhere && mv kept.img elsewhere/moved.img
refused 4 'is not there' --disk d1=new.qcow2
refused 2 'no --disk of that name' --disk d1=new.qcow2 --base d2=x
refused 2 'disk d2 is not stored' --disk d2=new.qcow2
refused 2 'not NAME=PATH' --disk new.qcow2
resume vm vm.stasis --disk d1=new.qcow2 --base d1=elsewhere/moved.img -- \
        "${machine[@]}" -drive "$(disk new.qcow2)"
stop "$pid" "$keeper"
qemu-img info new.qcow2 | grep -q "$PWD/elsewhere/moved.img" ||
        fail "the base of new.qcow2"
rm new.qcow2

say "the target opens something else than what was made"
emulator other
cp disk.qcow2 not-made.qcow2
qemu-img rebase -u -b elsewhere/moved.img -F raw not-made.qcow2
expect 4 "$STASIS" restore --disk d1=new.qcow2 --base d1=elsewhere/moved.img \
        vm.stasis -- "${vm[@]}" "${machine[@]}" \
        -drive "$(disk not-made.qcow2)" < /dev/null > /dev/null 2> message
grep -q 'the target opened' message || { cat message >&2; fail "other disk"; }
[ ! -e new.qcow2 ] || fail "new.qcow2 stayed"

say "from a pipe"
emulator vm
cat vm.stasis | "$STASIS" restore --detach --disk d1=new.qcow2 \
        --base d1=elsewhere/moved.img - -- "${vm[@]}" "${machine[@]}" \
        -drive "$(disk new.qcow2)" || fail "restore from a pipe"
pid=$(cat vm.pid)
started+=($pid)
is_state vm running || fail "not running"
stop "$pid"
qemu-img check -q new.qcow2 || fail "new.qcow2 is not clean"

say "disks that cannot be stored"
qemu-img create -q -f raw alone.img 1M
start vm "${machine[@]}" -drive "file=alone.img,format=raw,if=none,id=d1"
expect 2 "$STASIS" save --qmp vm.qmp --disks=overlay bad.stasis 2> message
grep -q 'no backing file.*full' message || { cat message >&2; fail "no overlay"; }
expect 2 "$STASIS" save --qmp vm.qmp --disk nope bad.stasis 2> message
grep -q 'no such disk' message || { cat message >&2; fail "no such disk"; }
expect 2 "$STASIS" save --qmp vm.qmp --disk d1=half bad.stasis 2> message
[ ! -e bad.stasis ] || fail "bad.stasis"
is_state vm running || fail "the VM does not run on"
try "all but one" "$STASIS" save --qmp vm.qmp --disks=overlay --disk d1=none \
        none.stasis 2> message
grep -q 'disk d1 (.*) is not in the snapshot' message ||
        { cat message >&2; fail "no warning"; }
! "$STASIS" list none.stasis | grep -q '^disk' || fail "a disk is stored"
