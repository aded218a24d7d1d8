# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Exit codes and where words go: wrong usage is 2 and says nothing on standard
# output; help is 0 and says nothing on standard error; one line an error.
failed=0

say() {
        echo "$*" >&2
        failed=1
}

# try CODE ARG...: leaves `out` and `err`.
try() {
        local want=$1 got=0
        shift
        "$STASIS" "$@" > out 2> err < /dev/null || got=$?
        [ $got = "$want" ] || say "exit $got, not $want: stasis $*: $(cat err)"
}

wrong() {
        try 2 "$@"
        [ ! -s out ] || say "standard output: stasis $*"
        [ -s err ] || say "no word: stasis $*"
}

# One line that begins with the command's name and holds the text.
error() {
        local code=$1 text=$2
        shift 2
        try "$code" "$@"
        [ ! -s out ] || say "standard output: stasis $*"
        [ "$(wc -l < err)" = 1 ] || say "not one line: stasis $*: $(cat err)"
        grep -q "^stasis $1: " err || say "who? stasis $*: $(cat err)"
        grep -qF -- "$text" err || say "not '$text': stasis $*: $(cat err)"
}

try 0 --help
[ ! -s err ] || say "help on standard error"
try 0 --version
grep -qE '^stasis [0-9]+\.[0-9]+\.[0-9]+$' out || say "version: $(cat out)"
wrong
wrong nonsense
wrong --nonsense

commands=$("$STASIS" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' |
        grep -vx completion)
for command in $commands; do
        try 0 "$command" --help
        grep -q "^usage: stasis $command " out || say "usage of $command"
        [ ! -s err ] || say "help of $command on standard error"
        error 2 --nonsense "$command" --nonsense
        error 2 "" "$command"
done

error 2 --threads verify --threads x file
error 2 --threads verify --threads=257 file
error 2 --threads verify file --threads
error 2 compress import --compress gzip stream file
error 2 compress import --compress zstd:99 stream file
error 1 missing.stasis info missing.stasis
error 1 missing.stasis verify missing.stasis
error 1 missing.stream import missing.stream file
[ ! -e file ] || say "a failed import left a file"

# A file that is none, and one that is empty.
head -c 100000 /dev/zero | tr '\0' x > other
: > empty
for command in info list verify; do
        error 3 other "$command" other
        error 3 empty "$command" empty
done
"$STASIS" import other file 2> err
[ $? = 3 ] || say "import of what is no stream: $(cat err)"

# Names cannot drive a terminal.
error 1 'No such file' info "$(printf 'a\033[31mb')"
! grep -q "$(printf '\033')" err || say "an escape in a message"

# What was there is not replaced unasked.
echo mine > there
error 2 there import other there
[ "$(cat there)" = mine ] || say "import replaced a file"

# A full standard output is a failure.
if [ -e /dev/full ]; then
        "$STASIS" --help > /dev/full 2> err
        [ $? = 1 ] || say "--help to a full device"
fi

# Completion loads, and knows the commands and their options.
"$STASIS" completion > completion
bash -n completion || say "completion is no bash"
for command in $commands; do
        grep -qw "$command" completion || say "completion lacks $command"
done
exit $failed
