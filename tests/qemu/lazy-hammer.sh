# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# A guest that writes to all of its pages, again and again, is restored lazily,
# runs, and is saved, many times (LONG=1: 50): its RAM is of one moment each
# time, and its counters only ever grow.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1
export XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run

machine=(-M pc -m 64 -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        -device floppy,drive=d)
start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60

previous=0
rounds=${LONG:+50}
for round in $(seq "${rounds:-4}"); do
        try save "$STASIS" save --qmp vm.qmp --quit --force vm.stasis 2> save.err
        within 10 gone "$pid"
        recover vm.stasis
        now=$("$TOOLS/pages" recovered/ram/pc.ram) ||
                fail "round $round: RAM is not of one moment"
        [ "${now% *}" -ge "$previous" ] || fail "round $round: the guest went back"
        [ "${now% *}" -gt "$previous" ] || [ "$round" = 1 ] ||
                fail "round $round: the guest did not run"
        previous=${now% *}
        emulator vm
        try "lazy restore" "$STASIS" restore --lazy --detach --json vm.stasis -- \
                "${vm[@]}" "${machine[@]}" > json 2> lazy.err
        grep -q 'RAM follows' lazy.err || fail "$(cat lazy.err)"
        pid=$(jq -s '.[0].pid' json)
        started+=("$pid")
        dots=$(stat -c %s vm.serial)
        say "round $round: $now; $(jq -sc '[.[0].seconds, .[1].resident_seconds, .[1].requests]' json)"
        # Some rounds of its own.
        until [ "$(stat -c %s vm.serial)" -ge $((dots + 3)) ]; do
                gone "$pid" && fail "QEMU has ended"
                sleep 0.02
        done
done
