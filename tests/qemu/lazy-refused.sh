# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 180
#
# Where a lazy restore cannot be, all of RAM is loaded first, and why is told;
# what cannot be at all is refused before anything is started.
. "$SOURCE/tests/lib.sh" || exit 1
export XDG_RUNTIME_DIR=$PWD/run
mkdir -m 711 run

head -c 3000000 /dev/urandom > content
machine=(-M q35 -m 128 -device "loader,file=content,addr=0x2000123,force-raw=on")
start vm "${machine[@]}"
sleep 0.3
qmp vm stop > /dev/null
qmp vm pmemsave "{\"val\":1048576,\"size\":133169152,\"filename\":\"$PWD/truth\"}" > /dev/null
try save "$STASIS" save --qmp vm.qmp --quit vm.stasis 2> save.err
within 10 gone "$pid"

# whole REASON FILE ARG...: restored, but not lazily.
whole() {
        local reason=$1 file=$2
        shift 2
        emulator vm
        chmod 711 run
        try "restore of $file" "$STASIS" restore --lazy --detach --json \
                ${force[@]+"${force[@]}"} "$file" -- "$@" > json 2> lazy.err
        pid=$(jq -s '.[0].pid' json)
        started+=("$pid")
        grep -q "not lazily: .*$reason.*; all of RAM is loaded first" lazy.err ||
                fail "not for '$reason': $(cat lazy.err)"
        [ "$(jq -s length json)" = 1 ] || fail "$(cat json)"
        [ -z "$(ls run/stasis)" ] || fail "left: $(ls run/stasis)"
}

same() {
        qmp vm pmemsave "{\"val\":1048576,\"size\":133169152,\"filename\":\"$PWD/is\"}" > /dev/null
        cmp truth is || fail "RAM differs"
        stop "$pid"
}

emulator vm
mine=("${vm[@]}" "${machine[@]}")

say "a pipe"
cat vm.stasis | expect 2 "$STASIS" restore --lazy - -- "${mine[@]}" 2> lazy.err
grep -q 'which a pipe cannot; give a file' lazy.err || fail "$(cat lazy.err)"
cat vm.stasis | expect 2 "$STASIS" restore --resume - 2> lazy.err
expect 2 "$STASIS" restore --lazy --to tcp:localhost:1 vm.stasis 2> lazy.err
expect 2 "$STASIS" restore --record-working-set vm.stasis -- "${mine[@]}" 2> lazy.err
expect 2 "$STASIS" restore --resume --lazy vm.stasis 2> lazy.err
expect 2 "$STASIS" restore --pid 1 vm.stasis -- "${mine[@]}" 2> lazy.err
[ ! -e vm.pid ] || fail "a QEMU was started"

say "no right to userfaultfd"
# An unprivileged QEMU: its stasis is, too.  (This directory is root's alone.)
if [ "$(id -u)" = 0 ]; then
        [ "$(cat /proc/sys/vm/unprivileged_userfaultfd)" = 0 ] ||
                fail "vm.unprivileged_userfaultfd is 1: the case cannot be made"
        chmod 755 . && chmod 644 content vm.stasis
        mkdir -m 777 theirs
        cp "$STASIS" theirs/program
        chmod o+x "$(dirname "$PWD")"
        plain=($QEMU -accel "$ACCEL" -nodefaults -display none -no-user-config
                -qmp "unix:$PWD/theirs/qmp,server=on,wait=off")
        try "an unprivileged restore" setpriv --reuid 65534 --regid 65534 \
                --clear-groups env XDG_RUNTIME_DIR="$PWD/theirs" \
                theirs/program restore --lazy --detach --json vm.stasis -- \
                "${plain[@]}" -serial null -M q35 -m 128 \
                -device "loader,file=$PWD/content,addr=0x2000123,force-raw=on" \
                > json 2> lazy.err
        pid=$(jq -s '.[0].pid' json)
        started+=("$pid")
        grep -q 'not lazily: .*ostcopy is not supported' lazy.err || fail "$(cat lazy.err)"
        [ "$("$TOOLS/qmp" theirs/qmp query-status "" status)" = paused ] || fail "not paused"
        stop "$pid"
fi

say "a file as memory"
truncate -s 128M room
# (Newer ones say so themselves: Host backend files need to be TMPFS ...)
whole 'on tmpfs nor on hugetlbfs\|TMPFS or HUGETLBFS only' vm.stasis \
        "${vm[@]}" "${machine[@]}" -M q35,memory-backend=pc.ram \
        -object memory-backend-file,id=pc.ram,size=128M,mem-path=room,share=on
same

say "shared memory is served"
emulator vm
try "shared" "$STASIS" restore --lazy --detach --json vm.stasis -- "${vm[@]}" \
        "${machine[@]}" -M q35,memory-backend=pc.ram \
        -object memory-backend-memfd,id=pc.ram,size=128M > json 2> lazy.err
pid=$(jq -s '.[0].pid' json)
started+=("$pid")
grep -q 'RAM follows' lazy.err || fail "$(cat lazy.err)"
[ "$(run_state vm)" = paused ] || fail "not paused"
same

say "a VM that never ran"
start fresh -S "${machine[@]}"
try save "$STASIS" save --qmp fresh.qmp --quit fresh.stasis 2> save.err
within 10 gone "$pid"
whole 'the VM was prelaunch' fresh.stasis "${mine[@]}"
stop "$pid"

say "behind a monitor"
emulator vm
"${vm[@]}" "${machine[@]}" -incoming defer < /dev/null 2>> vm.err &
pid=$!
started+=("$pid")
within 10 test -S vm.qmp
try "into a QEMU that waits" "$STASIS" restore --lazy --qmp vm.qmp --json \
        vm.stasis > json 2> lazy.err
grep -q 'RAM follows' lazy.err || fail "$(cat lazy.err)"
[ "$(run_state vm)" = paused ] || fail "not paused"
same

say "RAM that the snapshot has not"
emulator vm
expect 4 "$STASIS" restore --lazy vm.stasis -- "${vm[@]}" "${machine[@]}" -vga std 2> lazy.err
force=(--force=ram-extra --force=device-extra)
whole 'the target has RAMBlock 0000:00:01.0/vga' vm.stasis \
        "${vm[@]}" "${machine[@]}" -vga std
force=()
same

say "a target that breaks it off"
emulator vm
"${vm[@]}" "${machine[@]}" -device virtio-rng-pci < /dev/null 2>> vm.err &
pid=$!
started+=("$pid")
within 10 test -S vm.qmp
qmp vm stop > /dev/null
try save "$STASIS" save --qmp vm.qmp --quit rng.stasis 2> save.err
within 10 gone "$pid"
emulator vm
expect 1 "$STASIS" restore --lazy --force=device-missing rng.stasis -- "${mine[@]}" \
        2> lazy.err
grep -q 'not lazily: .*all of RAM is loaded first' lazy.err || fail "$(cat lazy.err)"
grep -q '^stasis restore: .*virtio-rng' lazy.err || fail "$(cat lazy.err)"
[ -z "$(ls run/stasis)" ] || fail "left: $(ls run/stasis)"

say "another machine"
emulator vm
expect 4 "$STASIS" restore --lazy vm.stasis -- "${vm[@]}" "${machine[@]}" -m 256 \
        2> lazy.err
[ -z "$(ls run/stasis)" ] || fail "left: $(ls run/stasis)"
