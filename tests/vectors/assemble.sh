#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# assemble.sh NAME.vector OUT: a snapshot from its description, with tar, zstd
# and xxh128sum, as spec/stasis-format.md has it; no code of stasis is used.
#
# A description is a bash script that calls, in the file's order,
#     put NAME        a member of the bytes on standard input
#     zst NAME        the same, compressed (raw bytes on standard input)
#     finish          index and trailer
# or the larger pieces below, and may set or define before it calls finish
#     edit_line NAME  a filter for the index line of a member (one argument);
#                     segments and index get what it prints
#     edit_index      a filter for the whole index
#     edit_trailer    a filter for the first 496 bytes of the trailer
# and after it may change the file $out at will.

set -eu -o pipefail
shopt -s lastpipe # what a pipe ends in is this shell
export LC_ALL=C
description=$1
out=$PWD/$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/stasis-vector-XXXXXX")
trap 'rm -rf "$dir"' EXIT
: > "$out"
: > "$dir/framing"
: > "$dir/lines"
: > "$dir/segment"
members=0

# hex 51 45 ...: these bytes.
hex() {
        local byte
        for byte; do printf "\\x$byte"; done
}

# be32 N, be64 N, le64 N: a number's bytes.
be32() { hex $(printf '%08x' "$1" | sed 's/../& /g'); }
be64() { hex $(printf '%016x' "$1" | sed 's/../& /g'); }
le64() { hex $(printf '%016x' "$1" | sed 's/../& /g' | tr ' ' '\n' | tac); }

# fill COUNT BYTE: so many of that byte.
fill() { head -c "$1" /dev/zero | tr '\0' "\\$(printf '%03o' "0x$2")"; }

digest() { xxh128sum < "$1" | cut -d ' ' -f 1; }
size() { stat -c %s "$1"; }

edit_line() { cat; }
edit_index() { cat; }
edit_trailer() { cat; }

# archive NAME FILE: one member into $out, without end of archive; its data's
# place goes to $offset.
archive() {
        local name=$1 file=$2 padded header
        rm -rf "$dir/tree"
        mkdir -p "$dir/tree/$(dirname "$name")"
        mv "$file" "$dir/tree/$name"
        tar --create --file "$dir/part" --directory "$dir/tree" --format pax \
                --pax-option "${pax:-delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f}" \
                --blocking-factor 1 --mtime @0 --owner 0 --group 0 \
                --numeric-owner --mode 0600 "$name"
        mv "$dir/tree/$name" "$file"
        padded=$((($(stat -c %s "$file") + 511) / 512 * 512))
        header=$(($(size "$dir/part") - 1024 - padded))
        offset=$(($(size "$out") + header))
        head -c "$header" "$dir/part" >> "$dir/framing"
        head -c $((padded - $(size "$file"))) /dev/zero >> "$dir/framing"
        head -c -1024 "$dir/part" >> "$out"
}

# member NAME STORED-FILE RAW-FILE
member() {
        archive "$1" "$2"
        printf '%016x %016x %016x %s %s %s\n' "$offset" "$(size "$2")" \
                "$(size "$3")" "$(digest "$2")" "$(digest "$3")" "$1" |
                edit_line "$1" | tee -a "$dir/lines" >> "$dir/segment"
        members=$((members + 1))
}

put() {
        cat > "$dir/stored"
        member "$1" "$dir/stored" "$dir/stored"
}

zst() {
        cat > "$dir/raw"
        # A file, so that the frame tells its size.
        zstd -q -f -1 ${checksum:---no-check} "$dir/raw" -o "$dir/stored"
        member "$1" "$dir/stored" "$dir/raw"
}

# segment NUMBER: the lines since the last.
segment() {
        cp "$dir/segment" "$dir/segment.now"
        : > "$dir/segment"
        put "stasis/index.$1" < "$dir/segment.now"
}

