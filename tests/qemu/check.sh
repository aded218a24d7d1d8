# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# Would it load there?  A target that fits is told to; each thing in which one
# differs is named by its code, several of them at once, and so is what QEMU
# itself loads without a word.  Nothing runs, but for what is asked by monitor.
. "$SOURCE/tests/lib.sh" || exit 1

truncate -s 16M disk
truncate -s 32M larger
truncate -s 60K rom
truncate -s 120K grown

# target [NAME=VALUE...]: sets `t`, the options of a machine; what is not said
# is as in the one that is saved.  Old types first: every QEMU has them.
target() {
        local type=pc-i440fx-5.2 board= ram=64 smp=2 cpu=qemu64 disk=disk queues=1 \
                features= at=4 rom=rom rng=virtio-rng-pci,addr=5 pair
        for pair; do
                local "$pair"
        done
        t=(-S -M "$type$board" -m "$ram,slots=2,maxmem=1G" -smp "$smp" -cpu "$cpu"
                -blockdev "file,node-name=n,filename=$disk"
                -device "e1000,addr=6,romfile=$rom")
        [ -z "$at" ] || t+=(-device
                "virtio-blk-pci,drive=n,addr=$at,num-queues=$queues$features")
        [ -z "$rng" ] || t+=(-device "$rng")
}

# check STATUS [OPTION...] -- ARG...: of `file` against a QEMU that has these
# arguments; what is said is in `told` and, for programs, in `json`.
check() {
        local status=$1 options=()
        shift
        while [ "$1" != -- ]; do
                options+=("$1")
                shift
        done
        shift
        emulator dst
        expect "$status" "$STASIS" check --json ${options[@]+"${options[@]}"} \
                "$file" -- "${vm[@]}" "$@" > json 2> told
}

# codes: of all reasons that stop a load, sorted, or of others.
codes() {
        jq -r ".reasons[] | select(.severity ${1:-!=} \"warning\") | .code" \
                json | sort -u | tr '\n' ' ' | sed 's/ $//'
}

# differs CODES LOADS [NAME=VALUE...]: the machine with that changed has these
# reasons against it and no other; LOADS: whether QEMU would take it.
differs() {
        local want=$1 loads=$2
        shift 2
        target "$@"
        check 4 -- "${t[@]}" ${more[@]+"${more[@]}"}
        say "$*${more[*]+ ${more[*]}}: $(codes)"
        [ "$(codes)" = "$want" ] || fail "not $want: $(cat json)"
        [ "$(jq -r .loads json)" = "$loads" ] || fail "loads: $(cat json)"
        [ "$(jq .fits json)" = false ] || fail "fits"
}

# names SECTION SNAPSHOT TARGET: of the first reason.
names() {
        local have
        have=$(jq -r '.reasons[] | select(.severity != "warning") |
                [.section, .snapshot, .target] | join("|")' json | head -n 1)
        [ "$have" = "$1|$2|$3" ] || fail "names $have"
}

save() {
        start src "$@"
        try save "$STASIS" save --qmp src.qmp "$file" 2> save.err
        stop "$pid"
}

file=a.stasis
target
save "${t[@]}"

say "what fits"
check 0 -- "${t[@]}"
[ "$(jq -c '[.fits, .loads, .probed, .tried]' json)" = \
        '[true,"yes",true,true]' ] || fail "$(cat json)"
[ -z "$(codes)" ] || fail "reasons against it: $(cat json)"
"$STASIS" check a.stasis -- "${vm[@]}" "${t[@]}" > text || fail "check"
cat text

say "what differs"
differs ram-size no ram=128
names pc.ram 0x4000000 0x8000000
differs ram-size no ram=32
differs device-moved no at=9
names 0000:00:04.0/virtio-blk 0000:00:04.0/virtio-blk \
        0000:00:09.0/virtio-blk
differs device-missing no rng=
names 0000:00:05.0/virtio-rng 0000:00:05.0/virtio-rng ""
differs "device-extra device-missing" no rng=virtio-balloon-pci,addr=5
jq -e '.reasons[] | select(.code == "device-missing" and
        .target == "0000:00:05.0/virtio-balloon")' json > out ||
        fail "not what is there: $(cat json)"
differs cpu-count no smp=1
# Where ACPI's state tells of each CPU, that does not load either.
target smp=3
check 4 -- "${t[@]}"
[[ $(codes) =~ ^cpu-count ]] || fail "$(cat json)"
differs "device-extra device-missing machine-type" no type=pc-q35-5.2
names configuration pc-i440fx-5.2 pc-q35-5.2
differs rom-size no rom=grown
names 0000:00:06.0/e1000.rom 0x10000 0x20000
grep -q 'ROM that has grown' told json || fail "no word of its growth: $(cat json)"
differs device-config no queues=3
differs device-config no features=,vectors=7
jq -e '.reasons[] | select(.message | test("MSI-X"))' json > out ||
        fail "no word of MSI-X: $(cat json)"
differs "device-missing disk-missing" no at=
more=(-object memory-backend-ram,id=mine,size=64M)
differs "ram-extra ram-missing" no board=,memory-backend=mine
more=()

