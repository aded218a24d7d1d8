# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# stasis save - | ssh host stasis restore -: through a real sshd on this host,
# with keys that are thrown away.
. "$SOURCE/tests/lib.sh" || exit 1

sshd=$(command -v sshd || ls /usr/sbin/sshd 2> /dev/null) || skip "no sshd"
command -v ssh > /dev/null || skip "no ssh"
# sshd runs as whom it lets in; as root it wants its own directory.
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd

port=$((20000 + $$ % 20000))
try ssh-keygen ssh-keygen -q -t ed25519 -N '' -f host
try ssh-keygen ssh-keygen -q -t ed25519 -N '' -f key
cp key.pub authorized
chmod 600 authorized
cat > sshd_config <<C
Port $port
ListenAddress 127.0.0.1
HostKey $PWD/host
PidFile none
AuthorizedKeysFile $PWD/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
C
"$sshd" -D -e -f "$PWD/sshd_config" 2> sshd.err &
started+=($!)
wait_for sshd.err 'listening' 10
over=(ssh -p "$port" -i "$PWD/key" -o BatchMode=yes -o StrictHostKeyChecking=no
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.0.1)
try "ssh itself" "${over[@]}" true

linux cloud ram=16
machine=(-M pc -m 128 "${guest[@]}")
start vm "${machine[@]}"
wait_for vm.serial '^tick 5' 100

# The console is one file: there is one life in it, here and there.
here=$pid
emulator there
there=("${vm[@]}" "${machine[@]}")
there=("${there[@]/there.serial/vm.serial}")
command="cd $(printf %q "$PWD") && $(printf '%q ' "$STASIS" restore --detach - --) $(printf '%q ' "${there[@]}")"
"$STASIS" save --qmp vm.qmp --quit - 2> save.err |
        timeout 100 "${over[@]}" "$command" 2> restore.err
status=("${PIPESTATUS[@]}")
[ "${status[*]}" = "0 0" ] ||
        fail "status ${status[*]}: $(cat save.err restore.err)"
started+=("$(cat there.pid)")
within 10 gone "$here" || fail "the source has not ended"
is_state there running || fail "it is $(run_state there)"
goes_on vm 30 || fail "the guest does not count on"
one_life vm.serial

say "a restore that fails on the other side fails the save, and the VM goes on"
qmp there query-status > /dev/null
wrong="$(printf '%q ' "$STASIS" restore - --) $(printf '%q ' ${QEMU}) -M q35 -m 64"
"$STASIS" save --qmp there.qmp - 2> save.err |
        timeout 100 "${over[@]}" "cd $(printf %q "$PWD") && $wrong" 2> restore.err
status=("${PIPESTATUS[@]}")
[ "${status[1]}" = 4 ] || fail "status ${status[*]}: $(cat save.err restore.err)"
within 2 is_state there running || fail "it is $(run_state there)"
goes_on vm 30 || fail "the guest does not count on"
one_life vm.serial
