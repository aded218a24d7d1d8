# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 600
#
# save --multifd: pages that QEMU sends over several connections, plain or
# compressed, at once or while the guest writes, become the same snapshot.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1

machine=(-M pc -m 64 -device floppy,drive=d
        -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d")

settings() {
        qmp vm query-migrate-capabilities | tr '}' '\n' | grep '"state":true'
        qmp vm query-migrate-parameters | tr ',{}' '\n' | grep multifd | sort
}

start vm "${machine[@]}"
vm=$pid
wait_for vm.serial '\.\.' 60
settings > before

# Some are built without zstd.
plain=("1" "2" "4" "16")
if qmp vm migrate-set-parameters '{"multifd-compression":"zstd"}' > /dev/null 2>&1; then
        zstd=("3:zstd")
        compressed=3:zstd
        qmp vm migrate-set-parameters '{"multifd-compression":"none"}' > /dev/null
else
        zstd=()
        compressed=3
        qmp vm stop > /dev/null
        expect 1 "$STASIS" save --qmp vm.qmp --multifd 2:zstd no.stasis 2> err
        qmp vm cont > /dev/null
        grep -q "zstd" err || fail "not told: $(cat err)"
        is_state vm running || fail "the VM is $(run_state vm)"
        settings | diff before - || fail "the settings are not as they were"
fi

# Nor can every one be saved while its guest runs: then it is stopped before.
live=() halted=
if "$STASIS" save --qmp vm.qmp --multifd 2 vm.stasis 2> err; then
        live=("4 --live=precopy" "2${zstd[0]:+:zstd} --live=precopy")
else
        grep -q 'no --multifd: under TCG' err || fail "--multifd: $(cat err)"
        is_state vm running || fail "the VM is $(run_state vm)"
        say "(only of a stopped guest, with this QEMU)"
        halted=1
fi
[ -z "${LONG:-}" ] || plain+=(4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4)

# saved NAME OPTION...: saves it, and it goes on.
saved() {
        local name=$1 rc
        shift
        [ -z "$halted" ] || qmp "$name" stop > /dev/null
        timeout 100 "$STASIS" save --qmp "$name.qmp" --force "$@" 2> err < /dev/null
        rc=$?
        [ -z "$halted" ] || qmp "$name" cont > /dev/null
        return $rc
}

previous=0
for how in "${plain[@]}" ${zstd[@]+"${zstd[@]}"} ${live[@]+"${live[@]}"}; do
        # shellcheck disable=SC2086 # a word and perhaps an option
        try "save --multifd $how" saved vm --json --multifd $how vm.stasis > report
        is_state vm running || fail "$how: the VM is $(run_state vm)"
        recover vm.stasis
        now=$("$TOOLS/pages" recovered/ram/pc.ram) ||
                fail "$how: RAM is not of one moment"
        again=$(sed -n 's/.*"pages_again": \([0-9]*\).*/\1/p' report)
        say "$how: $now, $again pages came again"
        [ "${now% *}" -ge "$previous" ] || fail "the guest went back"
        previous=${now% *}
        case $how in
        *precopy*) [ "$again" -gt 1000 ] || fail "none came again: $(cat report)" ;;
        esac
        settings | diff before - || fail "$how: the settings are not as they were"
        [ -z "$(ls -A | grep '^\.stasis')" ] || fail "a socket is left: $(ls -A)"
done

say "what was saved is what is restored"
expected_state=paused resume again vm.stasis --paused -- "${machine[@]}"
qmp again pmemsave "{\"val\":0,\"size\":67108864,\"filename\":\"$PWD/dump\"}" > /dev/null
cmp -i 1048576 dump recovered/ram/pc.ram || fail "restored RAM differs"
stop "$pid"

say "to a pipe, and killed"
saved vm --multifd 2 - > piped.stasis || fail "pipe: $(cat err)"
try verify "$STASIS" verify piped.stasis
if [ -z "$halted" ]; then
        mkfifo stalled
        "$STASIS" save --qmp vm.qmp --multifd 2 --compress none - > stalled 2> err &
        saver=$!
        started+=($saver)
        exec 7< stalled
        timeout 20 head -c 100000 <&7 > /dev/null || fail "the save does not begin"
        stop $saver
        exec 7<&-
        within 2 is_state vm running || fail "the VM is $(run_state vm) after kill -9"
        (ulimit -f 2000; trap '' XFSZ; exec "$STASIS" save --qmp vm.qmp \
                --multifd 2 --compress none small.stasis 2> err) &&
                fail "a full disk was not noticed"
        grep -q 'too large' err || fail "not told: $(cat err)"
        within 2 is_state vm running || fail "the VM is $(run_state vm) after a failure"
        [ ! -e small.stasis ] || fail "there is a file"
fi
[ -z "$halted" ] || qmp vm stop > /dev/null
"$STASIS" save --qmp vm.qmp --multifd 2 --quit quit.stasis 2> err || fail "--quit: $(cat err)"
within 10 gone $vm || fail "QEMU has not ended"
try verify "$STASIS" verify quit.stasis

say "a Linux guest"
linux cloud ram=32
start lin -M pc -m 128 "${guest[@]}"
wait_for lin.serial '^tick 3' 100
try save saved lin --multifd $compressed lin.stasis
goes_on lin 20 || fail "it does not go on"
[ -z "$halted" ] || qmp lin stop > /dev/null
try save "$STASIS" save --qmp lin.qmp --multifd 4 --quit --force lin.stasis 2> err
expected_state=${halted:+paused} resume lin lin.stasis -- -M pc -m 128 "${guest[@]}"
[ -z "$halted" ] || qmp lin cont > /dev/null
goes_on lin 20 || fail "it does not count on"
one_life lin.serial

say "what cannot be"
for bad in 0 256 x 2:zlib 2:qpl 2:qatzip 2:uadk; do
        expect 2 "$STASIS" save --qmp lin.qmp --multifd "$bad" no.stasis 2> err
        grep -q 'N or N:zstd' err || fail "$bad: $(cat err)"
done
expect 2 "$STASIS" save --qmp lin.qmp --multifd 2 --live no.stasis 2> err
grep -q 'background snapshot' err || fail "--live: $(cat err)"
expect 2 "$STASIS" save --qmp lin.qmp --multifd 2 --tee unix:x no.stasis 2> err
grep -q -- '--tee' err || fail "--tee: $(cat err)"
