#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The main job, for real: a Linux guest counts, is saved into a file, its QEMU
# is killed, and another QEMU goes on counting from that file.  (make demo)

cd "$(mktemp -d "${TMPDIR:-/tmp}/stasis-demo-XXXXXX")" || exit 1
. "$SOURCE/tests/lib.sh" || exit 1
here=$PWD
trap 'end_all; cd /; rm -rf "$here"' EXIT

# Shows a command as one would type it, then runs it.
run() {
        echo
        echo "\$ stasis $*"
        "$STASIS" "$@"
}

show_console() {
        grep -aE '^(tick|ready)' vm.serial | tail -n "$1" | sed 's/^/    /'
}

machine=(-M pc -m 256 -device virtio-rng-pci)
linux cloud rng

echo "A Linux guest boots under $QEMU ($ACCEL) and counts:"
start vm "${machine[@]}" "${guest[@]}"
wait_for vm.serial '^tick 30$' 180
grep -a '^ready' vm.serial | sed 's/^/    /'
show_console 3

run save --qmp vm.qmp --quit guest.stasis || fail "save"
within 10 gone "$pid" || fail "QEMU is still there"
saved=$(last_tick vm.serial)
echo "The file is $(du -h guest.stasis | cut -f 1); QEMU is gone;" \
     "the last that the guest said:"
show_console 1
wait "$pid" 2>/dev/null
started=()

run info guest.stasis || fail "info"
run verify guest.stasis || fail "verify"

echo
echo "\$ stasis restore guest.stasis -- qemu-system-x86_64 -M pc -m 256 ..."
resume vm guest.stasis -- "${machine[@]}" "${guest[@]}"
wait_for vm.serial "^tick $((saved + 30))\$" 60
echo "Another QEMU, the same guest:"
grep -a -A 3 "^tick $saved\$" vm.serial | grep -a '^tick' | sed 's/^/    /'
echo "    ..."
show_console 1
wait_for vm.serial "^tick $((saved + 60))\$" 60
one_life vm.serial
echo
echo "No tick is missing, the boot id and the checksum of its memory are the same."
