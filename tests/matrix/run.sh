#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run.sh DIR: the whole matrix, with the installed QEMU and those of other
# versions in DIR (tests/versions.sh).  Says when the table in the documents is
# no longer what comes out.  (make check-matrix)

set -u
: "${STASIS:?run by make}" "${TOOLS:?}" "${GUEST:?}" "${SOURCE:?}"
page=$SOURCE/spec/check-matrix.md
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

version() {
        "$1" -version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p'
}

qemus=()
for q in "${QEMU:-qemu-system-x86_64}" "$1"/qemu-{5.2,7.2,10.0}; do
        [ -x "$(command -v "$q")" ] || continue
        qemus+=(--qemu "$(version "$q")=$q")
done
nice python3 "$SOURCE/tests/matrix/matrix.py" --stasis "$STASIS" \
        --edit "$TOOLS/edit" --guest "$GUEST" "${qemus[@]}" \
        --pairs "${PAIRS:-240}" --table "$out/table"
status=$?
[ -s "$out/table" ] || { echo "0 passed, 1 failed"; exit 1; }
sed -n '/^|/p' "$page" | cmp -s - "$out/table" ||
        echo "spec/check-matrix.md has another table"
cp "$out/table" "${TABLE:-/dev/null}"
[ $status = 0 ] && echo "1 passed, 0 failed" || echo "0 passed, 1 failed"
exit $status
