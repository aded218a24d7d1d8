# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# Every way to restore, and what is refused: a QEMU that waits behind QMP, bare
# endpoints, a detached QEMU, the recorded command; another machine, other RAM,
# disks that have changed since the cut, damaged files.  What is refused never
# runs.
. "$SOURCE/tests/lib.sh" || exit 1

floppy=(-drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        -device floppy,drive=d)
truncate -s 8M disk
machine=(-M pc -m 64 "${floppy[@]}"
        -drive file=disk,format=raw,if=ide,id=v -device virtio-rng-pci)

# waiting NAME ARG...: a QEMU that waits for a migration.
waiting() {
        start "$1" "${machine[@]}" -incoming defer "${@:2}"
}

start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
try save "$STASIS" save --qmp vm.qmp --quit vm.stasis 2> save.err
within 10 gone "$pid" || fail "QEMU did not end"

say "behind QMP"
waiting a -S
try "restore --qmp" "$STASIS" restore --qmp a.qmp vm.stasis
is_state a running || fail "not running"
expect 1 "$STASIS" restore --qmp a.qmp vm.stasis 2> err
grep -q 'incoming defer' err || fail "a running target: $(cat err)"
stop "$pid"
waiting a
try "restore --qmp --paused" "$STASIS" restore --qmp a.qmp --paused vm.stasis
is_state a paused || fail "not paused"
stop "$pid"

say "bare endpoints"
start a "${machine[@]}" -incoming "unix:$PWD/in.sock"
within 5 test -S in.sock || fail "QEMU does not listen"
try "restore --to unix:" "$STASIS" restore --to "unix:$PWD/in.sock" vm.stasis
within 5 is_state a running || fail "not running"
stop "$pid"
port=$((20000 + $$ % 20000))
start a "${machine[@]}" -incoming "tcp:127.0.0.1:$port"
sleep 1 # to ask whether it listens would be the one connection it takes
try "restore --to tcp:" "$STASIS" restore --to "tcp:127.0.0.1:$port" vm.stasis
within 5 is_state a running || fail "not running"
stop "$pid"
try "restore --to -" "$STASIS" restore --to - vm.stasis > a.stream
try "restore --to fd:" "$STASIS" restore --to fd:5 - < vm.stasis 5> b.stream
cmp a.stream b.stream || fail "fd: and - differ"
start a "${machine[@]}" -incoming "exec:cat $PWD/a.stream"
within 20 is_state a running || fail "a.stream does not load"
stop "$pid"
expect 1 "$STASIS" restore --to unix:/nowhere/x.sock vm.stasis 2> err
expect 2 "$STASIS" restore --to what:ever vm.stasis 2> err
# The other side says no, and its verdict is ours.
rm -f in.sock
start a -M pc -m 128 -incoming "unix:$PWD/in.sock"
within 5 test -S in.sock || fail "QEMU does not listen"
expect 1 "$STASIS" restore --to "unix:$PWD/in.sock" vm.stasis 2> err
grep -q 'refused the stream' err || fail "no verdict: $(cat err)"

say "detached, from a pipe"
emulator a
"$STASIS" restore --detach --json - -- "${vm[@]}" "${machine[@]}" \
        < <(cat vm.stasis) > out 2> err || fail "--detach: $(cat err)"
started+=("$(cat a.pid)")
is_state a running || fail "not running"
grep -q '"run_state": "running"' out || fail "report: $(cat out)"
stop "$(cat a.pid)"

say "the recorded command"
try "info --command" "$STASIS" info --command vm.stasis > command
grep -q -- "-M pc -m 64" command || fail "info --command: $(cat command)"
if grep -q -- --library-path command; then
        say "(not run again: this QEMU is run by a loader of its own)"
else
        binary=${QEMU%% *}
        rm -f vm.qmp vm.pid
        "$STASIS" restore --recorded-command --qemu "$(command -v "$binary")" \
                --detach --json vm.stasis > out 2> err || fail "recorded: $(cat err)"
        recorded=$(sed -n 's/^ "pid": \([0-9]*\).*/\1/p' out)
        started+=("$recorded")
        is_state vm running || fail "not running"
        stop "$recorded"
