# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 1500
#
# Memory does not grow with RAM: at most 64 MiB and 96 MiB for each TiB, to
# save, to verify (from a file and from a pipe) and to restore.  The RAM is of
# chunks with one page each, some of which come again.  LONG=1: a million
# chunks.
. "$SOURCE/tests/lib.sh" || exit 1

# At the lesser size all that has a limit of its own is full already (the index
# and pages that came again are in files): what comes on top is growth.
little=24576 much=57344 # MiB
[ -z "${LONG:-}" ] || much=1000000
again=2500

# peak NAME COMMAND...: its largest resident set in KiB, into NAME.peak.
peak() {
        try "$1" python3 -c '
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
open(sys.argv[1] + ".peak", "w").write(f"{peak}\n")
sys.exit(code)' "$@"
}

measure() { # MIB
        local chunks
        "$TOOLS/synth" "$1" fill 1 0 $again |
                peak "save-$1" "$STASIS" import --force --threads 2 \
                        - x.stasis ||
                exit 1
        peak "verify-$1" "$STASIS" verify --threads 2 x.stasis > verify.out
        chunks=$(sed -n 's/^.*sound: \([0-9]*\) chunks.*/\1/p' verify.out)
        [ "${chunks:-0}" -ge "$1" ] ||
                fail "not all chunks are there: $(cat verify.out)"
        peak "pipe-$1" "$STASIS" verify --threads 2 - < <(cat x.stasis) \
                > verify.out
        peak "restore-$1" "$STASIS" restore --threads 2 --to - x.stasis \
                2> restore.err > >(cat > /dev/null)
}

# KiB for MIB of RAM.
growth() {
        echo $((96 * $1 / 1024))
}

measure $little
measure $much
for what in save verify pipe restore; do
        less=$(cat $what-$little.peak) more=$(cat $what-$much.peak)
        say "$what: $less KiB at $little MiB, $more KiB at $much MiB"
        [ "$more" -le $((64 * 1024 + $(growth $much))) ] ||
                fail "$what: above the bound"
        # One MiB for where pages and stacks happen to fall.
        [ $((more - less)) -le $((1024 + $(growth $((much - little))))) ] ||
                fail "$what: memory grows with RAM: by $((more - less)) KiB"
done
