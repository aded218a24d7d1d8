# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 240
#
# A lazy restore that breaks off while the guest runs: stasis killed, a chunk
# damaged, the connection closed, QEMU killed.  The guest never sees memory that
# is not its own, what happened is told, and --resume goes on where it can.
. "$SOURCE/tests/lib.sh" || exit 1
export XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run

linux cloud
guest[5]+=" mem=384M"
# Beyond what the kernel uses: it comes last, and takes a while.
head -c 300000000 /dev/urandom > content
machine=(-M pc -m 1024 -device virtio-rng-pci "${guest[@]}"
        -device "loader,file=content,addr=0x20000000,force-raw=on")
start vm "${machine[@]}"
wait_for vm.serial '^ready' 90
try save "$STASIS" save --qmp vm.qmp --quit vm.stasis 2> save.err
within 10 gone "$pid"

# lazily FILE: in the background; returns when the guest runs; with `held`,
# stasis is stopped there.  Sets pid, keeper.
lazily() {
        emulator vm
        rm -f json lazy.err
        "$STASIS" restore --lazy --detach --json "$1" -- "${vm[@]}" \
                "${machine[@]}" > json 2> lazy.err &
        keeper=$!
        started+=("$keeper")
        until grep -qs 'RAM follows' lazy.err; do
                gone "$keeper" && fail "not lazily: $(cat lazy.err)"
                sleep 0.005
        done
        ${held:+kill -STOP "$keeper"}
        pid=$(jq -s '.[0].pid' json)
        started+=("$pid")
}

# A monitor may not answer while a page is missing.
migration_is() {
        [ "$(timeout 2 "$TOOLS/qmp" vm.qmp query-migrate "" status)" = "$1" ]
}

# What is promised of a guest that waits.
waits() {
        gone "$pid" && fail "QEMU has ended"
        local status
        status=$(timeout 3 "$TOOLS/qmp" vm.qmp query-migrate "" status)
        [ "${status:-postcopy-paused}" = postcopy-paused ] || fail "$status"
        [ "$(ls run/stasis/*.json | wc -l)" = 1 ] || fail "no session is left"
}

not_over() {
        [ "$(jq -s length json)" = 1 ] || fail "it was over before it could be held"
}

# goes_on_from FILE
goes_on_from() {
        try resume "$STASIS" restore --resume --json "$1" > resume.json 2> resume.err
        migration_is completed || fail "not completed after resume"
        goes_on vm 30 || fail "the guest does not tick after resume"
        [ -z "$(ls run/stasis)" ] || fail "left: $(ls run/stasis)"
        one_life vm.serial
}

again() {
        stop "$pid"
        # The next one is another life of the same moment.
        cp vm.first vm.serial
}
cp vm.serial vm.first

say "killed"
held=1 lazily vm.stasis
not_over
expect 2 "$STASIS" restore --resume vm.stasis 2> resume.err
grep -q 'no lazy restore of this snapshot waits' resume.err || fail "$(cat resume.err)"
stop "$keeper"
waits
goes_on_from vm.stasis
say "$(jq -c '[.resident_seconds, .requests]' resume.json)"
expect 2 "$STASIS" restore --resume vm.stasis 2> resume.err
again

say "terminated"
held=1 lazily vm.stasis
not_over
kill -TERM "$keeper"
kill -CONT "$keeper"
expect 1 wait "$keeper"
waits
grep -q -- '--resume FILE' lazy.err || fail "$(cat lazy.err)"
goes_on_from vm.stasis
again

say "a flipped bit"
# In the last of the chunks in order, which nobody has a use for.
at=$("$STASIS" list --chunks vm.stasis | grep ' ram/pc.ram/00000000[23]' |
        sort -k 6 | tail -n 1 | awk '{ print $1 }')
cp vm.stasis damaged.stasis
byte=$(od -An -tu1 -j $((at + 1000)) -N 1 damaged.stasis)
printf "\\x$(printf %x $((byte ^ 16)))" |
        dd of=damaged.stasis bs=1 seek=$((at + 1000)) conv=notrunc 2> dd.err
cmp -s vm.stasis damaged.stasis && fail "no bit was flipped"
lazily damaged.stasis
expect 3 wait "$keeper"
grep -q 'ram/pc.ram/.*digest' lazy.err || fail "$(cat lazy.err)"
grep -q 'its disks are no longer those of the snapshot' lazy.err || fail "$(cat lazy.err)"
waits
expect 3 "$STASIS" restore --resume damaged.stasis 2> resume.err
grep -q 'ram/pc.ram/.*digest' resume.err || fail "$(cat resume.err)"
waits
goes_on_from vm.stasis
again

say "a file that goes away"
cp vm.stasis short.stasis
held=1 lazily short.stasis
not_over
truncate -s 40M short.stasis
kill -CONT "$keeper"
expect 3 wait "$keeper"
grep -q 'short.stasis: .*ram/pc.ram/' lazy.err || fail "$(cat lazy.err)"
waits
goes_on_from vm.stasis
again

say "a closed connection"
lazily vm.stasis
try pause qmp vm migrate-pause > /dev/null
expect 1 wait "$keeper"
grep -q 'closed the connection' lazy.err || fail "$(cat lazy.err)"
waits
goes_on_from vm.stasis
again

say "QEMU killed"
lazily vm.stasis
kill -9 "$pid"
expect 1 wait "$keeper"
grep -q 'QEMU ended (signal 9)' lazy.err || fail "$(cat lazy.err)"
[ -z "$(ls run/stasis)" ] || fail "left: $(ls run/stasis)"
