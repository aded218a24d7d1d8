# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tests with real VMs share; sourced by bash.  A test runs in an empty
# directory; everything it starts ends with it.
#
# From the runner: STASIS (the program), QEMU (an emulator), ACCEL (tcg, kvm),
# TOOLS, GUEST, SOURCE (directories); LONG=1: take the time.

set -u
: "${STASIS:?run by tests/run.sh}" "${TOOLS:?}" "${GUEST:?}" "${SOURCE:?}"
QEMU=${QEMU:-qemu-system-x86_64}
ACCEL=${ACCEL:-tcg}
started=()

end_all() {
        local pid
        for pid in ${started[@]+"${started[@]}"}; do
                kill -9 "$pid"
        done
        wait
} 2> /dev/null # bash tells of each child that was killed
trap end_all EXIT
trap 'exit 1' INT TERM

say() {
        echo "$(date +%T) $*"
}

fail() {
        say "FAILED: $*" >&2
        local f
        for f in *.serial *.err; do
                [ -s "$f" ] && { echo "--- $f"; tail -n 15 "$f" | tail -c 1500; echo; }
        done >&2
        exit 1
}

skip() {
        echo "$*"
        exit 77
}

# try WHAT COMMAND...: fails the test, saying WHAT, if the command fails.
try() {
        local what=$1
        shift
        "$@" || fail "$what (status $?): $*"
}

# expect STATUS COMMAND...
expect() {
        local want=$1 got=0
        shift
        "$@" || got=$?
        [ $got = "$want" ] || fail "exit status $got, not $want: $*"
}

# within SECONDS COMMAND...: until it succeeds.
within() {
        local end=$(($(date +%s%N) + $1 * 1000000000))
        shift
        until "$@" > /dev/null 2>&1; do
                [ "$(date +%s%N)" -lt $end ] || return 1
                sleep 0.05
        done
}

# wait_for FILE PATTERN SECONDS
wait_for() {
        within "$3" grep -qa -- "$2" "$1" || fail "no '$2' in $1 within $3 s"
}

# qmp NAME COMMAND [ARGUMENTS] [PATH]
qmp() {
        local name=$1
        shift
        "$TOOLS/qmp" "$name.qmp" "$@"
}

run_state() {
        qmp "$1" query-status "" status
}

is_state() {
        [ "$(run_state "$1")" = "$2" ]
}

# emulator NAME: sets `vm`, the command line that each VM of ours begins with.
# NAME.serial is appended to, so that one file holds a console across save and
# restore; its monitor is at NAME.qmp, its stderr in NAME.err.
emulator() {
        rm -f "$1.qmp" "$1.pid"
        vm=($QEMU -accel "$ACCEL" -nodefaults -display none -no-user-config
                -chardev "file,id=serial0,path=$1.serial,append=on"
                -serial chardev:serial0 -pidfile "$1.pid"
                -qmp "unix:$1.qmp,server=on,wait=off")
}

# linux FLAVOUR [WORD...]: sets `guest`, the options that boot the counting
# guest.
linux() {
        guest=(-kernel "$GUEST/$1/vmlinuz" -initrd "$GUEST/$1/initrd"
                -append "console=ttyS0 quiet no_timer_check ${*:2}")
}

# start NAME ARG...: sets pid.
start() {
        emulator "$1"
        "${vm[@]}" "${@:2}" < /dev/null >> "$1.err" 2>&1 &
        pid=$!
        started+=($pid)
        within 20 test -S "$1.qmp" || fail "QEMU did not start: $1"
}

# Whether what resume waits for is there, or will never be.
arrived() {
        gone "$keeper" || is_state "$1" "${expected_state:-running}"
}

# resume NAME FILE [RESTORE-OPTION...] -- ARG...: `stasis restore` with a QEMU
# like that of start; waits until it runs.  Sets pid (QEMU's) and keeper (the
# pid of stasis).
resume() {
        local name=$1 file=$2 options=()
        shift 2
        while [ "$1" != -- ]; do
                options+=("$1")
                shift
        done
        shift
        emulator "$name"
        "$STASIS" restore ${options[@]+"${options[@]}"} "$file" -- \
                "${vm[@]}" "$@" < /dev/null >> "$name.err" 2>&1 &
        keeper=$!
        started+=($keeper)
        within 60 arrived "$name" ||
                fail "not ${expected_state:-running} after restore: $name"
        gone $keeper && fail "restore has ended: $name"
        pid=$(cat "$name.pid")
        started+=($pid)
}

# gone PID: it runs no more (nobody may have collected it yet), no thread of it
# either: one that still ends may hold its files' locks.
gone() {
        local tasks
        [ -e "/proc/$1" ] || return 0
        grep -qs '^State:.Z' "/proc/$1/status" || [ ! -e "/proc/$1" ] || return 1
        tasks=(/proc/$1/task/*)
        [ ${#tasks[@]} -le 1 ]
}

# stop PID...: kills them, hard, and waits until they are gone.
stop() {
        local p
        for p; do
                { kill -9 "$p"; wait "$p"; } 2> /dev/null
                until gone "$p"; do sleep 0.02; done
        done
}

# ticks FILE: the numbers that the guest counted, one a line.  A line may have
# been cut when QEMU was killed, so only whole ones.
ticks() {
        grep -ao '^tick [0-9]*$' "$1" | cut -d ' ' -f 2
}

last_tick() {
        ticks "$1" | tail -n 1
}

# goes_on NAME SECONDS: the guest counts on from now.
goes_on() {
        local was now end=$(($(date +%s%N) + $2 * 1000000000))
        was=$(last_tick "$1.serial")
        while :; do
                now=$(last_tick "$1.serial")
                [ "${now:-0}" -gt "${was:-0}" ] && return
                [ "$(date +%s%N)" -lt $end ] || return 1
                sleep 0.02
        done
}

# one_life FILE: nothing in a console shows that the guest was ever anywhere
# else: no tick is missing or comes twice, one boot, RAM unchanged, no transfer
# damaged.
one_life() {
        local ids
        ticks "$1" | awk 'NR > 1 && $1 != last + 1 {
                        print "tick " $1 " after " last; bad = 1 }
                { last = $1 } END { exit bad || NR == 0 }' >&2 ||
                fail "ticks in $1"
        ids=$(grep -aoE '^(ready|alive [0-9]+) boot_id=[0-9a-f-]{36} ram=[0-9a-f]{32}$' \
                "$1" | sed -E 's/^(ready|alive [0-9]+) //' | sort -u | wc -l)
        [ "$ids" = 1 ] || fail "$ids boot ids or checksums of RAM in $1"
        ! grep -a BAD "$1" >&2 || fail "damaged data in $1"
}
