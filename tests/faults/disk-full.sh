# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 1200
#
# The disk is full at some write of a save: disks of many sizes that are too
# small, with LONG=1 by steps of a page.
. "$SOURCE/tests/faults/common.sh"

start_dots
try save "$STASIS" save --qmp vm.qmp --threads 2 out/whole.stasis
whole=$(stat -c %s out/whole.stasis)
rm out/whole.stasis

# A file system of that size where we may mount one, else a limit for files.
mounted=
trap '[ -z "$mounted" ] || umount out; end_all' EXIT
if mount -t tmpfs -o size=4k none out 2>/dev/null; then
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

sizes=9
[ -z "${LONG:-}" ] || sizes=400
step=$(((whole / sizes / 4096 + 1) * 4096))
for size in $(seq 4096 "$step" $((whole - 4096))); do
        status=0
        save_into "$size" || status=$?
        # Each snapshot is of another moment, and of another size.
        if [ $status = 0 ] && [ "$size" -gt $((whole * 9 / 10)) ]; then
                try verify "$STASIS" verify out/vm.stasis
                break
        fi
        [ $status = 1 ] || fail "$size bytes: status $status"
        grep -qE 'No space left|File too large' message ||
                fail "$size bytes: $(cat message)"
        unharmed "disk of $size bytes"
done
rm -f out/*

# With an older file of that name.
older_name=vm.stasis
[ -z "$mounted" ] || mount -o remount,size=64k out
cp older out/vm.stasis
expect 1 save_into $((whole / 2 / 4096 * 4096)) --force
unharmed "an older file"
saves_well
