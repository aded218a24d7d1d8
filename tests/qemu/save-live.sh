# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A guest that writes to every page is saved while it runs on: RAM is one cut,
# the pause is QEMU's own, the file is little larger than that of a paused VM,
# limits are kept, and what cannot be is said before anything is touched.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1

rounds=${LONG:+10}
rounds=${rounds:-4}
machine=(-M pc -m 64 -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        -device floppy,drive=d)

# save_live ARG...: report and said are its answers.
save_live() {
        timeout 60 "$STASIS" save --qmp vm.qmp --force --json "$@" \
                > report 2> said || fail "save $*: $(cat said)"
        is_state vm running || fail "$*: the VM is $(run_state vm)"
}

# field NAME: of the report.
field() {
        sed -n "s/^ *\"$1\": \"*\([^\",]*\)\"*,*\$/\1/p" report
}

# least NUMBER...: what a pause is when the machine does nothing else.
least() {
        printf '%s\n' "$@" | sort -g | head -n 1
}

# at_most A B: A <= B, numbers with a point.
at_most() {
        awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }'
}

# own_precopy: sets downtime, seconds: what QEMU itself needs for a precopy of
# this guest to nowhere.
own_precopy() {
        qmp vm migrate-set-parameters '{"max-bandwidth":0}' > /dev/null
        qmp vm migrate '{"uri":"exec:cat > /dev/null"}' > /dev/null ||
                fail "no migration"
        within 30 ended || fail "QEMU's own migration does not end"
        downtime=$(qmp vm query-migrate | grep -o '"downtime":[0-9]*')
        downtime=$(awk -v n="${downtime#*:}" 'BEGIN { print n / 1000 }')
        qmp vm cont > /dev/null
        sleep 0.5
}

ended() {
        qmp vm query-migrate | grep -q '"status":"completed"'
}

# one_cut FILE
one_cut() {
        recover "$1"
        "$TOOLS/pages" recovered/ram/pc.ram > /dev/null ||
                fail "$2: RAM is not of one moment"
}

precopy() {
        local pauses=() own=() round
        say "precopy"
        for round in $(seq "$rounds"); do
                save_live --live=precopy vm.stasis
                [ "$(field mode)" = precopy ] || fail "$(cat report)"
                [ "$(grep -c '"pages":' report)" -ge 2 ] || fail "$(cat report)"
                grep -q 'saved live, precopy, .*stood still' said ||
                        fail "said: $(cat said)"
                pauses+=("$(field stopped_seconds)")
                one_cut vm.stasis precopy
                own_precopy
                own+=("$downtime")
        done
        try verify "$STASIS" verify vm.stasis
        say "  stood still: ${pauses[*]}; QEMU's own downtime: ${own[*]}"
        at_most "$(least "${pauses[@]}")" \
                "$(awk -v n="$(least "${own[@]}")" 'BEGIN { print 1.5 * n }')" ||
                fail "the pause is longer than 1.5 times QEMU's own"
}

# small MODE PERCENT: a live file is at most so large, a paused VM's being 100.
small() {
        local size
        # What a counter that wraps compresses to differs; raw sizes do not.
        save_live --live="$1" --compress none vm.stasis
        size=$(stat -c %s vm.stasis)
        say "  $size bytes, of a VM that stands still $paused"
        [ "$size" -le $((paused * $2 / 100)) ] || fail "$1: $size bytes"
        try verify "$STASIS" verify vm.stasis
}

precopy_into_a_pipe() {
        say "precopy into a pipe: each chunk once"
        timeout 60 "$STASIS" save --qmp vm.qmp --live=precopy - \
                > pipe.stasis 2> said || fail "pipe: $(cat said)"
        one_cut pipe.stasis pipe
        [ "$(tar tf pipe.stasis | sort | uniq -d)" = "" ] ||
                fail "chunks come twice"
}

limits() {
        local before
        say "limits"
        save_live --live=precopy --max-passes 1 --max-downtime 1 vm.stasis
        [ "$(field max_passes_reached)" = true ] || fail "$(cat report)"
        grep -q 'stopped for the rest' said || fail "not told: $(cat said)"
        qmp vm query-migrate-parameters | grep -q '"downtime-limit":300' ||
                fail "downtime-limit was not put back"
        before=$(date +%s%N)
        save_live --live=precopy --max-passes 1 --bandwidth 32M vm.stasis
        [ $(($(date +%s%N) - before)) -gt 1500000000 ] ||
                fail "faster than 32 MiB/s"
}

sent_again() {
        local pages
        say "what was sent again"
        save_live --live --dirty-log dirty.csv vm.stasis
        grep -q 'the guest writes to' said || fail "said: $(cat said)"
        grep -q 'Gbit/s a migration would' said || fail "said: $(cat said)"
        pages=$(sed -n 's/^ *"pages": \([0-9]*\),$/\1/p' report |
                tail -n +2 | paste -sd+)
        [ "$(awk -F, 'NR > 1 { n += $4 } END { print n + 0 }' dirty.csv)" = \
                $((pages)) ] || fail "$(cat dirty.csv) is not $pages"
        grep -q '^2,"pc.ram",0x1[0-9a-f]*,[1-9][0-9]*$' dirty.csv ||
                fail "$(cat dirty.csv)"
}

