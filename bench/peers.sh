#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# peers.sh: save and restore beside QEMU's own ways, on one VM in one run: 4 GiB
# of RAM with 1.7 GB of real content, no guest needed.  Each save's time
# includes a sync of its file; pairs alternate.  ROUNDS: how many (default 5).
# Prints one line a measurement: WHAT SECONDS BYTES.

set -eu
: "${STASIS:?run by make bench}" "${TOOLS:?}"
QEMU=${QEMU:-qemu-system-x86_64}
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/stasis-bench-XXXXXX")
pid=
trap '[ -z "$pid" ] || kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"

(tar -C / -cf - usr/lib usr/share usr/bin 2>/dev/null || true) |
        head -c 1700000000 > content || true
[ "$(stat -c %s content)" -ge 1000000000 ] ||
        { echo "/usr has less than 1 GB to fill RAM with" >&2; exit 1; }
vm=($QEMU -M pc -m 4096 -nodefaults -display none -S
        -device loader,file=content,addr=0x10000000,force-raw=on)

qmp() {
        "$TOOLS/qmp" qmp "$@" 2>/dev/null
}

begin() {
        rm -f qmp
        "${vm[@]}" -qmp unix:qmp,server=on,wait=off "$@" 2>/dev/null &
        pid=$!
        until qmp query-status > /dev/null; do sleep 0.05; done
}

end() {
        kill -9 $pid 2>/dev/null || true
        wait $pid 2>/dev/null || true
        pid=
}

clock() {
        date +%s%N
}

tell() { # WHAT BEGAN FILE
        local now
        now=$(clock)
        echo "$1 $(((now - $2) / 1000000)) ms $(stat -c %s "$3") bytes"
}

save_ours() {
        local t
        begin
        t=$(clock)
        "$STASIS" save --qmp qmp --force --compress "$1" ours.stasis 2>/dev/null
        tell "save: stasis $1" "$t" ours.stasis
        end
}

save_peer() { # NAME COMMAND FILE
        local t
        begin
        qmp migrate-set-parameters '{"max-bandwidth":0}' > /dev/null
        t=$(clock)
        qmp migrate "{\"uri\":\"exec:$2 > $dir/$3\"}" > /dev/null
        until [ "$(qmp query-migrate "" status)" = completed ]; do
                sleep 0.01
        done
        sync "$3"
        tell "save: $1" "$t" "$3"
        end
}

restore_ours() {
        local t
        t=$(clock)
        pid=$("$STASIS" restore --detach --json ours.stasis -- "${vm[@]}" \
                2>/dev/null | sed -n 's/^ "pid": \([0-9]*\).*/\1/p')
        tell "restore: stasis" "$t" ours.stasis
        end
}

restore_peer() {
        local t
        t=$(clock)
        begin -incoming "exec:$1 $dir/$2"
        while [ "$(qmp query-status "" status)" = inmigrate ]; do
                sleep 0.01
        done
        tell "restore: $1" "$t" "$2"
        end
}

for round in $(seq "${ROUNDS:-5}"); do
        rm -f ./*.zst ./*.raw ours.stasis
        save_ours none
        save_peer "exec:cat" cat peer.raw
        rm -f ours.stasis
        save_ours zstd:1
        save_peer "exec:zstd -1 -T2" "zstd -q -1 -T2" peer.zst
        restore_ours
        restore_peer "zstd -q -dc" peer.zst
        restore_peer cat peer.raw
done
