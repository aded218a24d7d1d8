# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 180
#
# A guest that runs before its RAM is there is the guest that was saved: the
# same boot, no tick lost, memory intact; and a stopped one's RAM is the same
# byte for byte, also when it is saved again and restored whole.
. "$SOURCE/tests/lib.sh" || exit 1
export XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run

# lazily NAME FILE ARG...: sets pid.
lazily() {
        local name=$1
        emulator "$name"
        try "lazy restore of $2" "$STASIS" restore --lazy --detach --json \
                ${paused:+--paused} ${disk:+--disk "d0=$disk"} "$2" -- "${vm[@]}" "${@:3}" \
                > json 2> lazy.err
        pid=$(jq -s '.[0].pid' json)
        started+=("$pid")
        grep -q 'RAM follows' lazy.err || fail "not lazily: $(cat lazy.err)"
        [ "$(qmp "$name" query-migrate "" status)" = completed ] ||
                fail "the migration is not completed"
        [ -z "$(ls run/stasis)" ] || fail "left: $(ls run/stasis)"
        qmp "$name" query-migrate-capabilities |
                jq -e '.[] | select(.capability == "postcopy-ram").state | not' \
                > /dev/null || fail "postcopy-ram is left on"
}

linux cloud
machine=(-M pc -m 512 -device virtio-rng-pci "${guest[@]}")
start vm "${machine[@]}"
wait_for vm.serial '^ready' 90
for round in 1 2; do
        try save "$STASIS" save --qmp vm.qmp --quit --force vm.stasis 2> save.err
        within 10 gone "$pid"
        lazily vm vm.stasis "${machine[@]}"
        say "round $round: $(jq -sc '.[0].seconds, .[1].resident_seconds' json | xargs)"
        goes_on vm 30 || fail "the guest does not tick"
done
# All of it came: it can be saved again, and goes on from there as always.
try save "$STASIS" save --qmp vm.qmp --quit --force vm.stasis 2> save.err
within 10 gone "$pid"
try verify "$STASIS" verify vm.stasis > verify.out
resume vm vm.stasis -- "${machine[@]}"
goes_on vm 30 || fail "the guest does not tick after a whole restore"
stop "$pid"
one_life vm.serial

# dump NAME FILE: all RAM of a VM of 256 MiB.
dump() {
        qmp "$1" pmemsave \
                "{\"val\":0,\"size\":655360,\"filename\":\"$PWD/$2.low\"}"
        qmp "$1" pmemsave \
                "{\"val\":786432,\"size\":267649024,\"filename\":\"$PWD/$2\"}"
} > /dev/null

say "a stopped guest"
head -c 2900000 /dev/urandom > noise
# Pages of every kind: content, zeros between, single bytes.
{ head -c 40000000 noise; head -c 5000000 /dev/zero; head -c 9000 noise; } > content
for i in 0 1 2 3 4 5 6 7; do cat noise; head -c $((i * 70001)) /dev/zero; done >> content
still=(-M q35 -m 256 -device virtio-rng-pci
        -device "loader,file=content,addr=0x1000123,force-raw=on")
start still "${still[@]}"
sleep 0.5
qmp still stop > /dev/null
dump still truth
try save "$STASIS" save --qmp still.qmp --quit still.stasis 2> save.err
within 10 gone "$pid"
paused=1 lazily still still.stasis "${still[@]}"
[ "$(run_state still)" = paused ] || fail "a VM saved paused is $(run_state still)"
dump still is
cmp truth is && cmp truth.low is.low || fail "RAM differs"
try "saved again" "$STASIS" save --qmp still.qmp --quit again.stasis 2> save.err
within 10 gone "$pid"
emulator still
try "restored whole" "$STASIS" restore --detach --paused --json again.stasis -- \
        "${vm[@]}" "${still[@]}" > json 2> restore.err
pid=$(jq .pid json)
started+=("$pid")
dump still is
cmp truth is && cmp truth.low is.low || fail "RAM differs after two restores"

say "with its disk"
linux full
try base qemu-img create -q -f raw base.raw 256M
try overlay qemu-img create -q -f qcow2 -b "$PWD/base.raw" -F raw disk.qcow2
machine=(-M pc -m 512 "${guest[@]}" -device virtio-blk-pci,drive=d0)
start disk "${machine[@]}" -drive if=none,id=d0,file=disk.qcow2,format=qcow2
wait_for disk.serial '^ready' 90
try save "$STASIS" save --qmp disk.qmp --disks=overlay --quit disk.stasis 2> save.err
within 10 gone "$pid"
disk=new.qcow2 lazily disk disk.stasis "${machine[@]}" \
        -drive if=none,id=d0,file=new.qcow2,format=qcow2
goes_on disk 30 || fail "the guest does not tick"
stop "$pid"
one_life disk.serial
try check qemu-img check -q new.qcow2
