# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 400
#
# Killed while it reads a disk that QEMU has let go of: QEMU takes the disk back
# each time, and the guest can write to it.  LONG=1: a hundred times.
. "$SOURCE/tests/lib.sh" || exit 1

rounds=8
[ "${LONG:-0}" = 1 ] && rounds=100
head -c 20M /dev/urandom > disk.img
linux full
start vm -M pc -m 256 -drive file=disk.img,format=raw,if=none,id=d \
        -device virtio-blk-pci,drive=d "${guest[@]}"
wait_for vm.serial '^tick 2$' 120
mkfifo pipe
for i in $(seq $rounds); do
        "$STASIS" save --qmp vm.qmp --compress none --disk d=full - \
                > pipe 2> killed.err &
        victim=$!
        started+=($victim)
        exec 3< pipe
        # As far as the disk's first chunk: then nobody reads on.
        grep -qam 1 disk/d/ <&3 || fail "no disk: $(cat killed.err)"
        stop $victim
        exec 3<&-
        within 20 is_state vm running || fail "the VM is $(run_state vm)"
        qmp vm hmp "qemu-io d \"write -P $i $((i * 64))k 64k\"" > /dev/null ||
                fail "round $i: the disk is lost"
        [ "$(grep -c ^wrote vm.err)" = "$i" ] ||
                fail "round $i: the disk cannot be written"
        ! grep -q lock vm.err || fail "round $i: $(grep lock vm.err)"
done
goes_on vm 20 || fail "the guest does not go on"
one_life vm.serial
try save "$STASIS" save --qmp vm.qmp --disk d=full vm.stasis
try export "$STASIS" export --disk d vm.stasis out.img
cmp disk.img out.img || fail "the disk is not as it was"
echo "$rounds times killed"
