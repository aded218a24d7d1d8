# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
#
# Machine types whose stream says less: up to 2.3 neither their name nor where
# sections end, up to 2.2 no vmdesc.  Saved, verified, checked, restored.
. "$SOURCE/tests/lib.sh" || exit 1

know() {
        "$QEMU" -machine help 2> /dev/null | grep -q "^$1 "
}

done=0
for type in pc-i440fx-2.1 pc-i440fx-2.2 pc-i440fx-2.3; do
        know $type || continue
        done=$((done + 1))
        say "$type"
        machine=(-M $type -m 64 -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
                -device floppy,drive=d)
        start a "${machine[@]}"
        wait_for a.serial '\.\.' 60
        try "save $type" timeout 30 "$STASIS" save --qmp a.qmp --quit \
                $type.stasis 2> err
        within 10 gone "$pid" || fail "QEMU did not end"
        try "verify $type" "$STASIS" verify --strict $type.stasis > out
        emulator a
        try "check $type" "$STASIS" check $type.stasis -- "${vm[@]}" \
                "${machine[@]}" > out
        grep -q 'loads there' out || fail "check $type: $(cat out)"
        rm -f a.serial
        try "restore $type" "$STASIS" restore --detach $type.stasis -- \
                "${vm[@]}" "${machine[@]}" < /dev/null 2> err
        wait_for a.serial '\.\.' 60
        ! grep -q BAD a.serial || fail "$type: memory is not as it was"
        pid=$(cat a.pid)
        stop "$pid"
        rm -f a.serial
done
[ $done -gt 0 ] || skip "$QEMU knows no such old type"
