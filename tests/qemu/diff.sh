# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# What does not differ is equal, however it is kept; what a load changes, a page
# that the guest wrote, a field, a device more and a disk's sectors are named.
. "$SOURCE/tests/lib.sh" || exit 1

floppy=(-drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=f"
        -device floppy,drive=f)
qemu-img create -q -f raw base 64M || fail "qemu-img"
disk() {
        rm -f "$1"
        qemu-img create -q -f qcow2 -b "$PWD/base" -F raw "$1" || fail "qemu-img"
}
disk top
qemu-io -c 'write -P 1 0 1M' -c 'write -z 2M 1M' top > /dev/null || fail qemu-io
# Its real-time clock stands still when it does.
machine=(-M pc -m 64 -rtc clock=vm "${floppy[@]}" -device virtio-rng-pci
        -drive file=top,format=qcow2,if=ide,id=d,node-name=n)

# differ A B: it must; what is told is in the file `told`.
differ() {
        expect 1 "$STASIS" diff "$@" > told 2> told.err
        [ ! -s told.err ] || fail "diff: $(cat told.err)"
        [ -s told ] || fail "diff tells nothing"
}

told() {
        grep -qE -- "$1" told || fail "not told: $1: $(head -n 30 told)"
}

alike() {
        "$STASIS" diff "$@" > told || fail "$* differ: $(head -n 20 told)"
        [ ! -s told ] || fail "equal, but: $(cat told)"
}

save() {
        "$STASIS" save --qmp "$1.qmp" "${@:3}" "$2" 2> save.err ||
                fail "save $2: $(cat save.err)"
}

# loaded NAME: a.stasis, in a QEMU that does not let it run.
loaded() {
        rm -f restored
        expected_state=paused
        resume "$1" a.stasis --disk d=restored -- -M pc -m 64 \
                -rtc clock=vm "${floppy[@]}" -device virtio-rng-pci \
                -drive file=restored,format=qcow2,if=ide,id=d,node-name=n
        unset expected_state
}

say "what is the same"
start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
qmp vm stop > /dev/null
save vm a.stasis --disk d
alike a.stasis a.stasis
try stream "$STASIS" restore --to - a.stasis > a.stream
try import "$STASIS" import a.stream packed.stasis
try import "$STASIS" import --compress none a.stream plain.stasis
! cmp -s packed.stasis plain.stasis || fail "one file"
alike packed.stasis plain.stasis
"$STASIS" diff --json packed.stasis plain.stasis > json || fail "--json"
[ "$(jq -c . json)" = '{"differences":[],"equal":true}' ] || fail "$(cat json)"
# A stream does not know who the VM is.
differ packed.stasis a.stasis
! grep -v '^[a-z_.]*: only in B: \|^disk d: only in B$' told >&2 ||
        fail "a stream has other content"
# Older ones cannot be saved again before they have run.
if is_state vm paused; then
        save vm again.stasis --disk d --compress none --threads 0
        alike a.stasis again.stasis
else
        say "(this QEMU leaves a stopped VM $(run_state vm))"
fi

say "a guest that ran meanwhile"
qmp vm cont > /dev/null
sleep 1
qmp vm stop > /dev/null
save vm later.stasis --disk d
differ a.stasis later.stasis
told '^RAM pc.ram: [0-9]+ of 16384 pages differ'
told '^timer: cpu_clock_offset: [0-9-]+ .*-> [0-9-]+'
told '^cpu: env\.'
! grep -q '^machine\|^RAM pc.bios\|^disk ' told ||
        fail "what did not change: $(cat told)"
"$STASIS" verify later.stasis > /dev/null || fail verify
stop "$pid"