finish() {
        { echo 'stasis-index 1'; cat "$dir/lines"; } | edit_index > "$dir/index"
        archive stasis/index "$dir/index"
        local index=$offset
        head -c 512 /dev/zero > "$dir/trailer"
        cp "$out" "$dir/before"
        archive stasis/trailer "$dir/trailer"
        cp "$dir/before" "$out"
        {
                printf 'stasis-trailer-1'
                le64 $((offset + 512 + 1024))
                le64 "$index"
                le64 "$(size "$dir/index")"
                le64 "$members"
                hex $(digest "$dir/index" | sed 's/../& /g')
                hex $(digest "$dir/framing" | sed 's/../& /g')
                fill 416 00
        } | edit_trailer > "$dir/head"
        {
                cat "$dir/head"
                hex $(digest "$dir/head" | sed 's/../& /g')
        } > "$dir/trailer"
        archive stasis/trailer "$dir/trailer"
        head -c 1024 /dev/zero >> "$out"
}

# ---- the same small machine everywhere: 8 KiB of RAM, one timer ------------

suffix=.zst
features='"digest-xxh3-128", "chunks-zstd"'
major=1 minor=0
ram_blocks='{"name": "pc.ram", "dir": "ram/pc.ram", "size": 8192}'

# chunk DIR ADDRESS: compressed or not, as the vector is.
chunk() {
        if [ "$suffix" = .zst ]; then
                zst "$1/$2.zst"
        else
                put "$1/$2"
        fi
}

first=0000000000000000

manifest() {
        put stasis/manifest.json << END
{
 "format": {"major": $major, "minor": $minor},
 "features": {"required": [$features], "optional": [${optional:-}]},
 "writer": {"name": "by hand", "version": "1"},
 "created": "2026-01-02T03:04:05Z",
 "id": "00000000-0000-4000-8000-000000000000",
 "machine": {"type": "pc-i440fx-7.2"},
 "target_page_size": 4096,
 "ram_blocks": [$ram_blocks]${more_keys:-}
}
END
}

start_items() {
        hex 51 45 56 4d 00 00 00 03 | chunk stream/000000.header $first
        { hex 07; be32 13; printf 'pc-i440fx-7.2'; } |
                chunk stream/000001.configuration $first
        {
                hex 01; be32 2
                hex 03; printf ram; be32 0; be32 4
                be64 $((${ram_total:-8192} | 4))
                ram_entries
                be64 16
                hex 7e; be32 2
        } | chunk stream/000002.start.ram $first
}

ram_entries() { hex 06; printf pc.ram; be64 8192; }

ram() { fill 8192 ab | chunk ram/pc.ram $first; }

end_of_ram() {
        { hex 03; be32 2; be64 16; hex 7e; be32 2; } |
                chunk stream/000003.end.ram $first
}

timer_bytes() {
        hex 04; be32 0; hex 05; printf timer; be32 0; be32 2
        be64 1234567890
        hex 7e; be32 0
}

timer() { timer_bytes | chunk stream/000004.full.timer $first; }

eof() { hex 00 | chunk stream/000005.eof $first; }

vmdesc() {
        printf '%s' '{"page_size": 4096, "devices": [{"name": "timer",' \
                ' "instance_id": 0, "version": 2, "fields":' \
                ' [{"name": "clock", "type": "int64", "size": 8}]}]}' |
                put stasis/vmdesc.json
}

state() {
        local also=
        [ -z "${disks:-}" ] || also=", \"disks\": [$disks]"
        put stasis/state.json << END
{
 "devices": [{"idstr": "timer", "instance_id": 0, "version_id": 2, "item": 4,
  "bytes": 32}],
 "absent": [],
 "totals": {"chunks": 7, "raw_bytes": 0, "stored_bytes": 0}$also
}
END
}

# What a vector has of disks, if it has any: called where they stand.
disk_members() { :; }

end_items() {
        end_of_ram
        timer
        eof
        vmdesc
        disk_members
        state
}

# zeros DIR OFFSET LENGTH...: the list of an overlay's zero extents.
zeros() {
        local of=$1
        shift
        printf '%016x %016x\n' "$@" | put "$of/zeros"
}

# An overlay of 2 MiB in clusters of 4 KiB, and a disk of 64 KiB in full.
overlay='{"name": "d0", "stored": "overlay", "dir": "disk/d0",
  "virtual_size": 2097152, "granularity": 4096}'
whole='{"name": "d1", "stored": "full", "dir": "disk/d1",
  "virtual_size": 65536, "granularity": 65536}'

. "$description"
