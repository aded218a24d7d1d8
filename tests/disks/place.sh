# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 120
#
# Block devices as the place of a restored disk: what is in use is refused
# whatever is said, what holds something until --overwrite is said.
. "$SOURCE/tests/lib.sh" || exit 1
PATH=$PATH:/usr/sbin:/sbin

[ "$(id -u)" = 0 ] || skip "loop devices and mounts need root"
loops=() mounts=()
clean_up() {
        local m l
        for m in ${mounts[@]+"${mounts[@]}"}; do umount "$m" 2> /dev/null; done
        end_all
        for l in ${loops[@]+"${loops[@]}"}; do losetup -d "$l" 2> /dev/null; done
}
trap clean_up EXIT

truncate -s 1M first
first=$(losetup -f --show first 2>&1) || skip "no loop device: $first"
loops+=("$first")

# loop FILE [OPTION...]: sets `device`.
loop() {
        device=$(losetup -f --show "${@:2}" "$1") || fail "losetup $*"
        loops+=("$device")
}

# refused STATUS TEXT ARG...: naming the device, and nothing has changed.
refused() {
        local status=$1 text=$2 before
        shift 2
        before=$(sha256sum < "$device")
        expect "$status" "$TOOLS/place" "$@" fill:0:4096 commit 2> message
        grep -qF -- "$device: $text" message ||
                fail "not '$text' but: $(cat message)"
        [ "$before" = "$(sha256sum < "$device")" ] || fail "was written"
}

size=$((32 << 20))
uuid=11111111-1111-4111-8111-111111111111

say "an empty device is written"
truncate -s $size empty
loop empty
try write "$TOOLS/place" "$device" $size fill:0:1048576 \
        zero:4096:8192 zero:20480:512 zero:33333:100 zero:1000000:48576 commit