say "what a load changes"
loaded b
save b loaded.stasis --disk d
differ a.stasis loaded.stasis
cp told loaded.told
say "told: $(wc -l < told) lines"
sed 's/^/    /' told | cut -c 1-160
# The clock sets its timers anew, and the IDE controller forgets what it would
# try again.
! grep -v '^vm\.argv: \|^state\.disks\[d\]\.chain\[0\]\|^mc146818rtc: \|/ide: bmdma' \
        told || fail "more than the load changes"
told '^vm.argv: only in A: '
stop "$pid"

say "a device more, another machine"
start c -M pc -m 65 -S "${floppy[@]}" -device virtio-rng-pci -device e1000 \
        -cpu qemu64,-sse3
save c c.stasis
differ a.stasis c.stasis
told '^cpu.features: only in A: .*"sse3"'
told '^0000:00:[0-9a-f.]*/e1000: only in B$'
told '^RAM pc.ram: size 67108864 -> 68157440; [0-9]+ of 16640 pages differ'
told '^disk d: only in A$'
told '^state.disks\[d\]: only in A'
[ "$(grep -n '^cpu.features' told | cut -d : -f 1)" -lt \
        "$(grep -n e1000 told | head -n 1 | cut -d : -f 1)" ] ||
        fail "configuration does not come first"
"$STASIS" diff --json a.stasis c.stasis > json
[ $? = 1 ] || fail "--json: status"
[ "$(jq '.differences | length' json)" = "$(wc -l < told)" ] ||
        fail "--json tells another number"
jq -e '.equal == false and
        (.differences[] | select(.kind == "ram" and .block == "pc.ram") |
                .a.size == 67108864 and .differing % 4096 == 0)' json \
        > /dev/null || fail "--json: $(head -c 500 json)"
stop "$pid"

# poke FILE OFFSET: another byte there.
poke() {
        local byte
        byte=$(od -An -tu1 -j "$2" -N 1 "$1")
        printf "\\x$(printf %x $((byte ^ 255)))" |
                dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# place FILE BYTES: where they stand, and end.
place() {
        local at
        at=$(grep -obUaP "$2" "$1" | head -n 1 | cut -d : -f 1)
        [ -n "$at" ] || fail "$1 has no $2"
        echo $((at + $(printf %b "$2" | wc -c)))
}

say "a page and a field that were changed"
cp a.stream changed.stream
# A page's record: its address, and flags: raw, of the same RAMBlock.
poke changed.stream $(($(place a.stream \
        '\x00\x00\x00\x00\x01\x23\x40\x28') + 4095))
poke changed.stream $(($(place a.stream \
        '\x06serial\x00\x00\x00\x00\x00\x00\x00\x03') +
        $("$STASIS" show --json a.stasis serial |
                jq '.devices[0].fields[] | select(.path == "state.lcr").offset')))
try import "$STASIS" import changed.stream changed.stasis
differ packed.stasis changed.stasis
[ "$(wc -l < told)" = 2 ] || fail "not two differences: $(cat told)"
told '^RAM pc.ram: 1 of 16384 pages differ: 0x1234000\+0x1000$'
told '^serial: state\.lcr: [0-9]+ .*-> [0-9]+'

say "disks"
disk other
qemu-io -c 'write -P 1 0 1M' -c 'write -z 2M 512k' -c 'write -P 2 512k 4k' \
        other > /dev/null || fail qemu-io
start d -M pc -m 64 -S -drive file=other,format=qcow2,if=ide,id=d,node-name=n
save d other.stasis --disk d
differ a.stasis other.stasis
told "^disk d: 1032 of 131072 sectors differ, 1024 are not in B's overlay: 0x80000\\+0x1000, 0x280000\\+0x80000\$"
stop "$pid"

expect 1 "$STASIS" diff a.stasis missing.stasis > /dev/null 2> err
expect 2 "$STASIS" diff a.stasis 2> err
head -c 100000 a.stasis > cut.stasis
expect 3 "$STASIS" diff a.stasis cut.stasis > /dev/null 2> err
grep -q cut.stasis err || fail "which file: $(cat err)"
