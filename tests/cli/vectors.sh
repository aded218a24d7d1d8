# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 900
#
# Snapshots made by hand, good and bad, from a file and from a pipe: what is
# good passes, what is bad is refused with the reason kept beside it.
# With UPDATE=1, what is said now is kept.  (tests/vectors/README.md)

vectors=$SOURCE/tests/vectors
failed=0

# The sort of a vector is the beginning of its name, and the exit code.
code_of() {
        case $1 in
        good-*) echo 0 ;;
        bad-*) echo 3 ;;
        unsupported-* | limit-*) echo 4 ;;
        esac
}

say() {
        echo "$name: $*"
        failed=1
}

check_code() {
        [ "$1" = "$(code_of "$name")" ] || say "$2: exit $1"
}

for description in "$vectors"/*.vector; do
        name=$(basename "$description" .vector)
        file=$name.stasis
        bash "$vectors/assemble.sh" "$description" "$file" ||
                { say "cannot be assembled"; continue; }
        "$STASIS" verify --json --threads 0 "$file" > said 2> line
        check_code $? file
        cat "$file" | "$STASIS" verify - > /dev/null 2> line.pipe
        check_code $? pipe
        case $name in
        good-*)
                "$STASIS" verify --quick "$file" > /dev/null 2>&1 ||
                        say "quick: refused"
                # How far zstd shrinks a chunk is its own affair.
                "$STASIS" info --json "$file" > info || say "info: exit $?"
                sed '/"stored_bytes": /d; /"file_bytes": /d' info > said
                ;;
        *) cat line.pipe >> said ;;
        esac
        [ -z "${UPDATE:-}" ] || cp said "$vectors/$name.expect"
        diff -u "$vectors/$name.expect" said || say "not as expected"
        rm -f "$file"
done
exit $failed
