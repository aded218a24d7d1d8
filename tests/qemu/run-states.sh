# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 600
#
# Each row of spec/run-states.md: what save does to a VM in that run state, what
# the VM is afterwards, what it is after a restore, and that a guest that did
# not run has not run a single instruction for it.
. "$SOURCE/tests/lib.sh"

printf '[inject-error]\nevent = "none"\niotype = "write"\nerrno = "5"\n' > errors

# image ACTION: disk.img boots the guest of tests/guest/states.S.
image() {
        as --32 --defsym "ACTION=$1" -o states.o "$SOURCE/tests/guest/states.S" &&
                objcopy -O binary -j .text states.o disk.img &&
                truncate -s 1M disk.img || fail "no guest"
}

# counter NAME: what the guest has counted to.
counter() {
        qmp "$1" hmp 'xp /1wx 0x8000' | sed 's/.*: *//' | tr -d '\r\n'
}

# case STATE: sets machine, and vm is in that state.
enter() {
        local file=disk.img
        machine=(-M "${MACHINE:-pc}" -m 32)
        case $1 in
        guest-panicked)
                image 3
                machine+=(-device pvpanic)
                if [ "$major" -ge 6 ]; then
                        machine+=(-action panic=pause)
                else
                        machine+=(-no-shutdown)
                fi
                ;;
        shutdown) image 2 && machine+=(-no-shutdown) ;;
        suspended) image 1 ;;
        io-error) image 4 && file=blkdebug:errors:disk.img ;;
        *) image 0 ;;
        esac
        machine+=(-drive "file=$file,format=raw,if=none,id=d,werror=stop"
                -device ide-hd,drive=d)
        case $1 in
        prelaunch) start vm "${machine[@]}" -S ;;
        inmigrate) start vm "${machine[@]}" -incoming defer ;;
        *) start vm "${machine[@]}" ;;
        esac
        case $1 in
        paused) sleep 0.5 && qmp vm stop ;;
        postmigrate) sleep 0.5 && qmp vm migrate '{"uri":"exec:cat > /dev/null"}' ;;
        esac
        within 60 is_state vm "$1" || fail "$(run_state vm) instead of $1"
}

# kept STATE AFTER: saves a VM that is in STATE and is in AFTER then.
kept() {
        local before
        enter "$1"
        before=$(counter vm)
        try "save of a VM that is $1" "$STASIS" save --qmp vm.qmp --force \
                vm.stasis 2> said
        is_state vm "$2" || fail "$1 before, $(run_state vm) after, not $2"
        [ "$(counter vm)" = "$before" ] || fail "$1: the guest has run"
        if [ "$1" = "$2" ]; then
                ! grep -q 'no way back' said || fail "$1: a needless warning"
        else
                grep -q "was $1 and is now $2" said || fail "$1: not told: $(cat said)"
        fi
        try "check" "$STASIS" verify --quick vm.stasis > /dev/null
        "$STASIS" info --json vm.stasis |
                grep -q "\"run_state\": \"$1\"" || fail "$1 is not in the file"
        stop "$pid"
        restored "$1" "$before"
        say "$1: saved, then $2; restored"
}

# restored STATE COUNTER: the snapshot comes back like that and stays so.
restored() {
        expected_state=$1
        resume again vm.stasis -- "${machine[@]}"
        [ "$(counter again)" = "$2" ] || fail "$1: another counter after restore"
        sleep 0.3
        is_state again "$1" || fail "restored $1 became $(run_state again)"
        [ "$(counter again)" = "$2" ] || fail "$1: the guest ran after restore"
        stop "$pid" "$keeper"
}

# refused STATE PATTERN: not saved, told why, and left as it is.
refused() {
        enter "$1"
        expect 1 "$STASIS" save --qmp vm.qmp never.stasis 2> said
        grep -q "$2" said || fail "$1: said: $(cat said)"
        [ ! -e never.stasis ] || fail "$1: a file"
        is_state vm "$1" || fail "$1 became $(run_state vm)"
        stop "$pid"
        say "$1: refused"
}

start vm -M none
major=$(qmp vm query-version "" qemu.major)
stop "$pid"

# A guest that runs goes on, and goes on after the restore.
enter running
sleep 0.5
try "save of a running VM" "$STASIS" save --qmp vm.qmp vm.stasis 2> said
is_state vm running || fail "the VM is $(run_state vm) after the save"
was=$(counter vm)
sleep 0.2
[ "$(counter vm)" != "$was" ] || fail "running, but it does not count"
stop "$pid"
expected_state=running
resume again vm.stasis --force=disks -- "${machine[@]}"
was=$(counter again)
sleep 0.2
[ "$(counter again)" != "$was" ] || fail "restored, but it does not count"
stop "$pid" "$keeper"
say "running: saved, then running; restored"

for state in paused prelaunch shutdown guest-panicked io-error; do
        if [ "$major" -ge 10 ]; then
                kept $state $state
        else
                kept $state postmigrate
        fi
done
if [ "$major" -ge 10 ]; then
        kept suspended suspended
else
        refused suspended 'wake'
fi
refused postmigrate 'cont'
refused inmigrate 'incoming'
