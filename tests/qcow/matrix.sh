# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 900
#
# Generated images, read by us and by qemu-img: every byte alike, and every
# extent of the same kind.  Cluster sizes x versions x compression x extended
# L2 entries x backing x what was written, zeroed and discarded.  LONG=1: all.

set -u
: "${TOOLS:?run by tests/run.sh}"
images=0
n=0

fail() {
        echo "FAILED: $*" >&2
        exit 1
}

# The extents that qemu-img tells, in qcowcat's words.  present: something in
# the chain has it; what nothing has is absent.
oracle() {
        qemu-img map --output=json -f "$1" "$2" | jq -r '.[] |
                "\(.start) \(.length) \(if .data then "data"
                        elif .present == false then "absent" else "zero" end)"'
}

# Zero and absent are alike where a raw file, or nothing, is at the bottom:
# qemu-img tells holes of raw files as zeros, and the end of a shorter one.
joined() {
        awk '{ kind = ($3 == "data") ? "data" : "zero" }
                kind == last { length_ += $2; next }
                NR > 1 { print begin, length_, last }
                { begin = $1; length_ = $2; last = kind }
                END { print begin, length_, last }'
}

compare() { # FORMAT FILE WHAT
        images=$((images + 1))
        qemu-img convert -f "$1" -O raw "$2" want || fail "qemu-img: $3"
        "$TOOLS/qcowcat" "$1" "$2" > got || fail "$3"
        cmp got want || fail "bytes: $3"
        oracle "$1" "$2" | joined > want.map
        "$TOOLS/qcowcat" "$1" "$2" map | joined > got.map
        diff want.map got.map || fail "extents: $3"
        [ "$(qemu-img map --output=json -f "$1" "$2" |
                jq 'map(.length) | add')" = "$(stat -c %s got)" ] ||
                fail "size: $3"
}

# A number below $1, the same each time the test runs.
random() {
        n=$(((n * 1103515245 + 12345) % 2147483648))
        echo $((n / 7 % $1))
}

# Writes of every kind at places that share clusters: FILE SIZE KINDS.
scribble() {
        local file=$1 size=$2 i kind at len args=()
        for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
                kind=$(random 5)
                at=$(($(random $((size / 512))) * 512))
                len=$((($(random 96) + 1) * 512))
                [ $((i % 4)) != 0 ] || len=$((len * 20))
                [ $((at + len)) -le "$size" ] || len=$((size - at))
                case $kind in
                0 | 1 | 2) args+=(-c "write -P $((i + 16)) $at $len") ;;
                3) args+=(-c "write -z $at $len") ;;
                4) args+=(-c "discard $at $len") ;;
                esac
        done
        qemu-io -f qcow2 "${args[@]}" "$file" > qemu-io.log 2>&1 ||
                fail "qemu-io: $(tail -n 1 qemu-io.log)"
}

bases() { # SIZE
        head -c $(($1 / 2)) /dev/zero | tr '\0' 'b' > base.raw
        truncate -s "$1" base.raw
        head -c $(($1 / 3 / 512 * 512)) /dev/zero | tr '\0' 's' > short.raw
        rm -f base.qcow2
        qemu-img create -q -f qcow2 -b base.raw -F raw base.qcow2
        scribble base.qcow2 "$1"
}

one() { # CLUSTER COMPAT EXTENDED COMPRESSION BACKING
        local options=cluster_size=$1,compat=$2 size=$((3 * 1048576 + 512 * 37))
        local what="cluster $1 compat $2 extended_l2 $3 $4 backing $5"
        local backing=()
        [ "$3" = off ] || options=$options,extended_l2=on
        [ "$4" != zstd ] || options=$options,compression_type=zstd
        case $5 in
        none) ;;
        raw) backing=(-b base.raw -F raw) ;;
        short) backing=(-b short.raw -F raw) ;;
        qcow2) backing=(-b base.qcow2 -F qcow2) ;;
        esac
        rm -f image.qcow2
        qemu-img create -q -f qcow2 -o "$options" \
                ${backing[@]+"${backing[@]}"} image.qcow2 $size ||
                fail "create: $what"
        scribble image.qcow2 $size
        compare qcow2 image.qcow2 "$what"
        [ "$4" != none ] || return 0
        # Discarded and written again, over what was there.
        scribble image.qcow2 $size
        compare qcow2 image.qcow2 "$what, again"
}

compressed() { # CLUSTER COMPAT EXTENDED COMPRESSION
        local options=cluster_size=$1,compat=$2
        local what="compressed: cluster $1 compat $2 extended_l2 $3 $4"
        [ "$3" = off ] || options=$options,extended_l2=on
        [ "$4" != zstd ] || options=$options,compression_type=zstd
        { cat base.raw; head -c 300000 "$TOOLS/qcowcat"
                head -c 200000 /dev/urandom; } > source
        truncate -s $((($(stat -c %s source) + 511) / 512 * 512)) source
        rm -f image.qcow2
        qemu-img convert -c -f raw -O qcow2 -o "$options" source image.qcow2 ||
                fail "convert: $what"
        compare qcow2 image.qcow2 "$what"
        scribble image.qcow2 "$(stat -c %s source)"
        compare qcow2 image.qcow2 "$what, written to"
}

bases $((3 * 1048576 + 512 * 37))
compare raw base.raw "raw"
sizes="512 4096 65536 2097152"
[ -z "${LONG:-}" ] || sizes="512 1024 2048 4096 8192 16384 32768 65536 131072
        262144 524288 1048576 2097152"
for cluster in $sizes; do
        for backing in none raw short qcow2; do
                one "$cluster" 0.10 off none $backing
                one "$cluster" 1.1 off none $backing
                [ "$cluster" -lt 16384 ] || one "$cluster" 1.1 on none $backing
        done
        compressed "$cluster" 0.10 off zlib
        compressed "$cluster" 1.1 off zlib
        compressed "$cluster" 1.1 off zstd
        [ "$cluster" -lt 16384 ] || compressed "$cluster" 1.1 on zstd
done
echo "$images images"
