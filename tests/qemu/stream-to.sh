# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# restore --to: the other side's verdict is the exit status, and a peer that
# dies, hangs up, resets, refuses or is something else is told as that.
. "$SOURCE/tests/lib.sh" || exit 1

machine=(-M pc -m 64 -device virtio-rng-pci -device floppy,drive=d
        -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d")

start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
try save "$STASIS" save --qmp vm.qmp vm.stasis 2> save.err
stop "$pid"

# target ARG...: waits at in.sock.
target() {
        rm -f in.sock to.serial to.err
        start to "$@" -incoming "unix:$PWD/in.sock"
        within 10 test -S in.sock || fail "QEMU does not listen"
}

# refused PATTERN [TO]: not loaded, with that reason.
refused() {
        expect 1 timeout 100 "$STASIS" restore --to "${2:-unix:$PWD/in.sock}" \
                vm.stasis 2> err
        grep -q -- "$1" err || fail "not '$1': $(cat err)"
        say "  $(cat err)"
        [ ! -s to.serial ] || fail "the guest ran"
}

# peer PROGRAM: python that has a connection `c` of in.sock.
peer() {
        rm -f in.sock
        python3 - "$@" <<'P' > peer.out 2>&1 &
import socket, struct, sys, time
l = socket.socket(socket.AF_UNIX)
l.bind("in.sock")
l.listen(1)
c = l.accept()[0]
exec(sys.argv[1])
P
        started+=($!)
        within 10 test -S in.sock || fail "no peer: $(cat peer.out)"
}

say "loaded"
target "${machine[@]}" -S
try restore "$STASIS" restore --to "unix:$PWD/in.sock" --json vm.stasis > out
is_state to paused || fail "the target is $(run_state to)"
grep -q '"stream_bytes": [1-9]' out || fail "report: $(cat out)"
stop "$pid"

say "from a pipe, over IPv6"
if [ -e /proc/sys/net/ipv6 ] && [ "$(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6)" = 0 ]; then
        port=$((20000 + $$ % 20000))
        start to "${machine[@]}" -S -incoming "tcp:[::1]:$port"
        sleep 1 # to ask whether it listens would be the one connection it takes
        try restore "$STASIS" restore --to "tcp:[::1]:$port" - < <(cat vm.stasis)
        is_state to paused || fail "the target is $(run_state to)"
        stop "$pid"
fi

say "refused"
target -M pc -m 64 "${machine[@]:6}" # no virtio-rng
refused 'in.sock: .*the destination refused the stream'
target -M pc -m 128 "${machine[@]:4}"
refused 'in.sock: .*the destination refused the stream'
target -M q35 -m 64
refused 'hung up before it answered'

say "the destination dies in the middle"
target "${machine[@]}"
python3 "$SOURCE/tests/relay.py" relay.sock in.sock 8388608 > relay.out 2> relay.err &
started+=($!)
within 10 test -S relay.sock || fail "no relay: $(cat relay.err)"
"$STASIS" restore --to "unix:$PWD/relay.sock" vm.stasis 2> err &
restoring=$!
wait_for relay.out full 30
stop "$pid"
wait $restoring
[ $? = 1 ] || fail "exit status; $(cat err)"
grep -q 'relay.sock: ram: .*ended' err || fail "not told: $(cat err)"
say "  $(cat err)"

say "peers of other kinds"
peer 'c.close()'
refused 'hung up before it answered'
# Answers, takes some, and hangs up or resets; says no; says nonsense.
peer 'c.recv(14); c.sendall(bytes([0,2,0,4,0,0,0,1])); c.recv(100000); c.close()'
refused 'refused the stream or ended'
peer 'c.sendall(bytes([0,2,0,4,0,0,0,1,0,1,0,4,0,0,0,1]))
while c.recv(1 << 20): pass'
refused 'refused the stream at or before'
peer 'c.sendall(bytes([0,2,0,4,0,0,0,1,0,1,0,1,7]))
while c.recv(1 << 20): pass'
expect 3 "$STASIS" restore --to "unix:$PWD/in.sock" vm.stasis 2> err
grep -q 'return path' err || fail "nonsense: $(cat err)"
# Over TCP, a reset in the middle.
port=$((20001 + $$ % 20000))
python3 - "$port" <<'P' > peer.out 2>&1 &
import socket, struct, sys
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(("127.0.0.1", int(sys.argv[1])))
l.listen(1)
print("listening", flush=True)
c = l.accept()[0]
c.sendall(bytes([0, 2, 0, 4, 0, 0, 0, 1]))
got = 0
while got < 100000: # that much comes only when the answer has been read
    got += len(c.recv(1000000))
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
c.close()
P
started+=($!)
wait_for peer.out listening 10
refused 'refused the stream or ended' "tcp:127.0.0.1:$port"
