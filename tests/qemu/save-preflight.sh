# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a save looks at before it touches the VM, and how it says no.
. "$SOURCE/tests/lib.sh"

# refused STATUS PATTERN [OPTION...]: and no file, and the VM as it was.
refused() {
        local status=$1 pattern=$2
        shift 2
        expect "$status" "$STASIS" save "$@" never.stasis 2> said
        grep -q -- "$pattern" said || fail "not said: $pattern: $(cat said)"
        [ "$(wc -l < said)" = 1 ] || fail "more than a line: $(cat said)"
        [ ! -e never.stasis ] || fail "a file"
        is_state vm running || fail "the VM is $(run_state vm)"
}

truncate -s 4M a.img b.img
start vm -M pc -m 64 -drive file=a.img,format=raw,if=none,id=a -device ide-hd,drive=a \
        -qmp unix:second.qmp,server=on,wait=off

refused 1 'No such file' --qmp nowhere.qmp
refused 2 '--qmp'

# A job in a disk.
qmp vm drive-backup '{"device":"a","target":"b.img","sync":"full","mode":"existing","format":"raw","speed":1024,"job-id":"bk"}'
refused 1 'job .* (backup) is under way' --qmp vm.qmp
qmp vm block-job-cancel '{"device":"bk","force":true}'
jobs_gone() { [ "$(qmp vm query-block-jobs)" = '[]' ]; }
within 10 jobs_gone || fail "the job does not go away"

# A migration by somebody else.
mkfifo slow
exec 8<> slow
qmp vm migrate-set-parameters '{"max-bandwidth":4096}'
qmp vm migrate '{"uri":"exec:cat > slow"}'
within 10 test "$(qmp vm query-migrate '' status)" = active
refused 1 'migration is under way' --qmp vm.qmp
qmp vm migrate_cancel
exec 8>&-

# An existing file, before anything else happens.
echo mine > mine.stasis
expect 2 "$STASIS" save --qmp vm.qmp mine.stasis 2> said
grep -q -- --force said || fail "said: $(cat said)"
[ "$(cat mine.stasis)" = mine ] || fail "the file was touched"

# Two saves of one VM exclude each other, and who has the monitor is told, with
# what to do.
qmp vm migrate-set-parameters '{"max-bandwidth":134217728}'
mkfifo stalled
"$STASIS" save --qmp vm.qmp - > stalled 2> first &
first=$!
started+=($first)
exec 7< stalled
claimed() { grep -q "@stasis-save-$pid-" /proc/net/unix; }
within 10 claimed || fail "the first save claims nothing"
expect 1 "$STASIS" save --qmp second.qmp never.stasis 2> said
grep -q 'another save of this VM' said || fail "said: $(cat said)"
expect 1 timeout 20 "$STASIS" save --qmp vm.qmp never.stasis 2> said
grep -q "and process $first (stasis) holds it" said || fail "said: $(cat said)"
grep -q -- '-qmp unix:' said || fail "no remedy: $(cat said)"
cat <&7 > through.stasis
exec 7<&-
wait "$first" || fail "the first save failed: $(cat first)"
try "check" "$STASIS" verify through.stasis
try "a save through the other monitor" "$STASIS" save --qmp second.qmp well.stasis
is_state vm running || fail "the VM is $(run_state vm)"