start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
known=yes sound=yes
# QEMU's background-snapshot is there since 6.0, and survives us since 10.0.
[ "$(qmp vm query-version "" qemu.major)" -ge 10 ] || known=
# QEMU's precopy loses writes under TCG before 9.0.
[ "$ACCEL" != tcg ] || [ "$(qmp vm query-version "" qemu.major)" -ge 9 ] || sound=

say "the file of a VM that stands still, for comparison"
qmp vm stop > /dev/null
"$STASIS" save --qmp vm.qmp --compress none paused.stasis 2> said || fail "$(cat said)"
qmp vm cont > /dev/null
paused=$(stat -c %s paused.stasis)

if [ "$sound" ]; then
        precopy
        small precopy 125
        precopy_into_a_pipe
        limits
        sent_again
else
        say "precopy is refused by name"
        expect 4 "$STASIS" save --qmp vm.qmp --live=precopy x.stasis 2> said
        grep -q 'no precopy: under TCG, QEMU .* loses' said || fail "$(cat said)"
        [ ! -e x.stasis ] || fail "it left a file"
fi

say "what does not go together"
for wrong in "--max-passes 2" "--live=background-snapshot --dirty-log x" \
        "--live --quit" "--live=precopy --bandwidth 12x" "--bandwidth 1M"; do
        expect 2 "$STASIS" save --qmp vm.qmp $wrong x.stasis 2> said
        [ ! -e x.stasis ] || fail "$wrong left a file"
done

if [ ! "$known" ]; then
        say "a QEMU whose background-snapshot will not do, and that is said"
        save_live --live vm.stasis
        one_cut vm.stasis "without background-snapshot"
        grep -Eq 'precopy instead: QEMU .* (has no background-snapshot|freezes)' said ||
                fail "said: $(cat said)"
        expect 4 "$STASIS" save --qmp vm.qmp --live=background-snapshot \
                x.stasis 2> said
        exit 0
fi

say "background-snapshot into a pipe that nobody reads for a while"
mkfifo slow
timeout 60 "$STASIS" save --qmp vm.qmp --live=background-snapshot \
        --compress none - > slow 2> said &
saver=$!
started+=($saver)
exec 7< slow
sleep 1
was=$(stat -c %s vm.serial)
counts() { [ "$(stat -c %s vm.serial)" -gt $((was + 3)) ]; }
within 10 counts || fail "the guest waits for the reader"
cat <&7 > piped.stasis
exec 7<&-
wait $saver || fail "into a pipe: $(cat said)"
one_cut piped.stasis "background-snapshot into a pipe"

say "background-snapshot"
for round in $(seq "$rounds"); do
        save_live --live vm.stasis
        [ "$(field mode)" = background-snapshot ] || fail "$(cat said)"
        say "  stood still: $(field stopped_seconds)," \
                "QEMU's downtime: $(field qemu_downtime_seconds)"
        # QEMU counts whole milliseconds.
        at_most "$(field stopped_seconds)" "$(awk -v n="$(field \
                qemu_downtime_seconds)" 'BEGIN { print 1.5 * n + 0.002 }')" ||
                fail "the pause is longer than 1.5 times QEMU's"
        one_cut vm.stasis background-snapshot
done
try verify "$STASIS" verify vm.stasis
now=$("$TOOLS/pages" recovered/ram/pc.ram)
mv vm.stasis kept.stasis
small background-snapshot 105
stop "$pid"
expected_state=paused resume again kept.stasis --paused -- "${machine[@]}"
qmp again pmemsave "{\"val\":0,\"size\":67108864,\"filename\":\"$PWD/dump\"}" > /dev/null
[ "$("$TOOLS/pages" dump)" = "$now" ] || fail "another RAM was restored"
stop "$pid"

say "shared memory: precopy instead, or nothing"
start vm "${machine[@]:0:2}" -m 64 "${machine[@]:4}" \
        -object memory-backend-memfd,id=shared,size=64M,share=on \
        -machine memory-backend=shared
wait_for vm.serial '\.\.' 60
save_live --live vm.stasis
grep -q 'precopy instead: memory backend shared is shared' said || fail "$(cat said)"
expect 4 "$STASIS" save --qmp vm.qmp --live=background-snapshot x.stasis 2> said
[ ! -e x.stasis ] || fail "it left a file"
stop "$pid"

say "a VM that does not run is saved as ever"
start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
qmp vm stop > /dev/null
"$STASIS" save --qmp vm.qmp --live --force vm.stasis 2> said || fail "$(cat said)"
grep -q 'nothing to keep running' said || fail "$(cat said)"
