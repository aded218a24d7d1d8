# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A migration that fails inside QEMU at its last step, its stream left open:
# an image that somebody else may write cannot be handed over.
. "$SOURCE/tests/lib.sh"

truncate -s 4M disk.img
start vm -M pc -m 64 -drive file=disk.img,format=raw,if=none,id=d,node-name=node \
        -device virtio-blk-pci,drive=d,share-rw=on
qmp vm nbd-server-start "{\"addr\":{\"type\":\"unix\",\"data\":{\"path\":\"$PWD/nbd\"}}}"
qmp vm block-export-add \
        '{"type":"nbd","id":"e","node-name":"node","writable":true}'
expect 1 timeout 60 "$STASIS" save --qmp vm.qmp vm.stasis 2> said
grep -q "QEMU.*migration" said || fail "said: $(cat said)"
[ ! -e vm.stasis ] || fail "a file"
within 1 is_state vm running || fail "the VM is $(run_state vm)"
qmp vm block-export-del '{"id":"e","mode":"hard"}'
qmp vm nbd-server-stop
no_exports() { [ "$(qmp vm query-block-exports)" = '[]' ]; }
within 5 no_exports || fail "the export stays"
try "a save without it" "$STASIS" save --qmp vm.qmp vm.stasis
try "check" "$STASIS" verify vm.stasis
