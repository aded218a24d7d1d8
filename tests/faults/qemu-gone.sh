# SPDX-License-Identifier: LGPL-2.1-or-later
#
# QEMU dies while it is being saved: the save says so at once, and leaves no
# file and an older one as it was.
. "$SOURCE/tests/faults/common.sh"

rounds=${LONG:+40}
for round in $(seq "${rounds:-8}"); do
        start vm -M pc -m 256 -device floppy,drive=d \
                -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        mkdir -p out
        echo older > out/older.stasis
        # A stalled reader keeps QEMU in the middle of its stream.
        mkfifo stalled
        "$STASIS" save --qmp vm.qmp - > stalled 2> said &
        saver=$!
        started+=($saver)
        exec 7< stalled
        timeout 20 head -c $((round * 2000)) <&7 > /dev/null
        stop "$pid"
        timeout 20 cat <&7 > /dev/null || fail "the save does not end"
        wait "$saver"
        [ $? = 1 ] || fail "round $round: not status 1"
        grep -q 'QEMU' said || fail "round $round: $(cat said)"
        exec 7<&-
        rm stalled vm.qmp

        # The same with a file, at a random moment.
        start vm -M pc -m 256 -device floppy,drive=d \
                -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        "$STASIS" save --qmp vm.qmp --force out/older.stasis 2> said &
        saver=$!
        started+=($saver)
        sleep "0.$(printf %03d $((RANDOM % 150)))"
        stop "$pid"
        if wait "$saver"; then
                # It was faster than we.
                try "check" "$STASIS" verify out/older.stasis > /dev/null
        else
                [ "$(cat out/older.stasis)" = older ] ||
                        fail "round $round: the older file is gone"
        fi
        [ "$(ls -A out)" = older.stasis ] || fail "left behind: $(ls -A out)"
        rm vm.qmp
done
