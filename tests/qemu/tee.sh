# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 600
#
# save --tee: the VM goes into a file and to a waiting QEMU at once.  Both have
# the same RAM; whatever fails, at any moment, never two run and, up to the
# handing over, the VM goes on where it was.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/recover.sh" || exit 1
. "$SOURCE/tests/certificates.sh" || exit 1

machine=(-M pc -m 64 -device virtio-rng-pci -device floppy,drive=d
        -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d")

# source: a running VM.  Sets source.
source_vm() {
        rm -f vm.serial
        start vm "${machine[@]}"
        source=$pid
        wait_for vm.serial '\.\.' 60
}

# target ARG...: a QEMU that waits at in.sock.  Sets target.
target() {
        rm -f in.sock to.serial to.err
        start to "$@" -incoming "unix:$PWD/in.sock"
        target=$pid
        within 10 test -S in.sock || fail "QEMU does not listen"
}

dots() {
        stat -c %s "$1.serial"
}

more_dots_than() {
        [ "$(dots "$1")" -gt "$2" ]
}

runs() {
        is_state "$1" running && within 5 more_dots_than "$1" "$(dots "$1")"
}

# unharmed WHAT: the source runs on, there is no file, the target never ran.
unharmed() {
        within 2 runs vm || fail "$1: the source is $(run_state vm)"
        [ ! -e vm.stasis ] || fail "$1: there is a file"
        within 20 gone $target || fail "$1: the target has not ended"
        [ ! -s to.serial ] || fail "$1: the target ran"
}

tee_save() {
        timeout 100 "$STASIS" save --qmp vm.qmp --tee "unix:$PWD/in.sock" "$@" \
                vm.stasis 2> err < /dev/null
}

ram_of() {
        qmp "$1" pmemsave "{\"val\":0,\"size\":67108864,\"filename\":\"$PWD/$1.ram\"}" > /dev/null
}

say "both have the same RAM, and the source stands still"
source_vm
target "${machine[@]}" -S
tee_save --json > report || fail "--tee: $(cat err)"
grep -q '"run_state_after": "postmigrate"' report || fail "report: $(cat report)"
is_state vm postmigrate || fail "the source is $(run_state vm)"
is_state to paused || fail "the target is $(run_state to)"
try verify "$STASIS" verify vm.stasis
recover vm.stasis
ram_of to
ram_of vm
cmp vm.ram to.ram || fail "source and target differ"
cmp -i 1048576 to.ram recovered/ram/pc.ram || fail "target and file differ"
"$TOOLS/pages" to.ram > /dev/null || fail "RAM is not of one moment"
qmp to cont > /dev/null
within 5 runs to || fail "the target does not run"
is_state vm postmigrate || fail "two run"
stop $source $target

say "the file restores, too"
expected_state=paused resume again vm.stasis --paused -- "${machine[@]}"
ram_of again
cmp to.ram again.ram || fail "what is restored differs"
stop "$pid"
rm -f vm.stasis

say "while the guest runs on, which writes to each page"
source_vm
target "${machine[@]}" -S
if tee_save --live=precopy; then
        is_state vm postmigrate || fail "the source is $(run_state vm)"
        is_state to paused || fail "the target is $(run_state to)"
        recover vm.stasis
        ram_of to
        ram_of vm
        cmp vm.ram to.ram || fail "source and target differ"
        cmp -i 1048576 to.ram recovered/ram/pc.ram ||
                fail "target and file differ"
else
        grep -q 'no precopy: under TCG' err || fail "--live --tee: $(cat err)"
        say "  (not with this QEMU)"
        unharmed "--live --tee refused"
fi
stop $source $target
rm -f vm.stasis

say "the target runs by itself; the source ends with --quit"
source_vm
target "${machine[@]}"
tee_save --quit || fail "--tee --quit: $(cat err)"
within 10 gone $source || fail "the source has not ended"
within 5 runs to || fail "the target is $(run_state to)"
stop $target
rm -f vm.stasis

say "a Linux guest counts on there, and no tick is lost or comes twice"
linux cloud ram=16
rm -f vm.serial
start vm -M pc -m 128 "${guest[@]}"
source=$pid
wait_for vm.serial '^tick 5' 100
target -M pc -m 128 "${guest[@]}"
tee_save || fail "--tee: $(cat err)"
wait_for to.serial '^tick' 60
within 30 goes_on to 20 || fail "it does not count on"
is_state vm postmigrate || fail "two run"
stop $source $target
cat vm.serial to.serial > both.serial
one_life both.serial
rm -f vm.stasis

say "a VM that was paused is paused there"
source_vm
qmp vm stop > /dev/null
target "${machine[@]}"
tee_save || fail "--tee of a paused VM: $(cat err)"
within 5 is_state to paused || fail "the target is $(run_state to)"
[ ! -s to.serial ] || fail "the target ran"
stop $source $target
rm -f vm.stasis

say "a target that is another machine"
source_vm
target -M pc -m 64 "${machine[@]:6}" # no virtio-rng: refused near the end
expect 1 tee_save
grep -q 'refused the stream or ended' err || fail "not told: $(cat err)"
say "  $(cat err)"
unharmed "another machine"
target -M q35 -m 64
expect 1 tee_save
grep -q 'hung up before it answered' err || fail "not told: $(cat err)"
say "  $(cat err)"
unharmed "another machine type"

# stalled: a save whose target gets no more after 8 MiB.  Sets saver.
stalled() {
        target "${machine[@]}"
        rm -f relay.sock
        python3 "$SOURCE/tests/relay.py" relay.sock in.sock 8388608 \
                > relay.out 2> relay.err &
        started+=($!)
        within 10 test -S relay.sock || fail "no relay: $(cat relay.err)"
        "$STASIS" save --qmp vm.qmp --tee "unix:$PWD/relay.sock" vm.stasis \
                2> err < /dev/null &
        saver=$!
        started+=($saver)
        wait_for relay.out full 60
        sleep 1
        gone $saver && fail "the save did not wait: $(cat err)"
}

say "the target dies in mid-stream"
stalled
peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' /proc/$saver/status)
say "  memory: $peak KiB"
[ "$peak" -lt 48000 ] || fail "$peak KiB of memory for a target that waits"
stop $target
wait $saver
[ $? = 1 ] || fail "exit status, $(cat err)"
grep -q 'relay.sock: feeding the target: the target refused the stream or ended' err || fail "not told: $(cat err)"
say "  $(cat err)"
unharmed "a dead target"

say "stasis is killed in mid-stream"
stalled
stop $saver
unharmed "kill -9"
rm -f .vm.stasis*

say "stasis is interrupted in mid-stream"
stalled
kill $saver
wait $saver
[ $? = 1 ] || fail "exit status, $(cat err)"
unharmed "a signal"

say "the file cannot be written"
target "${machine[@]}"
(ulimit -f 2000; trap '' XFSZ; tee_save --compress none) && fail "no failure"
grep -q 'too large' err || fail "not told: $(cat err)"
say "  $(cat err)"
unharmed "a full disk"

if command -v gcc > /dev/null; then
        # What is between the target's word that it is ready and the source's
        # answer, and between that and the last bytes, is over in no time.
        cat > stall.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static int synced;
static void stall(const char *where)
{
        if (strcmp(getenv("STALL"), where) == 0) {
                write(2, "stalled\n", 8);
                pause();
        }
}
int fsync(int fd)
{
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
        stall("ready");
        synced = 1;
        return real(fd);
}
ssize_t send(int fd, const void *p, size_t len, int flags)
{
        ssize_t (*real)(int, const void *, size_t, int) =
                (ssize_t(*)(int, const void *, size_t, int))dlsym(RTLD_NEXT,
                                                                  "send");
        if (synced)
                stall("confirmed");
        return real(fd, p, len, flags);
}
C
        try gcc gcc -shared -fPIC -o stall.so stall.c -ldl 2> gcc.err

        # signalled_at WHERE SIGNAL [dead]: sets status.  dead: the target is, then.
        signalled_at() {
                target "${machine[@]}"
                STALL=$1 LD_PRELOAD=$PWD/stall.so "$STASIS" save --qmp vm.qmp \
                        --tee "unix:$PWD/in.sock" vm.stasis 2> err < /dev/null &
                saver=$!
                started+=($saver)
                wait_for err stalled 60
                sleep 1
                [ ! -s to.serial ] || fail "$1: two might run"
                [ -z "${3:-}" ] || stop $target
                kill "-$2" $saver
                wait $saver 2> /dev/null
                status=$?
        }
        say "stasis is killed when the target has said that it is ready"
        signalled_at ready KILL
        unharmed "killed when ready"
        say "stasis is killed when the source has given the VM up"
        signalled_at confirmed KILL
        within 20 gone $target || fail "the target has not ended"
        [ ! -s to.serial ] || fail "the target ran"
        is_state vm postmigrate || fail "the source is $(run_state vm)"
        try verify "$STASIS" verify vm.stasis
        rm -f vm.stasis
        qmp vm cont > /dev/null
        within 2 runs vm || fail "the source cannot be continued"
        say "a signal then comes too late"
        signalled_at confirmed TERM
        [ $status = 0 ] || fail "status $status: $(cat err)"
        within 5 runs to || fail "the target is $(run_state to)"
        is_state vm postmigrate || fail "two run"
        stop $target
        rm -f vm.stasis
        qmp vm cont > /dev/null
        say "the target dies when the source has given the VM up"
        signalled_at confirmed TERM dead
        [ $status = 1 ] || fail "status $status: $(cat err)"
        grep -q 'feeding the target: .*ended' err || fail "not told: $(cat err)"
        grep -q 'the VM stands still here' err || fail "not told: $(cat err)"
        is_state vm postmigrate || fail "the source is $(run_state vm)"
        try verify "$STASIS" verify vm.stasis
        rm -f vm.stasis
        qmp vm cont > /dev/null
        within 2 runs vm || fail "the source cannot be continued"
fi

if [ -n "${LONG:-}" ]; then
        say "a target that takes nothing for half a minute"
        stalled
        wait $saver
        [ $? = 1 ] || fail "exit status, $(cat err)"
        grep -q 'takes nothing for 30 seconds' err || fail "not told: $(cat err)"
        unharmed "a target that hangs"
fi

say "what cannot be"
expect 1 tee_save # nobody listens
grep -q 'cannot connect' err || fail "not told: $(cat err)"
within 2 runs vm || fail "the source is $(run_state vm)"
expect 2 "$STASIS" save --qmp vm.qmp --tee fd:5 vm.stasis 2> err 5> out
grep -q 'cannot answer' err || fail "not told: $(cat err)"
expect 2 "$STASIS" save --qmp vm.qmp --tee tcp:h:1 --copy-behind vm.stasis 2> err

say "in TLS"
authority ca
server server ca "dns_name = vm.example"
client client ca
tls_target() {
        rm -f in.sock to.serial
        start to "${machine[@]}" -S -incoming defer \
                -object "tls-creds-x509,id=tls0,dir=$PWD/server,endpoint=server,verify-peer=on"
        target=$pid
        qmp to migrate-set-parameters '{"tls-creds":"tls0"}' > /dev/null
        qmp to migrate-incoming "{\"uri\":\"unix:$PWD/in.sock\"}" > /dev/null
}
tls_target
expect 1 tee_save --tls-dir client --tls-hostname other.example
grep -q 'certificate is refused' err || fail "not told: $(cat err)"
within 2 runs vm || fail "the source is $(run_state vm)"
stop $target
tls_target
tee_save --tls-dir client --tls-hostname vm.example || fail "TLS: $(cat err)"
is_state vm postmigrate || fail "the source is $(run_state vm)"
recover vm.stasis
ram_of to
cmp -i 1048576 to.ram recovered/ram/pc.ram || fail "target and file differ"
