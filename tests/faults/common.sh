# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A VM to disturb saves of: it writes a dot to its console all the time.
# Sourced.
. "$SOURCE/tests/lib.sh" || exit 1

# start_boot_sector pages: all of RAM changes all the time.
# start_boot_sector dots: none does; snapshots are all of one size, but for a
# few bytes.
start_boot_sector() {
        start vm -M pc -m 64 -device floppy,drive=d \
                -drive "file=$GUEST/$1.img,format=raw,readonly=on,if=none,id=d"
        wait_for vm.serial '\.\.' 60
        mkdir -p out
        echo older > older
}

dots() {
        start vm -M pc -m 64 -device floppy,drive=d \
                -drive "file=$GUEST/pages.img,format=raw,readonly=on,if=none,id=d"
        wait_for vm.serial '\.\.' 60
        mkdir out
        echo older > older
}

dots() {
        stat -c %s vm.serial
}

more_dots_than() {
        [ "$(dots)" -gt "$1" ]
}

# unharmed WHAT: what every failure must leave: the VM runs within a second,
# nothing is in out/ but an older file as it was.
unharmed() {
        local was
        within 1 is_state vm running || fail "$1: the VM does not run"
        was=$(dots)
        within 1 more_dots_than "$was" || fail "$1: the guest stands still"
        [ "$(ls -A out)" = "${older_name:-}" ] ||
                fail "$1: left behind: $(ls -A out)"
        [ -z "${older_name:-}" ] || cmp -s older "out/$older_name" ||
                fail "$1: the older file is not as it was"
}

# Nothing that failed before may spoil the next save.
saves_well() {
        try "a save afterwards" "$STASIS" save --qmp vm.qmp --force well.stasis
        try "its check" "$STASIS" verify well.stasis
        is_state vm running || fail "the VM does not run after a good save"
}
