# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# A stream in TLS, as QEMU's tls-creds-x509 has it: loaded when both sides are
# who they should be; refused, with the reason and nothing loaded, when not.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/certificates.sh" || exit 1

machine=(-M pc -m 64 -device floppy,drive=d
        -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d")

start vm "${machine[@]}"
wait_for vm.serial '\.\.' 60
try save "$STASIS" save --qmp vm.qmp vm.stasis 2> save.err
stop "$pid"

# The two sides' directories, and what is wrong with others.
authority ca
authority other
server server ca "dns_name = vm.example" "ip_address = 127.0.0.1"
server expired ca "dns_name = vm.example" "ip_address = 127.0.0.1" \
        "expiration_date = 2020-01-01 00:00:00"
client client ca
client stranger other ca
mkdir bare
cp ca/cert.pem bare/ca-cert.pem
client distrusts other other
cp other/cert.pem distrusts/ca-cert.pem

# listen DIR [TLS-OPTION]: a QEMU that waits, in TLS, at in.sock.
listen() {
        rm -f in.sock
        start a "${machine[@]}" -incoming defer \
                -object "tls-creds-x509,id=tls0,dir=$PWD/$1,endpoint=server,${2:-verify-peer=on}"
        qmp a migrate-set-parameters '{"tls-creds":"tls0"}' > /dev/null
        qmp a migrate-incoming "{\"uri\":\"${3:-unix:$PWD/in.sock}\"}" > /dev/null
}

# refused PATTERN OPTION...: not loaded, and why.
refused() {
        local pattern=$1
        shift
        expect 1 timeout 60 "$STASIS" restore --to "unix:$PWD/in.sock" "$@" \
                vm.stasis 2> err < /dev/null
        grep -q -- "$pattern" err || fail "not '$pattern': $(cat err)"
        say "  $(cat err)"
        gone "$pid" || is_state a inmigrate || fail "it is $(run_state a)"
        [ ! -s a.serial ] || fail "the guest ran"
        stop "$pid"
}

say "the right certificates"
listen server
try "restore in TLS" "$STASIS" restore --to "unix:$PWD/in.sock" \
        --tls-dir client --tls-hostname vm.example vm.stasis 2> err
within 5 is_state a running || fail "not running"
stop "$pid"
rm -f a.serial

say "an address as the name, taken from the URI"
port=$((20000 + $$ % 20000))
listen server verify-peer=on "tcp:127.0.0.1:$port"
try "restore in TLS over TCP" "$STASIS" restore --to "tcp:127.0.0.1:$port" \
        --tls-dir client vm.stasis 2> err
within 5 is_state a running || fail "not running"
stop "$pid"
rm -f a.serial

say "no certificate where none is demanded"
listen server verify-peer=off
try "restore without a certificate" "$STASIS" restore \
        --to "unix:$PWD/in.sock" --tls-dir bare --tls-hostname vm.example \
        vm.stasis 2> err
within 5 is_state a running || fail "not running"
stop "$pid"
rm -f a.serial

say "what is refused"
listen server
refused 'certificate is refused.*other.example' --tls-dir client \
        --tls-hostname other.example
listen server
refused 'certificate is refused.*issuer is unknown' --tls-dir distrusts \
        --tls-hostname vm.example
listen server
refused "does not accept this side's certificate" --tls-dir stranger \
        --tls-hostname vm.example
listen server
refused "does not accept this side's certificate" --tls-dir bare \
        --tls-hostname vm.example
listen server
refused 'tls-creds' # plain text to a QEMU that expects TLS
start a "${machine[@]}" -incoming "unix:$PWD/in.sock"
within 5 test -S in.sock || fail "QEMU does not listen"
refused 'does not speak TLS' --tls-dir client --tls-hostname vm.example

# QEMU itself does not start with a certificate that has expired.
gnutls-serv --quiet --port=$((port + 1)) --x509certfile=expired/server-cert.pem \
        --x509keyfile=expired/server-key.pem > /dev/null 2>&1 &
started+=($!)
within 10 listens $((port + 1)) || fail "no server"
expect 1 timeout 60 "$STASIS" restore --to "tcp:127.0.0.1:$((port + 1))" \
        --tls-dir client vm.stasis 2> err
grep -q 'certificate is refused.*expired' err || fail "expired: $(cat err)"
say "  $(cat err)"
expect 1 timeout 60 "$STASIS" restore --to "tcp:127.0.0.1:$((port + 1))" \
        --tls-dir nowhere vm.stasis 2> err
grep -q 'nowhere/ca-cert.pem.*No such file' err || fail "no files: $(cat err)"
expect 2 "$STASIS" restore --to "unix:$PWD/in.sock" --tls-dir client \
        vm.stasis 2> err
grep -q -- '--tls-hostname' err || fail "no name: $(cat err)"
expect 2 "$STASIS" restore --to "fd:5" --tls-dir client --tls-hostname x \
        vm.stasis 2> err 5> out
grep -q 'needs a socket' err || fail "a file: $(cat err)"
