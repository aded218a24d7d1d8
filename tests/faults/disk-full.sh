# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 2400
#
# The disk is full at some write of a save: of a busy VM, for sizes up to half of
# what is needed; of a quiet one, whose snapshots are all of one size, up to
# the last page but two (LONG=1: every page).
. "$SOURCE/tests/faults/common.sh" || exit 1

size_of() {
        try save "$STASIS" save --qmp vm.qmp "$@" out/whole.stasis
        whole=$(stat -c %s out/whole.stasis)
        rm out/whole.stasis
}

# A file system of that size where we may mount one, else a limit for files.
mounted=
trap '[ -z "$mounted" ] || umount out; end_all' EXIT
if mount -t tmpfs -o size=200m none out 2>/dev/null; then
        mounted=1
fi
save_into() {
        if [ -n "$mounted" ]; then
                mount -o "remount,size=$1" out
                "$STASIS" save --qmp vm.qmp "${@:2}" out/vm.stasis
        else
                (trap '' XFSZ
                 ulimit -f $(($1 / 1024))
                 exec "$STASIS" save --qmp vm.qmp "${@:2}" out/vm.stasis)
        fi 2> message
}

full() {
        local size=$1
        expect 1 save_into "$@"
        grep -qE 'No space left|File too large' message ||
                fail "$size bytes: $(cat message)"
        unharmed "disk of $size bytes"
}

start_boot_sector pages
size_of --threads 2
steps=6
[ -z "${LONG:-}" ] || steps=100
for size in $(seq 4096 $((whole / 2 / steps / 4096 * 4096 + 4096)) \
                $((whole / 2))); do
        full "$size"
done
saves_well
stop "$pid"

[ -z "$mounted" ] || mount -o remount,size=200m out
start_boot_sector dots
# Just started, it is not quiet yet.
before=0
whole=1
while [ "$whole" != "$before" ]; do
        before=$whole
        sleep 0.5
        size_of --compress none
done
say "$whole bytes"
step=23
[ -z "${LONG:-}" ] || step=1
for pages in 3 4 5 $(seq 6 $step $((whole / 4096))); do
        full $(((whole / 4096 - pages + 1) * 4096)) --compress none
done

# With an older file of that name.
older_name=vm.stasis
cp older out/vm.stasis
full $((whole / 2 / 4096 * 4096)) --compress none --force
saves_well
