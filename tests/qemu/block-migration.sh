# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# QEMU's own block migration (up to 9.0): disks that come in the stream, whole
# and what the overlay alone holds, become chunks of the snapshot, and images
# again where a QEMU that has it loads them.  Later ones are refused by name.
. "$SOURCE/tests/lib.sh" || exit 1

has_block() {
        qmp "$1" query-migrate-capabilities | grep -q '"block"'
}

migrated() {
        case $(qmp vm query-migrate "" status) in
        completed) return 0 ;;
        failed) fail "QEMU: migration failed: $(qmp vm query-migrate)" ;;
        *) return 1 ;;
        esac
}

# write IMAGE FORMAT COMMAND...: qemu-io's.
write() {
        local image=$1 format=$2 c commands=()
        shift 2
        for c; do commands+=(-c "$c"); done
        try qemu-io qemu-io -f "$format" "${commands[@]}" "$image" > io.log
        ! grep -q fail io.log || fail "qemu-io: $(cat io.log)"
}

# images: whole.img, and holes.qcow2 on a base: it has something at 3 to 5 and at
# 40 MiB.  QEMU loads disks of whole MiB only.
images() {
        rm -f ./*.img ./*.qcow2
        truncate -s 21M whole.img
        write whole.img raw 'write -P 0x11 0 1M' 'write -P 0x12 5000K 3000K' \
                'write -P 0x13 20480K 512K'
        truncate -s 48M base.img
        write base.img raw 'write -P 0x21 0 48M'
        qemu-img create -q -f qcow2 -b base.img -F raw holes.qcow2
        write holes.qcow2 qcow2 'write -P 0x31 3M 1M' \
                'write -P 0x32 4128K 64K' 'write -z 40M 1M'
}

# machine WHOLE HOLES
machine() {
        drives=(-M pc -m 32 -S
                -drive "file=$1,format=raw,if=none,id=whole"
                -device virtio-blk-pci,drive=whole,id=one
                -drive "file=$2,format=qcow2,if=none,id=holes"
                -device virtio-blk-pci,drive=holes,id=two)
}

# record FILE MODE: block migration through a pipe into a snapshot, while the
# disks are written to: the last content counts.
record() {
        rm -f vm.err
        machine whole.img holes.qcow2
        start vm "${drives[@]}"
        has_block vm || return
        # Fast, and not unlimited: then 7.2 never gets to the end.
        qmp vm migrate-set-parameters '{"max-bandwidth":4000000}' > /dev/null
        try migrate qmp vm migrate "{\"uri\":\"exec:$STASIS import - $PWD/$1\",
                \"$2\":true}" > /dev/null
        sleep 1
        qmp vm hmp 'qemu-io whole "write -P 0x14 100k 200k"'
        qmp vm hmp 'qemu-io holes "write -P 0x34 5000k 64k"'
        [ "$(grep -c ^wrote vm.err)" = 2 ] || fail "qemu-io wrote nothing"
        # With more in one downtime than 1 MiB, 7.2 may end before it has sent
        # everything (spec/migration-stream.md).
        qmp vm migrate-set-parameters \
                '{"max-bandwidth":500000000,"downtime-limit":1}' > /dev/null
        within 60 migrated || fail "no end of the migration"
        stop "$pid"
        within 30 test -e "$1" || fail "no $1"
        try verify "$STASIS" verify "$1"
}

# unpacked FILE DISK: its chunks, each at its place, in DISK.img.
unpacked() {
        local member
        rm -rf disk
        tar -xf "$1" --wildcards "disk/$2/*"
        rm -f "got.img"
        for member in "disk/$2"/*.zst; do
                zstd -qdc "$member" | dd of=got.img bs=1M conv=notrunc \
                        seek=$((16#$(basename "$member" .zst) / 1048576)) \
                        status=none || fail "$member"
        done
        truncate -s "$(stat -c %s "$3")" got.img
}

# chunks FILE DISK: their addresses, in MiB.
chunks() {
        tar -tf "$1" | sed -n "s,^disk/$2/\([0-9a-f]*\).zst$,\1,p" |
                while read -r hex; do echo $((16#$hex / 1048576)); done | xargs
}

# told FILE KEY: of all disks, in state.json.
told() {
        tar -xOf "$1" stasis/state.json |
                sed -n "s/^ *\"$2\": \"*\([^\",]*\)\"*,*$/\1/p" | xargs
}

flat() {
        qemu-img convert -f "$2" -O raw "$1" flat.img
}

# played FILE: into a QEMU with fresh images; they are as those at the cut.
played() {
        # Something else is in the one that comes whole.
        truncate -s 21M new.img
        write new.img raw 'write -P 0x99 0 21M'
        rm -f new.qcow2
        qemu-img create -q -f qcow2 -b base.img -F raw new.qcow2
        machine new.img new.qcow2
        expected_state=prelaunch resume vm "$1" -- "${drives[@]}"
        qmp vm quit > /dev/null
        within 10 gone "$pid" || fail "QEMU did not end"
        qemu-img compare -q -f raw -F raw whole.img new.img ||
                fail "$1: the whole disk is not as it was"
        qemu-img compare -q -f qcow2 -F qcow2 holes.qcow2 new.qcow2 ||
                fail "$1: the overlay is not as it was"
        qemu-img check -q new.qcow2 || fail "new.qcow2 is not clean"
}

# same_again FILE: what restore writes of it is, as a snapshot, the same file.
same_again() {
        SOURCE_DATE_EPOCH=0 STASIS_ID=00000000-0000-4000-8000-000000000000
        export SOURCE_DATE_EPOCH STASIS_ID
        try emit "$STASIS" restore --to - "$1" > again.stream
        try import "$STASIS" import --force again.stream first.stasis
        try emit "$STASIS" restore --to - - < first.stasis > again.stream
        try import "$STASIS" import --force again.stream second.stasis
        unset SOURCE_DATE_EPOCH STASIS_ID
        cmp first.stasis second.stasis || fail "$1: another file again"
        [ "$(chunks "$1" whole)" = "$(chunks second.stasis whole)" ] ||
                fail "$1: other chunks again"
}

# spliced FILE: a recorded stream of this QEMU with a section `block` as an
# older one writes it: 1 MiB of the disk `whole`.
spliced() {
        local at
        machine whole.img holes.qcow2
        start vm "${drives[@]}"
        qmp vm migrate-set-parameters '{"max-bandwidth":0}' > /dev/null
        try migrate qmp vm migrate "{\"uri\":\"exec:cat > $PWD/plain.stream\"}" \
                > /dev/null
        within 60 migrated || fail "no end of the migration"
        stop "$pid"
        at=$(grep -obUaP '\x01\x00\x00\x00.\x03ram' plain.stream | head -n 1 |
                cut -d : -f 1)
        {
                head -c "$at" plain.stream
                printf '\1\0\0\0\377\5block\0\0\0\0\0\0\0\1'
                printf '\0\0\0\0\0\0\0\2\176\0\0\0\377'
                printf '\2\0\0\0\377\0\0\0\0\0\0\0\1\5whole'
                head -c 1M whole.img
                printf '\0\0\0\0\0\0\0\2\176\0\0\0\377'
                printf '\3\0\0\0\377\0\0\0\0\0\0\0\2\176\0\0\0\377'
                tail -c "+$((at + 1))" plain.stream
        } > spliced.stream
        try import "$STASIS" import spliced.stream "$1"
}

# refused FILE: by name, and from a pipe too.
refused() {
        machine whole.img holes.qcow2
        emulator vm
        expect 4 "$STASIS" restore "$1" -- "${vm[@]}" "${drives[@]}" \
                2> refused.err < /dev/null
        grep -q 'block migration.*--disk NAME=PATH.*whole' refused.err ||
                fail "refused: $(cat refused.err)"
        expect 4 "$STASIS" restore - -- "${vm[@]}" "${drives[@]}" \
                2> refused.err < <(cat "$1")
        grep -q 'block migration.*--disk NAME=PATH' refused.err ||
                fail "refused, from a pipe: $(cat refused.err)"
}

# remade FILE DISK-OPTION...: with disks that restore makes, in any QEMU.
remade() {
        local file=$1
        shift
        rm -f new.img new.qcow2
        qemu-img create -q -f qcow2 -b base.img -F raw new.qcow2
        machine new.img new.qcow2
        expected_state=prelaunch resume vm "$file" "$@" -- "${drives[@]}"
        qmp vm quit > /dev/null
        within 10 gone "$pid" || fail "QEMU did not end"
}

images
if record full.stasis blk; then
        say "all of the disks"
        [ "$(told full.stasis stored)" = "full full" ] ||
                fail "stored: $(told full.stasis stored)"
        [ "$(told full.stasis name)" = "whole holes" ] || fail "names"
        [ "$(chunks full.stasis whole)" = "0 4 5 6 7 20" ] ||
                fail "chunks: $(chunks full.stasis whole)"
        unpacked full.stasis whole whole.img
        cmp got.img whole.img || fail "chunks of whole"
        flat holes.qcow2 qcow2
        unpacked full.stasis holes flat.img
        cmp got.img flat.img || fail "chunks of holes"
        played full.stasis
        same_again full.stasis
        emulator vm
        expect 2 "$STASIS" restore --disk whole=one.img full.stasis -- \
                "${vm[@]}" "${drives[@]}" 2> refused.err < /dev/null
        grep -q 'disk holes=PATH is missing' refused.err || fail refused.err
        [ ! -e one.img ] || fail "one.img is left"

        say "what is in the overlays"
        images
        record inc.stasis inc
        [ "$(chunks inc.stasis holes)" = "3 4" ] ||
                fail "chunks: $(chunks inc.stasis holes)"
        [ "$(tar -xOf inc.stasis disk/holes/zeros)" = \
                "0000000002800000 0000000000100000" ] || fail "zeros"
        [ "$(told inc.stasis virtual_size)" = "22020096 42991616" ] ||
                fail "sizes: $(told inc.stasis virtual_size)"
        flat holes.qcow2 qcow2
        unpacked inc.stasis holes flat.img
        for at in 3 4; do
                cmp -n 1048576 -i $((at << 20)) got.img flat.img ||
                        fail "chunk of holes at $at MiB"
        done
        played inc.stasis
        same_again inc.stasis
else
        stop "$pid"
        say "this QEMU has no block migration: it refuses disks that came so"
        spliced whole.stasis
        refused whole.stasis
        say "and takes them from images that restore makes"
        remade whole.stasis --disk whole=new.img
        cmp -n 1048576 new.img whole.img || fail "new.img is not as it was"
fi
