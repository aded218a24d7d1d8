# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
#
# Zeros are not sent to RAM that is zero as it is; but whatever else a target's
# RAM holds before the load (blobs, ROMs, old content of a file, shared or
# preallocated memory), the guest finds what was saved.
. "$SOURCE/tests/lib.sh" || exit 1

head -c 2900000 /dev/urandom > content
head -c 5000000 /dev/urandom > garbage
truncate -s 512M room # of a memory file: old content, then none
dd if=/dev/urandom of=room bs=1M count=64 seek=100 conv=notrunc 2> dd.err

# dump OUT: all RAM of the VM behind the monitor.
dump() {
        qmp "$1" pmemsave \
                "{\"val\":0,\"size\":655360,\"filename\":\"$PWD/$2.low\"}"
        qmp "$1" pmemsave \
                "{\"val\":1048576,\"size\":535822336,\"filename\":\"$PWD/$2\"}"
} > /dev/null

start vm -M pc -m 512 -S -device loader,file=content,addr=0x8000123,force-raw=on
dump vm truth
try save "$STASIS" save --qmp vm.qmp --quit vm.stasis 2> save.err
within 10 gone "$pid" || fail "QEMU did not end"

# into NAME LEAST MOST ARG...: restores into such a machine; that many MiB of
# stream.
into() {
        local name=$1 least=$2 most=$3 mib
        shift 3
        say "$name"
        emulator "$name"
        try "restore into $name" "$STASIS" restore --detach --paused --json \
                vm.stasis -- "${vm[@]}" "$@" > json 2> restore.err
        pid=$(jq .pid json)
        started+=("$pid")
        dump "$name" is
        cmp truth.low is.low && cmp truth is || fail "$name: RAM differs"
        mib=$(jq '.stream_bytes / 1048576 | floor' json)
        [ "$mib" -ge "$least" ] && [ "$mib" -le "$most" ] ||
                fail "$name: a stream of $mib MiB"
        stop "$pid"
        within 5 gone "$pid"
        rm -f is is.low
}

# All of 509 MiB of zeros are 1.1 MiB of stream, and a bit.
into plain 3 3 -M pc -m 512
into blob 3 3 -M pc -m 512 \
        -device loader,file=garbage,addr=0x4000000,force-raw=on
into backend 3 3 -M pc,memory-backend=pc.ram -m 512 \
        -object memory-backend-ram,id=pc.ram,size=512M
into prealloc 4 5 -M pc,memory-backend=pc.ram -m 512 \
        -object memory-backend-ram,id=pc.ram,size=512M,prealloc=on
into memfd 4 5 -M pc,memory-backend=pc.ram -m 512 \
        -object memory-backend-memfd,id=pc.ram,size=512M
into file 4 5 -M pc,memory-backend=pc.ram -m 512 \
        -object memory-backend-file,id=pc.ram,size=512M,mem-path=room,share=off
into shared-file 4 5 -M pc,memory-backend=pc.ram -m 512 \
        -object memory-backend-file,id=pc.ram,size=512M,mem-path=room,share=on