head -c 1048576 /dev/zero | tr '\0' Z > expected
for range in 4096:8192 20480:512 33333:100 1000000:48576; do
        dd if=/dev/zero of=expected bs=1 seek=${range%:*} count=${range#*:} \
                conv=notrunc status=none
done
truncate -s $size expected
try compare cmp expected "$device"
# Unmapped.
try zero "$TOOLS/place" --overwrite "$device" $size zero:0:$size commit
try compare cmp -n $size /dev/zero "$device"
[ "$(stat -c %b empty)" = 0 ] || fail "blocks in use: $(stat -c %b empty)"

say "too small a one is not"
refused 4 "has $size bytes, the disk needs $((size + 512))" \
        "$device" $((size + 512))
refused 4 "has $size bytes" --overwrite "$device" $((size + 512))

say "a file system is kept, until told otherwise"
mke2fs -q -t ext4 -L root -U $uuid "$device"
refused 2 "exists and holds ext4 'root' (UUID $uuid); --overwrite" \
        "$device" $size

say "a mounted one is kept, whatever is told"
mkdir 'mount point'
mount -o noinit_itable "$device" 'mount point' || fail "mount"
mounts+=("$PWD/mount point")
echo precious > 'mount point/file'
sync -f 'mount point/file' # the kernel is not to write it meanwhile
refused 4 "is in use: mounted at $PWD/mount point" "$device" $size
refused 4 "is in use: mounted at" --overwrite "$device" $size
[ "$(cat 'mount point/file')" = precious ] || fail "the file is lost"
umount 'mount point'
mounts=()
try "the file system is whole" e2fsck -fn "$device" > /dev/null 2>&1

say "nobody mounts what is being written, and no QEMU uses it"
mkfifo end
"$TOOLS/place" --overwrite "$device" $size wait < end > state &
writer=$!
started+=($writer)
exec 3> end
wait_for state open 10
! mount "$device" 'mount point' 2> /dev/null || fail "it was mounted"
! qemu-io -f raw -r -c 'read 0 512' "$device" > /dev/null 2>&1 ||
        fail "a QEMU used it"
refused 4 "is in use" --overwrite "$device" $size
exec 3>&-
wait $writer || fail "the tool failed"
mount "$device" 'mount point' || fail "it is still held"
mounts+=("$PWD/mount point")
umount 'mount point'
mounts=()

say "one that a QEMU has is kept"
start vm -M pc -S -drive "if=none,id=d,file=$device,format=raw" \
        -device virtio-blk-pci,drive=d
refused 4 "is in use by $(cat /proc/$pid/comm) (pid $pid)" --overwrite "$device" $size
stop $pid

say "the unmounted one is overwritten when told so"
try overwrite "$TOOLS/place" --overwrite "$device" $size fill:0:$size commit
try compare cmp <(head -c $size /dev/zero | tr '\0' Z) "$device"

say "after the commit a QEMU may use it"
"$TOOLS/place" --overwrite "$device" $size commit wait < end > state &
writer=$!
started+=($writer)
exec 3> end
wait_for state open 10
try "use by QEMU" qemu-io -f raw -c 'write -q 0 512' "$device"
exec 3>&-
wait $writer || fail "the tool failed"

say "several signatures"
truncate -s 0 empty
truncate -s $size empty
mke2fs -q -t ext4 "$device"
printf -- -rom1fs- | dd of="$device" conv=notrunc status=none
refused 2 "exists and holds signatures of several kinds; --overwrite" \
        "$device" $size

say "a partition table"
truncate -s $size disk
printf '%s\n' 'label: gpt' "label-id: $uuid" 'start=2048,size=40960' |
        sfdisk -q disk
mke2fs -q -t ext4 -L inner -U $uuid -E offset=1048576 disk 20480
loop disk -P
refused 2 "exists and holds gpt partition table (UUID $uuid); ext4 'inner' (UUID $uuid) at 1048576; --overwrite" \
        "$device" $size
within 2 test -b "${device}p1" || partx -a "$device" 2> /dev/null
if within 2 test -b "${device}p1"; then
        say "a partition of it is mounted"
        mount "${device}p1" 'mount point' || fail "mount"
        mounts+=("$PWD/mount point")
        refused 4 "is in use: mounted at $PWD/mount point" \
                --overwrite "$device" $size
        umount 'mount point'
        mounts=()
        say "a QEMU has a partition of it, or has all"
        whole=$device
        start part -M pc -S -drive "if=none,id=d,file=${whole}p1,format=raw" \
                -device virtio-blk-pci,drive=d
        device=${whole}p1
        refused 4 "is in use by $(cat /proc/$pid/comm) (pid $pid)" --overwrite "$whole" $size
        stop $pid
        start whole -M pc -S -drive "if=none,id=d,file=$whole,format=raw" \
                -device virtio-blk-pci,drive=d
        device=$whole
        refused 4 "is in use by $(cat /proc/$pid/comm) (pid $pid)" --overwrite "${whole}p1" 4096
        stop $pid
        try partition "$TOOLS/place" --overwrite "${whole}p1" 4096 \
                fill:0:4096 commit
else
        say "this kernel makes no partitions of loop devices"
fi

say "a table in sectors of 4096 bytes"
truncate -s $size large
loop large -b 4096
printf '%s\n' 'label: gpt' "label-id: $uuid" 'start=256,size=5120' |
        sfdisk -q "$device" > /dev/null 2>&1 || fail "sfdisk"
mke2fs -q -t ext4 -L large -U $uuid -E offset=1048576 "$device" 20480 2> /dev/null ||
        fail "mke2fs"
refused 2 "exists and holds gpt partition table (UUID $uuid); ext4 'large' (UUID $uuid) at 1048576; --overwrite" \
        "$device" $size
try zero "$TOOLS/place" --overwrite "$device" $size zero:0:$size commit
try compare cmp -n $size /dev/zero "$device"

say "a link is followed to a device"
ln -s "$device" link
try "through a link" "$TOOLS/place" link $size fill:0:4096 commit
