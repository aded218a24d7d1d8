#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# seeds.sh DIR: small images of every kind that qemu-img makes, for the fuzzer
# to begin with.

set -eu
mkdir -p "$1"
cd "$1"

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
