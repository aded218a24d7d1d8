#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# seeds.sh DIR: what each fuzzer begins with: DIR/qcow2, small images of every
# kind that qemu-img makes; DIR/fields, devices of every form.

set -eu
mkdir -p "$1/qcow2" "$1/fields"
cd "$1/fields"

vmsd() { # NAME FIELD,...
        printf '"vmsd_name":"%s","version":1,"fields":[%s]' "$1" "$2"
}
byte='{"name":"x","type":"uint8","size":1}'
printf '{%s}\0\1\2\3\4\5\6\7\10\11\12' "$(vmsd d "$byte,{\"name\":\"a\",\"array_len\":2,\"type\":\"struct\",\"struct\":{$(vmsd s "$byte")},\"size\":1},{\"name\":\"n\",\"array_len\":3,\"type\":\"int16\",\"size\":2}")" > arrays
printf '{%s}\0\1\7\1\1\0' "$(vmsd d "{\"name\":\"q\",\"type\":\"qtailq\",$(vmsd e "$byte"),$(vmsd e "$byte"),\"size\":5}")" > list
printf '{%s}\0\0\0\0\1\1\0\0\0\0\0\0\0\5\7\0' "$(vmsd d "{\"name\":\"t\",\"type\":\"gtree\",$(vmsd v "$byte"),\"size\":15}")" > tree
printf '{%s,"subsections":[{%s}]}\0\1\5\3d/u\0\0\0\1\11' "$(vmsd d "$byte")" "$(vmsd d/u "$byte")" > subsection
{
        printf '{%s}\0\0\0\0\2\364\032' "$(vmsd d '{"name":"virtio","type":"virtio","size":311}')"
        head -c 270 /dev/zero
        printf '\1\0\0\0\0\0\0\1\0\0\0\2\1\2\0\0\0\1\0\0\1\0\0\0\0\0\0\0\0\0\0\5\5\16virtio/started\0\0\0\1\1'
} > virtio
cd ../qcow2

image() { # NAME OPTIONS SIZE COMMAND...
        local name=$1 options=$2 size=$3 c commands=()
        shift 3
        qemu-img create -q -f qcow2 -o "$options" "$name" "$size"
        for c; do
                commands+=(-c "$c")
        done
        qemu-io -f qcow2 ${commands[@]+"${commands[@]}"} "$name" > /dev/null
}

image v2 compat=0.10,cluster_size=512 128K 'write 3K 2K' 'write 40K 512'
image v3 cluster_size=512 128K 'write 3K 2K' 'write -z 10K 4K' 'discard 3K 512'
image lazy cluster_size=1K,lazy_refcounts=on 64K 'write 5K 3K'
image bits cluster_size=1K,refcount_bits=1 64K 'write 5K 3K'
image extended cluster_size=16K,extended_l2=on 256K 'write 3K 512' \
        'write -z 20K 3K' 'write 100K 30K' 'discard 104K 2K'
image zlib cluster_size=1K 64K 'write -c -P 5 4K 1K' 'write -c -P 7 5K 1K' \
        'write 6K 1K'
image zstd cluster_size=4K,compression_type=zstd 64K 'write -c -P 5 4K 4K' \
        'write -c -P 7 8K 4K' 'write 16K 1K'
image backed cluster_size=512,backing_file=v3,backing_fmt=qcow2 128K \
        'write 100K 512'
image snapshots cluster_size=512 32K 'write 3K 1K'
qemu-img snapshot -c first snapshots
qemu-io -f qcow2 -c 'write 4K 1K' snapshots > /dev/null
qemu-img snapshot -c second snapshots
image bitmaps cluster_size=512 32K 'write 3K 1K'
qemu-img bitmap --add bitmaps one
qemu-img bitmap --add -g 512 bitmaps two
image subclusters cluster_size=16K,extended_l2=on,compression_type=zstd 64K \
        'write -c -P 1 0 16K' 'write 20K 1K'
