# SPDX-License-Identifier: LGPL-2.1-or-later
#
# RAM in a snapshot is one consistent cut, and what is restored is that RAM: a
# guest that counts in every page is saved while it runs, again and again.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1

machine=(-M pc -m 64 -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        -device floppy,drive=d)

start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60

previous=0
rounds=${LONG:+30}
for round in $(seq "${rounds:-5}"); do
        try "save" "$STASIS" save --qmp vm.qmp --force vm.stasis
        is_state vm running || fail "the guest does not run on"
        recover vm.stasis
        now=$("$TOOLS/pages" recovered/ram/pc.ram) ||
                fail "round $round: RAM is not of one moment"
        say "round $round: $now"
        [ "${now% *}" -ge "$previous" ] || fail "the guest went back"
        previous=${now% *}
done
stop "$pid"

# The restored VM, before it runs, has exactly this RAM.
expected_state=paused
resume again vm.stasis --paused -- "${machine[@]}"
qmp again pmemsave "{\"val\":0,\"size\":67108864,\"filename\":\"$PWD/dump\"}" > /dev/null
restored=$("$TOOLS/pages" dump) || fail "restored RAM is not of one moment"
[ "$restored" = "$now" ] || fail "restored $restored, saved $now"
cmp -i 1048576 dump recovered/ram/pc.ram || fail "restored RAM differs"

# And it counts on.
qmp again cont > /dev/null
sleep 1
qmp again stop > /dev/null
qmp again pmemsave "{\"val\":0,\"size\":67108864,\"filename\":\"$PWD/dump\"}" > /dev/null
later=$("$TOOLS/pages" dump) || fail "the guest damaged its pages"
[ "$later" != "$now" ] || fail "the guest does not run"
