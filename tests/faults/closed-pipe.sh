# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Whoever reads a save's output goes away: after nothing, after some of it, just
# before its end.
. "$SOURCE/tests/faults/common.sh" || exit 1

start_boot_sector dots
"$STASIS" save --qmp vm.qmp --compress none - > whole || fail "save to a pipe"
try "verify what came through a pipe" "$STASIS" verify whole
whole=$(stat -c %s whole)
# What a pipe holds (64 KiB) is written before anybody can notice.
for bytes in 0 1 4096 65536 $((whole / 2)) $((whole - 100000)); do
        "$STASIS" save --qmp vm.qmp --compress none - 2> message |
                head -c "$bytes" > /dev/null
        status=${PIPESTATUS[0]}
        [ "$status" = 1 ] || fail "$bytes bytes: status $status: $(cat message)"
        grep -q 'Broken pipe' message || fail "$bytes bytes: $(cat message)"
        unharmed "closed after $bytes bytes"
done
saves_well
