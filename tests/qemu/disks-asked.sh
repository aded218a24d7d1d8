# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# Disks that stasis cannot read and QEMU reads for it: on the network, in other
# formats, encrypted, in files of somebody else's.  The guest goes on, the
# images stay clean, and nothing is left in QEMU.
. "$SOURCE/tests/lib.sh" || exit 1

# serve NAME FILE [OPTION...]: raw, by qemu-nbd, at NAME.nbd.
serve() {
        rm -f "$1.nbd"
        qemu-nbd -k "$PWD/$1.nbd" -f raw -t -e 4 "${@:3}" "$2" \
                > /dev/null 2>> nbd.err &
        started+=($!)
        within 10 test -S "$1.nbd" || fail "qemu-nbd does not serve $2"
}

# write IMAGE FORMAT COMMAND...: qemu-io's.
write() {
        local image=$1 format=$2 c commands=()
        shift 2
        for c; do commands+=(-c "$c"); done
        try qemu-io qemu-io -f "$format" "${commands[@]}" "$image" > io.log
        ! grep -q fail io.log || fail "qemu-io: $(cat io.log)"
}

secret=(--object "secret,id=key,data=secret")
luks=driver=luks,key-secret=key,file.driver=file,file.filename=luks.img
crypt=driver=qcow2,encrypt.format=luks,encrypt.key-secret=key,file.driver=file,file.filename=crypt.qcow2

images() {
        truncate -s 20M net.img base.img
        write net.img raw 'write -P 0x11 0 64k' 'write -P 0x12 5000k 3000k' \
                'write -P 0x13 20476k 4k'
        write base.img raw 'write -P 0x21 0 20M'
        qemu-img create -q -f qed other.qed 20M
        write other.qed qed 'write -P 0x31 3M 2M'
        qemu-img create -q -f qcow2 -o cluster_size=4k -u -b base.img -F raw \
                over.qcow2 20M
        write over.qcow2 qcow2 'write -P 0x41 64k 4k' 'write -P 0x42 3M 700k' \
                'write -z 8M 64k' 'discard 64k 4k' 'write -P 0x43 20476k 4k'
        # It measures time for its keys and fails where a clock is too coarse.
        within 30 qemu-img create -q "${secret[@]}" -f luks \
                -o key-secret=key,iter-time=50 luks.img 4M || fail "luks.img"
        qemu-io "${secret[@]}" --image-opts -c 'write -P 0x51 1M 100k' "$luks" \
                > /dev/null || fail "luks"
        truncate -s 4M private.img
        write private.img raw 'write -P 0x71 3M 300k'
        within 30 qemu-img create -q -f qcow2 "${secret[@]}" -o encrypt.format=luks \
                -o encrypt.key-secret=key,encrypt.iter-time=50 crypt.qcow2 4M ||
                fail "crypt.qcow2"
        qemu-io "${secret[@]}" --image-opts -c 'write -P 0x61 2M 64k' "$crypt" \
                > /dev/null || fail "crypt"
}

# machine: a guest that counts, and these disks.
machine() {
        linux full
        serve net net.img
        serve base base.img -r
        disks=(-M pc -m 256 -object secret,id=key,data=secret
                -blockdev "driver=nbd,node-name=netnode,server.type=unix,server.path=$PWD/net.nbd"
                -device virtio-blk-pci,drive=netnode,id=net
                -drive file=other.qed,format=qed,if=none,id=other
                -device virtio-blk-pci,drive=other,id=two
                -blockdev "driver=nbd,node-name=basenode,read-only=on,server.type=unix,server.path=$PWD/base.nbd"
                -blockdev driver=qcow2,node-name=overnode,backing=basenode,file.driver=file,file.filename=over.qcow2
                -device virtio-blk-pci,drive=overnode,id=over
                -blockdev "$luks,node-name=luksnode"
                -device virtio-blk-pci,drive=luksnode,id=luks
                -blockdev "$crypt,node-name=cryptnode"
                -device virtio-blk-pci,drive=cryptnode,id=crypt
                -drive file=private.img,format=raw,if=none,id=private
                -device virtio-blk-pci,drive=private,id=three
                -qmp unix:second.qmp,server=on,wait=off)
}

chosen=(--disk net=full --disk other=full --disk over=overlay --disk luks=full
        --disk crypt=full --disk private=full)

# nothing_left: no server, no export; the guest goes on.
nothing_left() {
        [ "$(qmp second query-block-exports)" = "[]" ] || fail "an export is left"
        ! qmp second nbd-server-stop > /dev/null 2>&1 || fail "a server is left"
        [ "$(run_state vm)" = running ] || fail "the VM is $(run_state vm)"
        goes_on vm 20 || fail "the guest does not go on"
        [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'stasis-nbd-*')" ] ||
                fail "a directory is left"
}

