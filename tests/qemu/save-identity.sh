# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What a snapshot says of its VM, what it warns of, and what it keeps to itself.
. "$SOURCE/tests/lib.sh"

# has PATTERN: in info --json of vm.stasis.
has() {
        grep -q -- "$1" info || fail "not told: $1: $(cat info)"
}

has_not() {
        ! grep -q -- "$1" info || fail "told: $1"
}

warned() {
        grep -q -- "$1" said || fail "not warned of: $1: $(cat said)"
        has "$1"
}

truncate -s 8M base.img data.img cd.iso
truncate -s 64M shared.mem
start vm -M q35,memory-backend=ram0 -m 64 -smp 2 -name web01 \
        -uuid 11111111-2222-3333-4444-555555555555 \
        -object "memory-backend-file,id=ram0,size=64M,mem-path=$PWD/shared.mem,share=on" \
        -object secret,id=s0,data=hunter2 \
        -fw_cfg name=opt/org.example/token,string=hunter2 \
        -blockdev driver=file,filename=base.img,node-name=base-file,read-only=on \
        -blockdev driver=raw,file=base-file,node-name=base,read-only=on \
        -device virtio-blk-pci,drive=base,id=disk0 \
        -drive file=data.img,format=raw,if=none,id=data \
        -device virtio-blk-pci,drive=data,id=disk1 \
        -device virtio-rng-pci,id=rng0

try "save" "$STASIS" save --qmp vm.qmp vm.stasis 2> said
try "info" "$STASIS" info --json vm.stasis > info
version=$(qmp vm query-version "" qemu.major).$(qmp vm query-version "" qemu.minor)
machine=$(qmp vm qom-get '{"path":"/machine","property":"type"}')

has '"name": "web01"'
has '"uuid": "11111111-2222-3333-4444-555555555555"'
has "\"version\": \"$version\\."
has '"arch": "x86_64"'
has "\"type\": \"${machine%-machine}\""
has "\"accelerator\": \"$ACCEL\""
has '"count": 2'
has '"sse2"'
has '"type": "virtio-rng-pci"'
has '"id": "rng0"'
has "\"file\": \"$PWD/base.img\""
has "\"file\": \"$PWD/data.img\""
has '"virtual_size": 8388608'
has '"samples": "[0-9a-f]\{32\}"'
has '"run_state": "running"'

# Outside of the stream: told when it is saved, and kept.
warned 'disk data (data.img) is not in the snapshot'
warned 'memory ram0 is a file'
grep -q 'base.img' said && fail "warned of a read-only disk"

# Secrets are in the file, and in no output unless asked for.
has_not hunter2
has '<redacted>'
"$STASIS" info vm.stasis | grep hunter2 && fail "a secret in info"
"$STASIS" info --command vm.stasis | grep hunter2 && fail "a secret in the command"
"$STASIS" info --command --show-secrets vm.stasis | grep -q 'data=hunter2' ||
        fail "the command is not the one that was run"
"$STASIS" info --json --show-secrets vm.stasis | grep -q 'string=hunter2' ||
        fail "--show-secrets shows none"
[ "$(stat -c %a vm.stasis)" = 600 ] || fail "others may read the file"

# --no-argv: not even in the file.
try "save" "$STASIS" save --qmp vm.qmp --no-argv --compress none bare.stasis 2> said
try "info" "$STASIS" info --json bare.stasis > info
has_not argv
has '"name": "web01"'
tar xOf bare.stasis stasis/manifest.json | grep hunter2 && fail "argv is in the file"

# --quit: durable, then gone; --json says so.
try "save and quit" "$STASIS" save --qmp vm.qmp --quit --json --force vm.stasis 2> said > report
grep -q '"run_state_before": "running"' report || fail "report: $(cat report)"
grep -q '"run_state_after": null' report || fail "report: $(cat report)"
grep -q 'keep it as it is' said || fail "said: $(cat said)"
within 5 gone "$pid" || fail "the VM has not ended"
try "check" "$STASIS" verify vm.stasis
