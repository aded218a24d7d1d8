# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# A guest that uses the offloads and queues of a tap device: whether a target
# with a tap device takes it is known without touching the host's network.
. "$SOURCE/tests/lib.sh" || exit 1
alone=(unshare --net --)
"${alone[@]}" sh -c ': <> /dev/net/tun' 2> /dev/null ||
        skip "no tap devices here, or not for this user"

linux cloud
tap=(-netdev tap,id=n,script=no,downscript=no,queues=2
        -device virtio-net-pci,netdev=n,mq=on)
machine=(-M pc -m 256 "${guest[@]}")
plain=$QEMU
QEMU="${alone[*]} $plain"
start vm "${machine[@]}" "${tap[@]}"
QEMU=$plain
wait_for vm.serial '^tick 3' 200
try save "$STASIS" save --qmp vm.qmp vm.stasis 2> save.err
"$STASIS" show vm.stasis virtio-net > fields || fail "show"
# VIRTIO_NET_F_CSUM, bit 0, and VIRTIO_NET_F_MQ, bit 22.
features=$(sed -n 's/.*guest_features_lo = \([0-9]*\).*/\1/p' fields)
[ $((features & 0x400001)) = $((0x400001)) ] ||
        fail "the guest does not use them: $features"

check() {
        emulator b
        "$STASIS" check vm.stasis -- "${vm[@]}" "${machine[@]}" "$@" \
                > out 2> err
}

say "a target like it"
ls /sys/class/net > before
expect 0 check "${tap[@]}"
grep -q 'loads there' out || fail "check: $(cat out err)"
ls /sys/class/net | diff before - >&2 || fail "a network device is left"

say "one without queues"
expect 4 check -netdev tap,id=n,script=no,downscript=no \
        -device virtio-net-pci,netdev=n,mq=on
grep -q device-config err out || fail "check: $(cat out err)"
