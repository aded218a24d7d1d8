# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What the documents say is there: each path that they name, a manual page for
# each command with each of its options, and targets of make.
cd "$SOURCE" || exit 1
failed=0

say() {
        echo "$*" >&2
        failed=1
}

documents="README.md NEWS.md $(ls spec/*.md tests/vectors/README.md 2>/dev/null)"

for document in $documents; do
        for path in $(grep -oE '`[^` ]+`' "$document" | tr -d '`' |
                        grep -E '^(base|cmd|format|qemu|qcow|save|restore|spec|tests|bench)/[A-Za-z0-9_./-]+$' |
                        sort -u); do
                [ -e "$path" ] || say "$document: there is no $path"
        done
        for path in $(grep -oE '(spec|tests)/[A-Za-z0-9_-]+\.(md|sh|c)' \
                        "$document" | sort -u); do
                [ -e "$path" ] || say "$document: there is no $path"
        done
done

for target in $(grep -oE '^ +make [^#]*|`make [^`]*`' README.md | tr -d '`' |
                tr ' ' '\n' | grep -E '^[a-z][a-z-]*$' | grep -vx make |
                sort -u); do
        grep -qE "^[a-z -]*\\b$target\\b[a-z -]*:" Makefile ||
                say "README.md: make has no target $target"
done

commands=$("$STASIS" --help | sed -n '/^commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
[ -n "$commands" ] || say "no commands"
for command in $commands; do
        grep -q "^\\.BR* $command\\b" spec/man/stasis.1.in ||
                say "stasis(1) does not know $command"
        [ "$command" != completion ] || continue
        page=spec/man/stasis-$command.1.in
        if [ ! -e "$page" ]; then
                say "$command has no manual page"
                continue
        fi
        grep -qx '@OPTIONS@' "$page" || say "$page has no options"
        "$STASIS" --man-options "$command" > "$TMPDIR/options"
        for option in $("$STASIS" "$command" --help |
                        sed -n 's/^  --\([a-z-]*\).*/\1/p'); do
                grep -qF "\\-\\-${option//-/\\-}\\fR" "$TMPDIR/options" ||
                        say "$page: --$option"
        done
done

# Examples in pages and README are of options that there are.
for file in README.md spec/man/*.in; do
        sed 's/\\-/-/g; s/\\fR//g' "$file" |
                grep -oE 'stasis (save|restore|import|info|list|verify|dirty-log) [^|;>`]*' |
        while read -r _ command rest; do
                for word in ${rest%% -- *}; do
                        case $word in
                        --) break ;;
                        --[a-z]*)
                                "$STASIS" "$command" --help |
                                        grep -qE -- "^  ${word%%=*}( |\[|$)" ||
                                        echo "$file: $command has no $word" ;;
                        esac
                done
        done
done > "$TMPDIR/unknown"
[ ! -s "$TMPDIR/unknown" ] || say "$(cat "$TMPDIR/unknown")"
exit $failed
