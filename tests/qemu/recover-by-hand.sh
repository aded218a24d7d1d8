# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The specification's chapter on recovery is true: with tar, zstd and dd the RAM
# of a VM comes out of its snapshot as QEMU's own pmemsave writes it.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1

linux cloud
start vm -M pc -m 192 "${guest[@]}"
wait_for vm.serial '^tick 5$' 180
for compress in zstd none; do
        say "with --compress $compress"
        # While nothing runs, QEMU's own word and the snapshot are of one moment.
        qmp vm stop > /dev/null
        qmp vm pmemsave "{\"val\":0,\"size\":201326592,\"filename\":\"$PWD/truth\"}" \
                > /dev/null
        try save "$STASIS" save --qmp vm.qmp --force --compress $compress vm.stasis
        recover vm.stasis
        # Below 1 MiB firmware and video memory lie over RAM.
        cmp -n 655360 truth recovered/ram/pc.ram || fail "low memory differs"
        cmp -i 1048576 truth recovered/ram/pc.ram || fail "memory differs"

        # Joined, the items are a stream: header first, end last.
        cat recovered/stream/* > joined
        [ "$(head -c 4 joined)" = QEVM ] || fail "no header"
        ls recovered/stream | tail -n 1 | grep -q 'eof$' || fail "no end"

        follow vm.stasis "Without tar" > report || fail "without tar"
        [ ! -s report ] || fail "$(cat report)"
        name=$(grep -o 'ram/[^/]*/0000000000000000' index | head -n 1)
        cmp chunk.raw <(head -c "$(stat -c %s chunk.raw)" \
                "recovered/${name%/*}") || fail "the chunk found without tar"
        follow vm.stasis Check > report || fail "checking by hand"
        [ ! -s report ] || fail "$(cat report)"

        # A byte changed in a chunk: checking by hand finds it.
        cp vm.stasis damaged
        printf 'X' | dd of=damaged bs=1 conv=notrunc status=none \
                seek=$(($(stat -c %s damaged) / 2))
        follow damaged Check > report
        grep -q damaged report || fail "damage was not found by hand"
        rm -f vm.stasis damaged
        qmp vm cont > /dev/null
done
