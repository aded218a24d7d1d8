# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 400
#
# A guest of UEFI firmware keeps a boot entry in its variables: it goes on on
# variables that the snapshot made, and those are good for another boot.
. "$SOURCE/tests/lib.sh" || exit 1

code=/usr/share/OVMF/OVMF_CODE_4M.fd
[ -r "$code" ] || fail "$code is missing: apt-get install ovmf"
cp /usr/share/OVMF/OVMF_VARS_4M.fd vars.fd

# firmware VARS: sets `machine`.
firmware() {
        machine=(-M q35 -m 256
                -drive "if=pflash,unit=0,format=raw,readonly=on,file=$code"
                -drive "if=pflash,unit=1,format=raw,file=$1")
}

linux cloud efi
firmware vars.fd
start vm "${machine[@]}" "${guest[@]}"
wait_for vm.serial '^efi new [0-9a-f]' 200
entry=$(grep -ao '^efi new [0-9a-f]\{32\}' vm.serial | head -n 1 | cut -d ' ' -f 3)
wait_for vm.serial '^alive 2' 60
try save "$STASIS" save --qmp vm.qmp --quit --disks=overlay vm.stasis
within 10 gone "$pid" || fail "QEMU did not end"
try verify "$STASIS" verify vm.stasis
"$STASIS" list vm.stasis | grep -q '^disk .* pflash1$' ||
        fail "the variables are not stored: $("$STASIS" list vm.stasis)"
try export "$STASIS" export --disk pflash1 vm.stasis exported.fd
cmp exported.fd vars.fd || fail "the variables are others"

mv vars.fd old.fd
firmware new.fd
resume vm vm.stasis --disk pflash1=new.fd -- "${machine[@]}" "${guest[@]}"
goes_on vm 20 || fail "the guest does not go on"
was=$(grep -ac "^efi new $entry" vm.serial)
within 20 eval '[ "$(grep -ac "^efi new $entry" vm.serial)" -gt '"$was"' ]' ||
        fail "the entry is lost"
one_life vm.serial
stop "$pid" "$keeper"

rm vm.serial
start vm "${machine[@]}" "${guest[@]}"
wait_for vm.serial "^efi $entry" 200
