# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One stream, one snapshot, byte for byte, whatever the number of workers and
# however they happen to overlap; and out of it one stream again.  Pages come
# again while their chunks are still on their way.
set -eu

export SOURCE_DATE_EPOCH=1767225600
export STASIS_ID=00000000-0000-4000-8000-000000000000

fail() {
        echo "FAILED: $*" >&2
        exit 1
}

# same NAME COMPRESS: NAME.stasis, at every number of threads.
same() {
        local threads
        for threads in 0 1 2 8; do
                "$STASIS" import --threads $threads --compress "$2" \
                        "$1.stream" "$threads.stasis" ||
                        fail "import $1 $2 with $threads threads"
                cmp 0.stasis $threads.stasis ||
                        fail "$1, $2: other bytes with $threads threads"
        done
        mv 0.stasis $1.stasis
        rm -f [0-9].stasis
}

# back NAME: and the same stream out of it.
back() {
        local threads
        for threads in 0 1 2 8; do
                "$STASIS" restore --threads $threads --to - "$1.stasis" \
                        > $threads.out || fail "restore --to - of $1"
                cmp 0.out $threads.out ||
                        fail "$1: another stream with $threads threads"
        done
        rm -f [0-9].out
}

# What is at work here: chunks that are large, that compress, that are zero,
# and those that are written a second time.
"$TOOLS/synth" 40 counter 200 20 1000 > mixed.stream
"$STASIS" import --json mixed.stream mixed.stasis > report
[ "$(jq .pages_again report)" = 1000 ] || fail "no page came again"
"$TOOLS/synth" 24 random 256 0 200 > random.stream
"$TOOLS/synth" 100 fill 1 > sparse.stream
for compress in none zstd:-1 zstd:1; do
        same mixed $compress
        same random $compress
done
same sparse zstd:1
back mixed
back random
back sparse

# running OPTION...: how many threads an import has that waits for its stream.
running() {
        local pid count=0 last=-1
        "$@" < stream > /dev/null 3>&- &
        pid=$!
        until [ $count -gt 1 ] && [ $count = $last ]; do
                sleep 0.1
                last=$count
                count=$(ls /proc/$pid/task | wc -l)
        done
        echo "$count"
        kill $pid
        wait $pid || true
}

# Without --threads: one for each CPU that the program may use.
mkfifo stream
exec 3<> stream
for cpus in 0 "$(taskset -cp $$ | sed 's/.*: //')"; do
        want=$(running taskset -c $cpus "$STASIS" import --threads \
                "$(taskset -c $cpus nproc)" - -)
        got=$(running taskset -c $cpus "$STASIS" import - -)
        [ "$got" = "$want" ] || fail "on CPUs $cpus: $got threads, not $want"
done