say "what QEMU would not notice"
differs cpu-features yes cpu=qemu64,-cx16
jq -e '.reasons[] | select(.snapshot == "cx16")' json > out ||
        fail "not the feature: $(cat json)"
# Another file, too.
differs "disk-size disks" yes disk=larger
names n 16777216 33554432
more=(-device virtio-balloon-pci,addr=7)
differs device-extra yes
names 0000:00:07.0/virtio-balloon "" 0000:00:07.0/virtio-balloon
more=(-object memory-backend-ram,id=hot,size=128M -device pc-dimm,memdev=hot)
differs ram-extra yes
names hot "" 0x8000000
more=()

say "what is told, but does not stop a load"
target cpu=max
check 0 -- "${t[@]}"
[[ " $(codes ==) " = *" cpu-model "* ]] || fail "$(cat json)"

say "all at once"
more=(-device virtio-balloon-pci,addr=7)
differs "cpu-features device-config device-extra device-missing disk-size disks ram-size rom-size" \
        no ram=128 cpu=qemu64,-cx16 disk=larger rng= rom=grown queues=3
expect 4 "$STASIS" check a.stasis -- "${vm[@]}" "${t[@]}" "${more[@]}" \
        > text 2> told
for code in cpu-features device-config device-extra device-missing disk-size \
        ram-size rom-size; do
        grep -q "$code: " text told || fail "$code: $(cat text told)"
done
more=()

say "what is overridden"
target disk=larger cpu=qemu64,-cx16
check 4 --force=disk-size -- "${t[@]}"
[ "$(codes)" = "cpu-features disk-size disks" ] || fail "$(cat json)"
jq -e '.reasons[] | select(.code == "disk-size" and .forced)' json > out ||
        fail "not forced: $(cat json)"
check 0 --force=disk-size --force=disks --force=cpu-features -- "${t[@]}"
[ "$(jq .fits json)" = true ] || fail "$(cat json)"
for code in ram-size disk nonsense ""; do
        check 2 "--force=$code" -- "${t[@]}"
        grep -q -- --force told || fail "--force=$code: $(cat told)"
done

say "a QEMU that waits"
target
start wait "${t[@]}" -incoming defer
expect 0 "$STASIS" check --json --qmp wait.qmp a.stasis > json 2> told
[ "$(jq -c '[.fits, .loads, .probed]' json)" = '[true,"unknown",false]' ] ||
        fail "$(cat json)"
[ "$(run_state wait)" = inmigrate ] || fail "it waits no more"
stop "$pid"
target ram=128 at=9 disk=larger
start wait "${t[@]}" -incoming defer
expect 4 "$STASIS" check --json --qmp wait.qmp a.stasis > json 2> told
[ "$(codes)" = "device-missing disk-size disks ram-size" ] || fail "$(cat json)"
stop "$pid"

say "machine types of which one begins as the other does"
if $QEMU -M help | grep -q '^pc-q35-4.0.1 '; then
        file=prefix.stasis
        target type=pc-q35-4.0
        save "${t[@]}"
        differs machine-type yes type=pc-q35-4.0.1
        names configuration pc-q35-4.0 pc-q35-4.0.1
        file=a.stasis
else
        say "(this QEMU has no pc-q35-4.0.1)"
fi

say "what cannot be known"
target
for wrong in -no-such-option "-device no-such-device" "-m 1T"; do
        check 1 -- "${t[@]}" $wrong
        [ "$(jq -c '[.loads, .probed, .reasons[0].code]' json)" = \
                '["unknown",false,"not-probed"]' ] || fail "$wrong: $(cat json)"
        grep -q 'could not be probed' told || fail "$wrong: $(cat told)"
done
expect 1 "$STASIS" check a.stasis -- /no/such/qemu "${t[@]}" > told 2>&1
grep -q 'No such file' told || fail "$(cat told)"
expect 1 "$STASIS" check --qmp /no/such/socket a.stasis > told 2>&1

say "what is no snapshot to be looked at"
head -c 20000 a.stasis > file.stasis
file=file.stasis
check 3 -- "${t[@]}"
echo "no snapshot at all" > file.stasis
check 3 -- "${t[@]}"
file=missing.stasis
check 1 -- "${t[@]}"
expect 2 "$STASIS" check /dev/stdin -- "${vm[@]}" "${t[@]}" \
        < <(cat a.stasis) > out 2> told
grep -q pipe told || fail "$(cat told)"
expect 2 "$STASIS" check a.stasis > out 2>&1
expect 2 "$STASIS" check --qmp wait.qmp a.stasis -- "${vm[@]}" > out 2>&1

say "killed, it leaves no twin behind"
no_twin() {
        ! pgrep -f "twin-of-$$" > /dev/null
}
seen=0
for delay in 0.05 0.1 0.2 0.3; do
        "$STASIS" check a.stasis -- "${vm[@]}" "${t[@]}" -name "twin-of-$$" \
                > out 2>&1 &
        checking=$!
        sleep $delay
        pgrep -P $checking > /dev/null && seen=$((seen + 1))
        kill -9 $checking
        wait $checking 2> /dev/null
        within 5 no_twin || fail "left behind: $(pgrep -af "twin-of-$$")"
done
[ $seen -gt 0 ] || fail "no twin was there when it was killed"
