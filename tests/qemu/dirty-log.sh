# SPDX-License-Identifier: LGPL-2.1-or-later
#
# dirty-log sees what a guest writes to, does not stop it, and leaves nothing
# behind: not after an end of its own, not after kill -9 and another one.
. "$SOURCE/tests/lib.sh" || exit 1

machine=(-M pc -m 64 -device floppy,drive=d)

state_of() {
        qmp vm query-migrate-capabilities
        qmp vm query-migrate-parameters
        qmp vm query-named-block-nodes | grep -o '"node-name": *"[^"]*"'
        qmp vm qom-list '{"path":"/objects"}'
}

# stops: how often the VM was stopped since it started, as QEMU traces it.
stops() {
        grep -c 'vm_state_notify running 0' vm.trace
}

begin() {
        : > vm.trace
        start vm "${machine[@]}" -trace vm_state_notify -D vm.trace \
                -drive "file=$GUEST/$1.img,format=raw,readonly=on,if=none,id=d"
        wait_for vm.serial '\.\.' 60
        qmp vm migrate-set-parameters '{"downtime-limit":77}' > /dev/null
        state_of > mine
        stopped=$(stops)
}

untouched() {
        state_of > now
        diff mine now || fail "$1: something was left in QEMU"
        is_state vm running || fail "$1: the VM is $(run_state vm)"
        [ "$(stops)" = "$stopped" ] || fail "$1: the guest was stopped"
}

say "a guest that writes to every page"
begin pages
try dirty-log "$STASIS" dirty-log --qmp vm.qmp --seconds 2 --csv dirty.csv > shown
untouched "pages"
grep -q 'the guest writes to [1-9]' shown || fail "$(cat shown)"
grep -q '25 Gbit/s a migration would take' shown || fail "$(cat shown)"
grep -q '^pass,block,offset,pages$' dirty.csv || fail "$(head dirty.csv)"
most=$(awk -F, 'NR > 1 { n[$1] += $4 } END { for (p in n) if (n[p] > m) m = n[p]; print m + 0 }' dirty.csv)
say "  at most $most pages in a pass"
[ "$most" -gt 10000 ] || fail "it writes to 16128"
! awk -F, 'NR > 1 && $4 > 16600 { exit 1 }' dirty.csv && fail "too many"
try JSON "$STASIS" dirty-log --qmp vm.qmp --seconds 3 --bandwidth 200M --json > j
grep -q '"bytes_per_second": [1-9]' j || fail "$(cat j)"

say "killed in the middle; the next one clears up"
"$STASIS" dirty-log --qmp vm.qmp --seconds 20 > /dev/null 2>&1 &
killed=$!
started+=($killed)
sleep 1
kill -9 $killed
wait $killed 2> /dev/null
is_state vm running || fail "the VM is $(run_state vm) after kill -9"
try "save after kill -9" "$STASIS" save --qmp vm.qmp vm.stasis
is_state vm running || fail "the VM is $(run_state vm)"
state_of > now
diff mine now || fail "something was left in QEMU after the next save"
stop "$pid"

say "a guest that writes to nothing"
begin dots
try dirty-log "$STASIS" dirty-log --qmp vm.qmp --seconds 2 > shown
untouched "dots"
grep -q 'the guest wrote to no memory\|writes to 0\.[0-9] MiB' shown ||
        fail "$(cat shown)"
qmp vm stop > /dev/null
[ "$(stops)" -gt "$stopped" ] || fail "a stop is not seen: this proves nothing"
expect 1 "$STASIS" dirty-log --qmp vm.qmp --seconds 1 2> said
grep -q 'writes to nothing' said || fail "$(cat said)"
expect 2 "$STASIS" dirty-log --seconds 1 2> said