fi
expect 2 "$STASIS" restore --recorded-command - < <(cat vm.stasis) 2> err
grep -q 'from a pipe' err || fail "recorded from a pipe: $(cat err)"

# refused STATUS PATTERN FILE OPTION... -- ARG...: not loaded, and no QEMU is
# left.
refused() {
        local status=$1 pattern=$2 file=$3 options=()
        shift 3
        while [ "$1" != -- ]; do options+=("$1"); shift; done
        shift
        emulator r
        expect "$status" "$STASIS" restore ${options[@]+"${options[@]}"} \
                "$file" -- "${vm[@]}" "$@" 2> err < /dev/null
        grep -q -- "$pattern" err || fail "not '$pattern': $(cat err)"
        [ ! -e r.pid ] || gone "$(cat r.pid)" || fail "a QEMU is left"
        [ ! -s r.serial ] || fail "the guest ran"
}

say "another machine"
refused 4 'machine type pc-i440fx' vm.stasis -- -M q35 -m 64
refused 4 'RAMBlock pc.ram has 0x4000000' vm.stasis -- -M pc -m 128 \
        "${floppy[@]}" -drive file=disk,format=raw,if=ide,id=v
refused 4 'no disk' vm.stasis -- -M pc -m 64 "${floppy[@]}"
without=(-M pc -m 64 "${floppy[@]}" -drive file=disk,format=raw,if=ide,id=v)
refused 4 'virtio-rng.*--force=device-missing' vm.stasis -- "${without[@]}"
refused 1 'virtio-rng' vm.stasis --force=device-missing -- "${without[@]}"
refused 1 'QEMU ended' vm.stasis -- -no-such-option
refused 2 'incoming' vm.stasis -- "${machine[@]}" -incoming defer
refused 2 'is not one of' vm.stasis --force=ram -- \
        "${machine[@]}"

say "a damaged file"
size=$(stat -c %s vm.stasis)
for at in 700 100000 $((size / 2)) $((size - 2000)); do
        cp vm.stasis bad.stasis
        printf '\x99' | dd of=bad.stasis bs=1 seek="$at" conv=notrunc status=none
        cmp -s vm.stasis bad.stasis && continue
        refused 3 bad.stasis bad.stasis -- "${machine[@]}"
        emulator r
        cat bad.stasis | expect 3 "$STASIS" restore - -- "${vm[@]}" \
                "${machine[@]}" 2> err
        [ ! -s r.serial ] || fail "the guest ran"
done
head -c $((size - 1536)) vm.stasis > cut.stasis
refused 3 'cut.stasis' cut.stasis -- "${machine[@]}"

say "a disk that has changed"
emulator a
"$STASIS" restore --detach vm.stasis -- "${vm[@]}" "${machine[@]}" \
        < /dev/null 2> err || fail "restore: $(cat err)"
stop "$(cat a.pid)"
printf x | dd of=disk bs=1 seek=4000000 conv=notrunc status=none
refused 4 'not as it was at the cut' vm.stasis -- "${machine[@]}"
grep -q -- '--force=disks' err || fail "no way out is named: $(cat err)"
emulator a
cat vm.stasis | expect 4 "$STASIS" restore - -- "${vm[@]}" "${machine[@]}" 2> err
grep -q 'not as it was at the cut' err || fail "from a pipe: $(cat err)"
"$STASIS" restore --detach --force=disks vm.stasis -- "${vm[@]}" \
        "${machine[@]}" < /dev/null 2> err || fail "--force: $(cat err)"
is_state a running || fail "not running"
stop "$(cat a.pid)"

say "a QEMU that ends tells its status"
emulator a
"$STASIS" restore vm.stasis --force=disks -- "${vm[@]}" "${machine[@]}" \
        < /dev/null 2> err &
keeper=$!
started+=($keeper)
within 20 is_state a running || fail "not running: $(cat err)"
started+=("$(cat a.pid)")
qmp a quit > /dev/null
wait $keeper || fail "status $? of a QEMU that quit"
