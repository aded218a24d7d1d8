# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 2400
#
# A Linux guest's state survives being saved and loaded, round after round, and
# the VM goes on meanwhile; a field that does not come back is found.  However
# it ends, nothing is left behind.  LONG=1: two hundred rounds.
. "$SOURCE/tests/lib.sh" || exit 1

rounds=3
[ "${LONG:-0}" != 1 ] || rounds=200
mkdir spool
truncate -s 16M disk
linux cloud
machine=(-M q35 -m 256 "${guest[@]}" -drive file=disk,format=raw,if=virtio
        -netdev user,id=n -device virtio-net-pci,netdev=n
        -device virtio-rng-pci -device virtio-balloon-pci)

# nothing_left WHAT: the spool is empty, no twin runs, the VM does.
nothing_left() {
        [ -z "$(ls -A spool)" ] || fail "$1: in the spool: $(ls -A spool)"
        [ -z "$(twins)" ] || fail "$1: still runs: $(twins)"
        is_state vm running || fail "$1: the VM is $(run_state vm)"
        goes_on vm 20 || fail "$1: the guest stands still"
}

# QEMUs that have our directory as theirs, but for the VM.
twins() {
        local p line
        for p in /proc/[0-9]*; do
                [ "${p##*/}" != "$pid" ] || continue
                [ "$(readlink "$p/cwd" 2> /dev/null)" = "$PWD" ] || continue
                line=$(tr '\0' ' ' 2> /dev/null < "$p/cmdline")
                [[ $line != *" -accel "* ]] || echo "${p##*/}: $line"
        done
}

start vm "${machine[@]}"
wait_for vm.serial '^tick 3' 120

say "$rounds rounds"
expect 0 "$STASIS" soak --qmp vm.qmp --spool spool --times $rounds \
        > out 2> told
grep -q "^$rounds rounds: all device state survives" out || fail "$(cat out told)"
nothing_left "after $rounds rounds"
expect 0 "$STASIS" soak --json --qmp vm.qmp --spool spool --times 1 \
        > json 2> told
[ "$(jq -c '[.rounds, .survives, .findings]' json)" = '[1,true,[]]' ] ||
        fail "$(cat json told)"

say "interrupted"
for after in 0.3 0.7 1.1 1.5; do
        # A process group of its own, as a terminal would have it.
        set -m
        "$STASIS" soak --qmp vm.qmp --spool spool --times 1000 \
                > out 2> told &
        soak=$!
        set +m
        started+=($soak)
        sleep $after
        kill -INT -- -$soak
        status=0
        wait $soak || status=$?
        [ $status = 1 ] || fail "exit status $status: $(cat out told)"
        [ ! -s out ] || fail "found something: $(cat out)"
        grep -q SIGINT told || fail "no word of it: $(cat told)"
        nothing_left "interrupted after $after s"
done
one_life vm.serial

say "a field that does not survive"
try save "$STASIS" save --qmp vm.qmp a.stasis 2> save.err
stop "$pid"

# Bytes that mean nothing to this QEMU: it writes zeros.
"$TOOLS/edit" a.stasis b.stasis mc146818rtc 'unused[0]' \
        "x07$(printf '%054d' 0)" || fail edit
emulator dst
expect 1 "$STASIS" soak --json --times 2 --spool spool b.stasis -- \
        "${vm[@]}" "${machine[@]}" > json 2> told
[ "$(jq -c '[.rounds, .survives, (.findings[] | .device, .field, .rounds)]' \
        json)" = '[2,false,"mc146818rtc","unused[0]",2]' ] ||
        fail "$(cat json told)"
jq -e '.findings[0].was | startswith("07 00")' json > out || fail "$(cat json)"
expect 1 "$STASIS" soak --times 1 --spool spool b.stasis -- \
        "${vm[@]}" "${machine[@]}" > out 2> told
say "$(cut -c 1-70 out)"
grep -q '^mc146818rtc: unused\[0\]: 07 00 .* -> zeros' out || fail "$(cat out told)"
expect 0 "$STASIS" soak --times 1 --spool spool a.stasis -- \
        "${vm[@]}" "${machine[@]}" > out 2> told
[ -z "$(ls -A spool)" ] || fail "left in the spool: $(ls -A spool)"

say "what no twin can take"
target=("${machine[@]}")
target[3]=512
expect 1 "$STASIS" soak --times 1 --spool spool a.stasis -- \
        "${vm[@]}" "${target[@]}" > out 2> told
grep -q refuses out told || fail "$(cat out told)"
expect 2 "$STASIS" soak a.stasis > out 2>&1
expect 2 "$STASIS" soak --qmp vm.qmp a.stasis -- "${vm[@]}" > out 2>&1