# same DISK FILE [OPTION...]: what is exported is as qemu-img reads FILE.
same() {
        local disk=$1 file=$2
        shift 2
        rm -f out.img
        try export "$STASIS" export --disk "$disk" --format raw \
                "$@" vm.stasis out.img
        cmp "$file" out.img || fail "$disk is not as it was"
}

images
qemu-img convert -f qed -O raw other.qed other.raw
qemu-img convert -f qcow2 -O raw over.qcow2 over.raw
qemu-img convert "${secret[@]}" --image-opts "$luks" -O raw luks.raw
qemu-img convert "${secret[@]}" --image-opts "$crypt" -O raw crypt.raw
cp private.img private.raw
machine
start vm "${disks[@]}" "${guest[@]}"
wait_for vm.serial '^tick 5$' 120
# Somebody else's, not to be read: root alone could, were it not for this.
saver=()
if [ "$(id -u)" = 0 ]; then
        chown nobody private.img
        chmod 600 private.img
        saver=(setpriv --bounding-set=-dac_override,-dac_read_search
                --inh-caps=-dac_override,-dac_read_search)
        asked=6
else
        echo "an image that is not ours to open: root's to test"
        asked=5
fi

say "save"
${saver[@]+"${saver[@]}"} "$STASIS" save --qmp vm.qmp "${chosen[@]}" vm.stasis 2> save.err ||
        fail "save: $(cat save.err)"
nothing_left
[ "$(grep -c 'QEMU reads it' save.err)" = $asked ] || fail "$(cat save.err)"
[ "$(grep -c 'is encrypted' save.err)" = 2 ] || fail "$(cat save.err)"
try verify "$STASIS" verify vm.stasis
same net net.img
same other other.raw
same luks luks.raw
same crypt crypt.raw
same private private.raw

say "an overlay on a network disk"
try export "$STASIS" export --disk over --base base.img vm.stasis out.qcow2
qemu-img compare -q -f raw -F qcow2 over.raw out.qcow2 || fail "over.qcow2"
qemu-img check -q out.qcow2 || fail "out.qcow2 is not clean"
[ "$(tar -xOf vm.stasis disk/over/zeros | xargs)" = \
        "0000000000010000 0000000000001000 0000000000800000 0000000000010000" ] ||
        fail "zeros: $(tar -xOf vm.stasis disk/over/zeros)"
# The base is known by its content.
cp base.img changed.img
write changed.img raw 'write -P 0x22 0 4k'
expect 4 "$STASIS" export --disk over --base changed.img vm.stasis out2.qcow2 \
        2> base.err
grep -q 'not the base' base.err || fail "$(cat base.err)"

say "another NBD server"
qmp second nbd-server-start '{"addr":{"type":"unix","data":{"path":"its.nbd"}}}' \
        > /dev/null
expect 1 "$STASIS" save --qmp vm.qmp "${chosen[@]}" busy.stasis 2> save.err
grep -q 'NBD server' save.err || fail "$(cat save.err)"
qmp second nbd-server-stop > /dev/null || fail "the other server is gone"
nothing_left

say "not behind the running guest"
expect 4 "$STASIS" save --qmp vm.qmp --copy-behind --disk net=full no.stasis \
        2> save.err
nothing_left

say "killed while it reads"
mkfifo pipe
${saver[@]+"${saver[@]}"} "$STASIS" save --qmp vm.qmp --compress none \
        --threads 1 "${chosen[@]}" - > pipe 2> killed.err &
victim=$!
started+=($victim)
exec 3< pipe
# As far as the network disk's chunks: then nobody reads on.
grep -qam 1 disk/net/ <&3 || fail "no disk: $(cat killed.err)"
[ "$(qmp second query-block-exports)" != "[]" ] || fail "it is not exported"
stop $victim
exec 3<&-
within 20 is_state second running || fail "the VM is $(run_state second)"
[ "$(qmp second query-block-exports)" != "[]" ] || fail "nothing was left"
"$STASIS" save --qmp vm.qmp --force "${chosen[@]}" vm.stasis 2> save.err ||
        fail "save: $(cat save.err)"
grep -q 'an earlier save left' save.err || fail "$(cat save.err)"
nothing_left
same net net.img

say "and quits"
"$STASIS" save --qmp vm.qmp --quit --force "${chosen[@]}" vm.stasis \
        2> save.err || fail "save: $(cat save.err)"
within 10 gone "$pid" || fail "QEMU did not end"
try verify "$STASIS" verify vm.stasis
same luks luks.raw
qemu-img check -q over.qcow2 || fail "over.qcow2 is not clean"
qemu-img check -q other.qed || fail "other.qed is not clean"
