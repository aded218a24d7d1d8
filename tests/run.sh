#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run.sh TEST...: runs programs and scripts, each in an empty directory of its
# own, and ends with the line "N passed, N failed".  A unit test program counts
# as one.  0: a test ran and none failed.
#
# A test passes by exit status 0 and skips by 77 (its last line says why).  A
# script may set its own time limit in seconds: "# timeout: 600".  Beside
# NAME.sh, NAME.stdout, NAME.stderr and NAME.exit say what it must print and
# return, where they exist.
#
# JOBS: how many at a time (default: the CPUs, at most 4).  WRAP: put before
# programs.  TEST_PREFIX: put before names that are shown.

set -u
cpus=$(nproc)
JOBS=${JOBS:-$((cpus < 4 ? cpus : 4))}
top=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/stasis-check-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 1' INT TERM

limit_of() {
        local limit
        limit=$(sed -n 's/^# timeout: \([0-9]*\)$/\1/p' "$1" 2>/dev/null |
                head -n 1)
        echo "${limit:-300}"
}

# Compares what was printed or returned with what is kept beside the script.
expected() {
        local kept=${1%.sh}.$2
        [ -e "$kept" ] || return 0
        diff -u "$kept" "$3" >> "$4" 2>&1
}

run_script() {
        local test=$1 dir=$2 status
        timeout -k 10 "$(limit_of "$test")" bash "$test" \
                > "$dir.stdout" 2> "$dir.stderr" < /dev/null
        status=$?
        cat "$dir.stdout" "$dir.stderr" > "$dir.log"
        [ $status = 77 ] && return 77
        if [ -e "${test%.sh}.exit" ]; then
                echo $status > "$dir.exit"
                expected "$test" exit "$dir.exit" "$dir.log"
                status=$?
        fi
        expected "$test" stdout "$dir.stdout" "$dir.log" || status=1
        expected "$test" stderr "$dir.stderr" "$dir.log" || status=1
        return $status
}

run_program() {
        timeout -k 10 900 ${WRAP:-} "$1" > "$2.log" 2>&1 < /dev/null
}

run_one() {
        local test=$1 dir=$2 begun=$SECONDS status
        mkdir "$dir"
        cd "$dir" || exit 1
        export TMPDIR=$dir
        case $test in
        *.sh) run_script "$test" "$dir" ;;
        *) run_program "$test" "$dir" ;;
        esac
        status=$?
        cd /
        echo "$status $((SECONDS - begun))" > "$dir.result"
}

report() {
        local test=$1 dir=$2 name status seconds
        name=${TEST_PREFIX:-}${test#"$top"/}
        name=${name#"${BUILD_DIR:-}"/}
        read -r status seconds < "$dir.result" || status=lost seconds=0
        case $status in
        0) passed=$((passed + 1)); echo "ok    $name ($seconds s)" ;;
        77) skipped=$((skipped + 1))
            echo "skip  $name: $(tail -n 1 "$dir.log")" ;;
        *) failed=$((failed + 1))
           [ "$status" = 124 ] && status='time is up'
           echo "FAIL  $name ($seconds s, status: $status)"
           tail -n "${LOG_LINES:-60}" "$dir.log" | sed 's/^/      | /' ;;
        esac
        rm -rf "$dir" "$dir".*
}

passed=0 failed=0 skipped=0 running=0 next=0 shown=0
tests=()
for test; do
        case $test in
        /*) tests+=("$test") ;;
        *) tests+=("$top/$test") ;;
        esac
done
while [ $shown -lt ${#tests[@]} ]; do
        while [ $running -lt "$JOBS" ] && [ $next -lt ${#tests[@]} ]; do
                run_one "${tests[$next]}" "$work/$next" &
                next=$((next + 1)) running=$((running + 1))
        done
        wait -n
        running=$((running - 1))
        # In order, as soon as those before are done.
        while [ $shown -lt $next ] && [ -e "$work/$shown.result" ]; do
                report "${tests[$shown]}" "$work/$shown"
                shown=$((shown + 1))
        done
        if [ $running = 0 ] && [ $next = ${#tests[@]} ] &&
           [ $shown -lt $next ]; then
                # A test whose runner died.
                : > "$work/$shown.log"; echo lost 0 > "$work/$shown.result"
                running=0
                report "${tests[$shown]}" "$work/$shown"
                shown=$((shown + 1))
        fi
done
[ $skipped = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
