# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 600
#
# A Linux guest that counts in RAM and on a disk at once, and writes files on
# another, is saved live with both disks: RAM and disks are one cut, the guest
# sees no tick lost, and its clock no longer gap than the pause.
. "$SOURCE/tests/lib.sh" || exit 1
export PATH=$PATH:/sbin:/usr/sbin

# overlays: disk1 is qcow2 on an ext4 image, disk2 qcow2 on an empty one.
overlays() {
        truncate -s 64M base1.img
        truncate -s 16M base2.img
        mke2fs -q -t ext4 base1.img || fail mke2fs
        for n in 1 2; do
                qemu-img create -q -f qcow2 -b base$n.img -F raw disk$n.qcow2
        done
}

# machine FILE1 FILE2
machine() {
        options=(-M pc -m 256
                -drive "file=$1,format=qcow2,if=none,id=d1"
                -drive "file=$2,format=qcow2,if=none,id=d2"
                -device virtio-blk-pci,drive=d1 -device virtio-blk-pci,drive=d2)
}

# gaps: a line for each new tick, in milliseconds since the one before.
gaps() {
        local last now
        tail -n 0 -f vm.serial | while IFS= read -r line; do
                case $line in
                "tick "*)
                        now=${EPOCHREALTIME/./}
                        [ -n "${last:-}" ] && echo $(((now - last) / 1000))
                        last=$now
                        ;;
                esac
        done
}

field() {
        sed -n "s/^ *\"$1\": \"*\([^\",]*\)\"*,*\$/\1/p" report
}

overlays
machine disk1.qcow2 disk2.qcow2
linux cloud fs=vda:80 count=vdb busy
start vm "${options[@]}" "${guest[@]}"
source=$pid
wait_for vm.serial '^fs vda 3$' 120
wait_for vm.serial "^count vdb 9$" 60

gaps > gaps.log &
watcher=$!
started+=($watcher)
for round in 1 2; do
        # Slow enough that much is written between its beginning and the cut.
        try "save $round" "$STASIS" save --qmp vm.qmp --live --disks=overlay \
                --bandwidth 64M \
                --force --json vm.stasis > report 2> said
        say "round $round: $(grep 'saved live' said)"
        grep -q 'disk d. can be written to' said || [ "$(qmp vm query-version \
                "" qemu.major)" -lt 10 ] || fail "no reason told: $(cat said)"
        goes_on vm 20 || fail "the guest does not go on"
done
try verify "$STASIS" verify vm.stasis
kill $watcher
longest=$(sort -n gaps.log | tail -n 1)
usual=$(sort -n gaps.log | awk '{ all[NR] = $1 } END { print all[int(NR * 0.9)] }')
say "ticks came $usual ms apart, the longest gap was $longest ms," \
        "the last pause $(field stopped_seconds) s"
# On a machine that does other things ticks are late by themselves.
[ "$longest" -lt $((3 * usual + 1000)) ] || fail "the guest stood for $longest ms"
qemu-img info -U --backing-chain disk1.qcow2 | grep -q stasis &&
        fail "disk1.qcow2 still has a temporary overlay"
[ "$(ls -A | grep -c '^\.disk')" = 0 ] || fail "left over: $(ls -A)"
stop "$source"

mkdir old && mv disk1.qcow2 disk2.qcow2 old/
machine new1.qcow2 new2.qcow2
resume vm vm.stasis --disk d1=new1.qcow2 --disk d2=new2.qcow2 -- \
        "${options[@]}" "${guest[@]}"
goes_on vm 20 || fail "the guest does not go on"
wait_for vm.serial '^fs vda done 10' 240
stop "$pid" "$keeper"

# The serial line has both lives of the guest, the second one from the cut on.
! grep -a BAD vm.serial >&2 || fail "RAM and disk are of two moments"
grep -aoE '(ready|alive [0-9]+) boot_id=[0-9a-f-]{36} ram=[0-9a-f]{32}' vm.serial |
        sed -E 's/^(ready|alive [0-9]+) //' | sort -u | wc -l | grep -qx 1 ||
        fail "another guest"
for n in 1 2; do
        qemu-img check -q new$n.qcow2 || fail "new$n.qcow2 is not clean"
done
qemu-img convert -O raw new1.qcow2 flat.img
e2fsck -fn flat.img > e2fsck.log 2>&1 || { cat e2fsck.log >&2; fail "file system"; }
