# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# A snapshot is checked against the command line of a VM that still runs: what
# is started for that opens none of the VM's files for writing, none of its
# sockets, ports and devices; the VM and its files are as before.
. "$SOURCE/tests/lib.sh" || exit 1
command -v strace > /dev/null || fail "strace is missing: see tests/deps.sh"

mkdir o o/shared
qemu-img create -q -f qcow2 o/a.qcow2 64M || fail "qemu-img"
truncate -s 32M o/b.raw
truncate -s 64M o/ram
port=$((20000 + $$ % 20000))
machine=(-M pc,memory-backend=ram -m 64
        -object memory-backend-file,id=ram,size=64M,mem-path=o/ram,share=on
        -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=f"
        -device floppy,drive=f
        -drive file=o/a.qcow2,if=virtio,format=qcow2,cache=none
        -blockdev '{"driver":"file","filename":"o/b.raw","node-name":"low"}'
        -blockdev driver=raw,node-name=top,file=low -device ide-hd,drive=top
        -monitor unix:o/monitor,server=on,wait=off
        -chardev socket,id=p,path=o/port,server=on,wait=off
        -device virtio-serial-pci -device virtserialport,chardev=p
        -netdev "socket,id=n,listen=127.0.0.1:$port" -device e1000,netdev=n
        -netdev "user,id=u,hostfwd=tcp:127.0.0.1:$((port + 20000))-:22"
        -device rtl8139,netdev=u -gdb unix:o/gdb,server=on,wait=off
        -fsdev local,id=s,path=o/shared,security_model=none
        -device virtio-9p-pci,fsdev=s,mount_tag=s
        -audiodev wav,id=w,path=o/wav -device AC97,audiodev=w
        -vnc unix:o/vnc -debugcon file:o/debug -D o/log -d guest_errors)

# What would be seen if anything had been touched.
look() {
        find o -type f -o -type s | LC_ALL=C sort | while read -r f; do
                stat -c '%n %s %i %y %z %b %a' "$f"
                [ ! -f "$f" ] || sha256sum < "$f"
        done
}

listens() {
        (: <> "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

answers() {
        python3 -c 'import socket, sys
socket.socket(socket.AF_UNIX).connect(sys.argv[1])' "$1" 2> answer.err
}

locked() {
        ! qemu-img info o/a.qcow2 > /dev/null 2> lock.err &&
                grep -q 'lock' lock.err
}

changes='creat|mknod|mkdir|rmdir|unlink|rename|link|symlink|truncate|chmod|fchmod'
changes="$changes|chown|fchown|utimens|bind|listen|connect"

# Every QEMU asks for these; ours is a temporary file without a name, which the
# twin opens through our descriptor.
own='"/dev/(null|kvm|sgx_vepc|net/tun)"|O_TMPFILE|"/proc/[0-9]+/fd/[0-9]+"'

# Fails when the trace has a call that changes, offers or reaches something.
harmless() {
        grep -E -e ' open(at2?)?\(.*O_(WRONLY|RDWR|CREAT|TRUNC)' \
                -e " ($changes)(at2?)?\(" "$1" | grep -vE "$own" > "$1.bad"
        [ ! -s "$1.bad" ]
}

traced() {
        ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o "$1" -s 400 -e \
                trace=execve,%file,%network \
                "${@:2}"
}

start o/vm "${machine[@]}"
wait_for o/vm.serial '\.\.' 60
try save "$STASIS" save --qmp o/vm.qmp vm.stasis 2> save.err
qmp o/vm stop > /dev/null
mapfile -d '' -t command < "/proc/$pid/cmdline"
is_state o/vm paused || fail "not paused"
locked || fail "the image is not locked"
look > before

say "check"
# The one thing against it is that the VM is still there.
expect 4 traced trace "$STASIS" check --json vm.stasis -- "${command[@]}" \
        > out 2> err
[ "$(jq -r '.reasons[] | select(.severity == "refused") | .code' out |
        sort -u)" = disk-in-use ] || fail "check: $(cat out)"
grep -q 'execve.*null-co' trace || fail "no twin was started"
harmless trace || fail "touched: $(head trace.bad)"
look > after
diff before after >&2 || fail "something has changed"
locked || fail "the image is not locked any more"
is_state o/vm paused || fail "$(run_state o/vm)"
listens "$port" || fail "its network does not listen"
listens $((port + 20000)) || fail "its port is not forwarded"
for socket in o/monitor o/port o/vnc; do
        answers $socket || fail "$socket: nobody listens"
done
qmp o/vm cont > /dev/null
is_state o/vm running || fail "$(run_state o/vm)"

say "what a QEMU does that is no twin is seen"
traced trace timeout 3 $QEMU -S -display none -nodefaults -pidfile p \
        -qmp unix:q,server=on,wait=off 2> err
harmless trace
for seen in '"p".*O_CREAT' 'bind(.*"q"' 'unlink("q"'; do
        grep -q "$seen" trace.bad || fail "not seen: $seen: $(cat trace.bad)"
done
