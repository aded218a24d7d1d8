# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 400
#
# Streams that QEMU itself recorded, of a guest that counts in every page: as
# plain files, from a running VM through `exec:stasis import`, with pages that
# come again, as XBZRLE deltas, compressed, out of order, with dirty bitmaps
# and with RAM that never comes.  Each becomes a snapshot whose RAM is of one
# moment, and which gives the same stream again.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1

export SOURCE_DATE_EPOCH=1767225600
export STASIS_ID=00000000-0000-4000-8000-000000000000
floppy=(-drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        -device floppy,drive=d)

set_capability() {
        qmp vm migrate-set-capabilities \
                '{"capabilities":[{"capability":"'"$1"'","state":true}]}' \
                > /dev/null 2>&1
}

migrated() {
        case $(qmp vm query-migrate "" status) in
        completed) return 0 ;;
        failed) fail "QEMU: migration failed: $(qmp vm query-migrate)" ;;
        *) return 1 ;;
        esac
}

# migrate URI [PARAMETERS]: unlimited bandwidth if PARAMETERS do not say else.
migrate() {
        qmp vm migrate-set-parameters "${2:-{\"max-bandwidth\":0\}}" > /dev/null
        try migrate qmp vm migrate "{\"uri\":\"$1\"}" > /dev/null
}

# same_again FILE: what restore writes of it is, as a snapshot, the same file.
same_again() {
        try emit "$STASIS" restore --to - "$1" > again.stream
        try "import again" "$STASIS" import --force again.stream again.stasis
        cmp "$1" again.stasis || fail "$1: another file from its own stream"
}

consistent() {
        try "verify $1" "$STASIS" verify "$1"
        recover "$1"
        "$TOOLS/pages" recovered/ram/pc.ram || fail "$1: RAM is not of one moment"
}

begin() {
        rm -f vm.serial
        start vm -M pc -m 64 "${floppy[@]}" "$@"
        wait_for vm.serial '\.\.' 60
}

say "a recorded stream"
begin
qmp vm stop > /dev/null
migrate "exec:cat > $PWD/plain.stream"
within 60 migrated || fail "no end of the migration"
stop "$pid"
try import "$STASIS" import plain.stream plain.stasis
consistent plain.stasis
same_again plain.stasis
tar -xOf plain.stasis stasis/vmdesc.json > vmdesc
tail -c "$(stat -c %s vmdesc)" plain.stream | cmp - vmdesc || fail "vmdesc"
# Behind RAM every byte is as it was recorded: devices, EOF, vmdesc.
tail=$(("$(tar -xOf plain.stasis stasis/state.json |
        sed -n 's/^ *"bytes": \([0-9]*\).*/\1 +/p' | tr '\n' ' ') 1 + 5 + \
        $(stat -c %s vmdesc)"))
[ "$tail" -gt 100000 ] || fail "device state of $tail bytes"
cmp <(tail -c "$tail" plain.stream) <(tail -c "$tail" again.stream) ||
        fail "device state differs"
"$STASIS" import - - < plain.stream > piped.stasis || fail "import - -"
cmp plain.stasis piped.stasis || fail "a pipe gives another file"
echo trailing >> plain.stream
try "import, trailing" "$STASIS" import --force plain.stream plain.stasis
cmp plain.stasis piped.stasis || fail "trailing bytes got into the file"
head -c 1000000 plain.stream > cut.stream
expect 3 "$STASIS" import cut.stream cut.stasis
[ ! -e cut.stasis ] || fail "a cut stream left a file"

say "a running VM, through exec:"
begin
migrate "exec:$STASIS import - $PWD/exec.stasis"
within 60 migrated || fail "no end of the migration"
stop "$pid"
within 30 test -e exec.stasis || fail "no file"
consistent exec.stasis
same_again exec.stasis

# slow CAPABILITY: passes over RAM until it is stopped.
slow() {
        begin
        if ! set_capability "$1"; then
                say "$1: unknown to this QEMU"
                stop "$pid"
                return
        fi
        say "a running VM, with $1"
        migrate "exec:$STASIS import - $PWD/$1.stasis" \
                '{"max-bandwidth":40000000,"downtime-limit":1}'
        sleep 3
        qmp vm stop > /dev/null
        qmp vm migrate-set-parameters '{"max-bandwidth":0}' > /dev/null
        within 60 migrated || fail "no end of the migration"
        stop "$pid"
        within 30 test -e "$1.stasis" || fail "no file"
        consistent "$1.stasis"
        same_again "$1.stasis"
}

slow xbzrle
slow compress

begin
if set_capability background-snapshot; then
        say "a background snapshot"
        migrate "exec:$STASIS import - $PWD/background.stasis"
        within 60 migrated || fail "no end of the migration"
        within 30 test -e background.stasis || fail "no file"
        consistent background.stasis
        same_again background.stasis
else
        say "background-snapshot: unknown to this QEMU, or not allowed"
fi
stop "$pid"

say "virtio-mem, and dirty bitmaps"
truncate -s 16M disk
start vm -M pc -m 64,maxmem=1G -S -drive file=disk,format=raw,if=virtio,id=v \
        -object memory-backend-ram,id=hot,size=256M \
        -device virtio-mem-pci,memdev=hot,requested-size=64M
node=$(qmp vm query-block | sed -n 's/.*"node-name": *"\(#block[0-9]*\)".*/\1/p' |
        head -n 1)
qmp vm block-dirty-bitmap-add \
        "{\"node\":\"${node:-v}\",\"name\":\"b\"}" > /dev/null
set_capability dirty-bitmaps || fail "dirty-bitmaps"
migrate "exec:cat > $PWD/mem.stream"
within 60 migrated || fail "no end of the migration"
stop "$pid"
try import "$STASIS" import mem.stream mem.stasis
try verify "$STASIS" verify mem.stasis
same_again mem.stasis
tar -xOf mem.stasis stasis/state.json | grep -q '"reason": "virtio-mem"' ||
        fail "absent RAM is not explained"
