# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Ctrl-C and its kin: a save ends in an orderly way, says so, and leaves the VM's
# settings as they were.
. "$SOURCE/tests/faults/common.sh" || exit 1

start_boot_sector pages
settings() {
        qmp vm query-migrate-capabilities
        qmp vm query-migrate-parameters
}
before=$(settings)
# A reader that stalls holds the save where a signal is sure to meet it.
mkfifo stalled
for signal in INT TERM HUP; do
        exec 3<> stalled
        # A script's background jobs ignore SIGINT: this one must not.
        env --default-signal=INT "$STASIS" save --qmp vm.qmp --compress none \
                - > stalled 2> message &
        saver=$!
        sleep 0.5
        kill -$signal $saver
        expect 1 wait $saver
        exec 3<&-
        grep -q "cancelled by SIG$signal" message || fail "$(cat message)"
        unharmed "SIG$signal"
        [ "$(settings)" = "$before" ] || fail "SIG$signal: settings are changed"
done
saves_well
[ "$(settings)" = "$before" ] || fail "settings are changed by a good save"
