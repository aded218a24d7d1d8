# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Whatever becomes of a live save, the guest runs on: kill -9 in the middle, a
# reader that goes away, a QEMU that may not protect memory.
. "$SOURCE/tests/lib.sh" || exit 1

machine=(-M pc -m 64 -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        -device floppy,drive=d)

settings() {
        qmp vm query-migrate-capabilities | tr '}' '\n' | grep '"state":true' |
                grep -o '"capability":"[^"]*"' | sort
        qmp vm query-migrate-parameters | tr ',{}' '\n' |
                grep -E '"(max-bandwidth|downtime-limit)"' | sort
}

# counts_on: the guest, which writes a dot now and then, writes more.
counts_on() {
        was=$(stat -c %s vm.serial)
        within 10 more_dots || fail "$1: the guest stands"
        is_state vm running || fail "$1: the VM is $(run_state vm)"
}

more_dots() {
        [ "$(stat -c %s vm.serial)" -gt $((was + 1)) ]
}

# over: no migration is under way.
over() {
        ! qmp vm query-migrate | grep -qE '"status":"(setup|active|device)"'
}

broken_off() {
        qmp vm query-migrate | grep -q '"status":"failed"'
}

modes=()
start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
major=$(qmp vm query-version "" qemu.major)
[ "$major" -ge 10 ] && modes+=(background-snapshot)
[ "$ACCEL" = tcg ] && [ "$major" -lt 9 ] || modes+=(precopy)
[ ${#modes[@]} -gt 0 ] || skip "QEMU $major saves no VM live under $ACCEL"
settings > mine

mkfifo stalled
for mode in "${modes[@]}"; do
        broken=0
        for delay in 0.05 0.1 0.3 0.6; do
                # RAM takes a second.
                "$STASIS" save --qmp vm.qmp --live="$mode" --bandwidth 64M \
                        --compress none - > stalled 2> /dev/null &
                killed=$!
                started+=($killed)
                exec 7< stalled
                sleep $delay
                kill -9 $killed
                wait $killed 2> /dev/null
                exec 7<&-
                within 20 over || fail "$mode: the migration goes on"
                counts_on "$mode, killed after $delay s"
                broken_off && broken=$((broken + 1))
        done
        [ $broken -gt 1 ] || fail "$mode: $broken were killed in the middle"
        say "$mode: killed four times, the guest runs on"
        "$STASIS" save --qmp vm.qmp --live="$mode" - 2> said |
                head -c 100 > /dev/null
        [ "${PIPESTATUS[0]}" = 1 ] || fail "$mode: a closed pipe was not noticed"
        counts_on "$mode, closed pipe"
        try "save after that" "$STASIS" save --qmp vm.qmp --live="$mode" \
                --force vm.stasis 2> said
        settings > now
        diff mine now || fail "$mode: the settings are not as they were"
        try verify "$STASIS" verify vm.stasis
done
stop "$pid"

case " ${modes[*]} " in
*" background-snapshot "*) ;;
*) exit 0 ;;
esac
[ "$(id -u)" = 0 ] || exit 0
[ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2> /dev/null)" = 0 ] || exit 0
say "a QEMU without rights to userfaultfd"
chmod 777 .
touch vm.serial && chmod 666 vm.serial
: > vm.serial
emulator vm
setpriv --reuid=65534 --regid=65534 --clear-groups "${vm[@]}" "${machine[@]}" \
        < /dev/null >> vm.err 2>&1 &
pid=$!
started+=($pid)
within 20 test -S vm.qmp || fail "QEMU did not start"
wait_for vm.serial '\.\.' 60
expect 4 "$STASIS" save --qmp vm.qmp --live=background-snapshot x.stasis 2> said
grep -q 'no background snapshot: .*userfaultfd' said || fail "said: $(cat said)"
try "another way" "$STASIS" save --qmp vm.qmp --live --force vm.stasis 2> said
grep -q 'precopy instead: .*userfaultfd' said || fail "said: $(cat said)"
counts_on "without rights"
