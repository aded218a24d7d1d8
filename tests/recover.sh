# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Runs the commands of the specification's chapter on recovering everything by
# hand; sourced.

# chapter TITLE: the commands of the section of that title.
chapter() {
        awk -v title="$1" '
                /^## /  { in_chapter = /Recovering everything by hand/ }
                /^### / { wanted = in_chapter && index($0, title) }
                /^```sh/ { in_code = 1; next }
                /^```/  { in_code = 0 }
                wanted && in_code' "$SOURCE/spec/stasis-format.md"
}

# follow SNAPSHOT TITLE: runs that section on a snapshot, in this directory.
follow() {
        local commands
        commands=$(chapter "$2")
        [ -n "$commands" ] || fail "the specification has no section '$2'"
        snapshot=$(realpath "$1") sh -eu -c "$commands"
}

# recover SNAPSHOT: everything into recovered/, here.
recover() {
        rm -rf stasis ram stream disk recovered
        follow "$1" Unpack > /dev/null || fail "unpacking by hand"
        follow "$1" RAM || fail "recovering RAM by hand"
        follow "$1" "other items" || fail "recovering the items by hand"
        # An overlay is put over a raw copy of its base.
        mkdir -p recovered/disk
        local base
        for base in disk/*; do
                [ ! -e "${base#disk/}.base" ] ||
                        cp --sparse=always "${base#disk/}.base" \
                                "recovered/$base.img"
        done
        follow "$1" Disks || fail "recovering disks by hand"
}
