# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 900
#
# Disks copied behind the running guest, which writes all the time: whatever
# ends the save, no write is lost, and the chain of images is as before; after
# kill -9 the next save makes it so.
. "$SOURCE/tests/faults/common.sh" || exit 1

export PATH=$PATH:/sbin:/usr/sbin

truncate -s 64M base1.img base2.img
mke2fs -q -t ext4 base2.img || fail mke2fs
qemu-img create -q -f qcow2 -b base1.img -F raw disk1.qcow2
qemu-img create -q -f qcow2 -b base2.img -F raw disk2.qcow2
# So that there is something to copy.
qemu-io -c 'write -P 0xaa 16M 40M' disk1.qcow2 > /dev/null
linux cloud blk=vda fs=vdb:250
machine=(-M pc -m 192
        -drive file=disk1.qcow2,format=qcow2,if=none,id=d1
        -device virtio-blk-pci,drive=d1
        -drive file=disk2.qcow2,format=qcow2,if=none,id=d2
        -device virtio-blk-pci,drive=d2)
start vm "${machine[@]}" -qmp unix:second.qmp,server=on,wait=off "${guest[@]}"
vm_pid=$pid
wait_for vm.serial '^fs vdb 3$' 120
wait_for vm.serial '^blk vda 3 ok' 60
mkdir -p out

# What the two disks stand on.
top() {
        qmp second query-block | jq -r '[.[] | select(.device | test("^d[12]$")) |
                .inserted.image.filename] | join(" ")'
}

before="disk1.qcow2 disk2.qcow2"

# The chain is as before, nothing lies around.
as_before() {
        [ "$(top)" = "$before" ] ||
                { cat message >&2; fail "$1: the disks are now $(top)"; }
        [ -z "$(find . -name '.disk*')" ] ||
                fail "$1: left behind: $(find . -name '.disk*')"
}

behind=("$STASIS" save --qmp vm.qmp --disks=overlay --copy-behind)

begun=$(date +%s%N)
try save "${behind[@]}" well.stasis
micros=$((($(date +%s%N) - begun) / 1000))
try verify "$STASIS" verify well.stasis
as_before "an undisturbed save"
say "an undisturbed save takes $micros us"

kills=8 left=0
[ -z "${LONG:-}" ] || kills=60
RANDOM=${SEED:-$$}
say "SEED=${SEED:-$$}"
for n in $(seq $kills); do
        for signal in KILL TERM; do
                rm -f out/*
                "${behind[@]}" out/vm.stasis > /dev/null 2> message &
                saver=$!
                usleep=$(((RANDOM * 32768 + RANDOM) % micros))
                sleep "$(printf '%d.%06d' $((usleep / 1000000)) \
                        $((usleep % 1000000)))"
                kill -$signal $saver 2>/dev/null
                wait $saver 2>/dev/null
                [ ! -e out/vm.stasis ] ||
                        { try verify "$STASIS" verify out/vm.stasis
                          rm -f out/vm.stasis; }
                unharmed "$signal after $usleep us"
                if [ $signal = TERM ]; then
                        as_before "SIGTERM after $usleep us"
                        continue
                fi
                [ "$(top)" = "$before" ] || left=$((left + 1))
                try "the save after a kill" "$STASIS" save --qmp vm.qmp \
                        --force well.stasis
                as_before "the save after a kill"
        done
done
say "$left of $kills kills left a temporary overlay"

# A pipe that closes, and a file that does not fit.
"${behind[@]}" - 2> message | head -c 1000000 > /dev/null
unharmed "a closed pipe"
as_before "a closed pipe"
if mkdir -p small && mount -t tmpfs -o size=1M none small 2> /dev/null; then
        expect 1 "${behind[@]}" small/vm.stasis 2> message
        umount small
        unharmed "a full disk"
        as_before "a full disk"
else
        say "tmpfs needs root: a full disk is not tried"
fi

# A paused VM has no pause to shorten; an overlay cannot be made in a directory
# that is not there any more.
qmp vm stop > /dev/null
expect 2 "${behind[@]}" out/vm.stasis 2> message
grep -q 'no pause to shorten' message || fail "$(cat message)"
qmp vm cont > /dev/null
within 2 is_state vm running || fail "cont"
as_before "a refused save"

# Left before QEMU knew of it: gone with the next save.  One that holds
# something stays, and is told.
for n in 1 2; do
        qemu-img create -q -f qcow2 -u -b disk1.qcow2 -F qcow2 \
                .disk1.qcow2.stasis-0000000$n.qcow2 64M
done
qemu-img rebase -u -b '' .disk1.qcow2.stasis-00000002.qcow2
qemu-io -f qcow2 -c 'write -P 1 64k 64k' .disk1.qcow2.stasis-00000002.qcow2 \
        > /dev/null || fail qemu-io
try save "$STASIS" save --qmp vm.qmp --force well.stasis 2> message
[ ! -e .disk1.qcow2.stasis-00000001.qcow2 ] || fail "the empty one is left"
grep -q '.disk1.qcow2.stasis-00000002.qcow2 holds what a VM wrote' message ||
        { cat message >&2; fail "nothing is said of the other"; }
rm .disk1.qcow2.stasis-00000002.qcow2 || fail "the other one is gone"

# No write was lost: the guest has what it wrote, and so has a snapshot.
wait_for vm.serial '^fs vdb done 10' 240
try save "$STASIS" save --qmp vm.qmp --disks=overlay --quit --force well.stasis
within 10 gone $vm_pid || fail "QEMU did not end"
for n in 1 2; do
        qemu-img check -q disk$n.qcow2 || fail "disk$n.qcow2 is not clean"
        try export "$STASIS" export --disk d$n --format raw well.stasis flat.img
        qemu-img compare -q -f qcow2 disk$n.qcow2 -F raw flat.img ||
                fail "the snapshot's disk d$n is another"
        [ $n = 1 ] || e2fsck -fn flat.img > e2fsck.log 2>&1 ||
                { cat e2fsck.log >&2; fail "its file system"; }
        rm flat.img
done
one_life vm.serial
