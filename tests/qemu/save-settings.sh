# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Migration settings of somebody else neither spoil a save nor get lost by it,
# whether it succeeds, fails or is killed.
. "$SOURCE/tests/lib.sh"

# settings: what a save may change, as QEMU has it now.
settings() {
        qmp vm query-migrate-capabilities | tr '}' '\n' | grep '"state":true' |
                grep -o '"capability":"[^"]*"' | sort
        qmp vm query-migrate-parameters | tr ',{}' '\n' |
                grep -E '"(max-bandwidth|downtime-limit|tls-creds)"' | sort
}

unchanged() {
        settings > now
        diff mine now || fail "$1: the settings are not as they were"
        [ "$(qmp vm qom-list '{"path":"/objects"}' |
                grep -c stasis)" = 0 ] || fail "$1: something was left in QEMU"
}

capability() {
        qmp vm migrate-set-capabilities \
                "{\"capabilities\":[{\"capability\":\"$1\",\"state\":true}]}"
}

start vm -M pc -m 64 -device floppy,drive=d \
        -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
wait_for vm.serial '\.\.' 60

# Each of these, left on, would hang the save, or change or spoil its stream.
for name in xbzrle auto-converge pause-before-switchover release-ram \
        x-ignore-shared dirty-bitmaps; do
        capability $name || fail "no capability $name"
done
qmp vm migrate-set-parameters '{"max-bandwidth":1000000,"downtime-limit":77}'
settings > mine

try "save" timeout 60 "$STASIS" save --qmp vm.qmp vm.stasis 2> said
unchanged "after a save"
grep -q 'x-ignore-shared' said || fail "not told: $(cat said)"
try "check" "$STASIS" verify vm.stasis

# A failure puts back as well: the reader of a pipe goes away.
"$STASIS" save --qmp vm.qmp - 2> said | head -c 100 > /dev/null
[ "${PIPESTATUS[0]}" = 1 ] || fail "a closed pipe was not noticed"
unchanged "after a failed save"

# Kill -9 leaves them changed; the next save puts back what was there before
# the killed one, without a word about it.
mkfifo stalled
"$STASIS" save --qmp vm.qmp --compress none - > stalled 2> /dev/null &
killed=$!
started+=($killed)
exec 7< stalled
[ "$(timeout 20 head -c 1 <&7 | wc -c)" = 1 ] || fail "the save does not begin"
kill -9 $killed
wait $killed 2> /dev/null
exec 7<&-
within 1 is_state vm running || fail "the VM is $(run_state vm) after kill -9"
settings > left
! cmp -s mine left || fail "nothing was left behind: this proves nothing"
try "save after kill -9" "$STASIS" save --qmp vm.qmp --force vm.stasis 2> said
unchanged "after the next save"

# What somebody set after the kill is theirs, and stays.
"$STASIS" save --qmp vm.qmp --compress none - > stalled 2> /dev/null &
killed=$!
started+=($killed)
exec 7< stalled
[ "$(timeout 20 head -c 1 <&7 | wc -c)" = 1 ] || fail "the save does not begin"
kill -9 $killed
wait $killed 2> /dev/null
exec 7<&-
within 1 is_state vm running || fail "the VM is $(run_state vm) after kill -9"
qmp vm migrate-set-parameters '{"max-bandwidth":5555}'
try "save after kill -9" "$STASIS" save --qmp vm.qmp --force vm.stasis 2> said
settings | grep -q 'max-bandwidth":5555' || fail "a newer setting is lost: $(settings)"
settings | grep -q 'downtime-limit":77' || fail "an older setting is lost: $(settings)"
