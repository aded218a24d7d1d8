# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# What check says beside what QEMU does, of some pairs of snapshot and target;
# all of them: make check-matrix.
. "$SOURCE/tests/lib.sh" || exit 1

version=$("$QEMU" -version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p')
few=(--pairs 24 --machine pc-i440fx-5.2 --machine pc-q35-5.2)
[ -z "${LONG:-}" ] || few=(--pairs 80)
try "a verdict of check" python3 "$SOURCE/tests/matrix/matrix.py" \
        --stasis "$STASIS" --edit "$TOOLS/edit" --guest "$GUEST" \
        --qemu "$version=$QEMU" "${few[@]}"
