# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Files of Debian's QEMU source package, as an oracle beside what we do; sourced
# by bash.  The package comes from the mirror of apt, checked as apt checks it,
# and stays in the cache; nothing is set up on the machine.
#
# qemu_source PATH...: prints where these files or directories are now.

# One suite for every machine: what the oracle says must not depend on it.
qemu_source_suite=bookworm

qemu_source_mirror() {
        sed -n -E 's/^URIs: *([^ ]+).*/\1/p
                s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' \
                /etc/apt/sources.list /etc/apt/sources.list.d/* 2> /dev/null |
                grep '/debian/\?$' | head -n 1
}

# qemu_source_fetch DIR: the package's archive as DIR/qemu.tar.xz.
qemu_source_fetch() {
        local dir=$1 mirror options
        mirror=${MIRROR:-$(qemu_source_mirror)}
        rm -rf "$dir/apt"
        mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
        echo "deb-src [check-valid-until=no]" \
                "${mirror:-http://deb.debian.org/debian}" \
                "$qemu_source_suite main" > "$dir/apt/sources.list"
        options=(-q -o "Dir::Etc::SourceList=$dir/apt/sources.list"
                -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$dir/apt/lists"
                -o "Dir::Cache=$dir/apt/cache" -o APT::Sandbox::User=root)
        apt-get "${options[@]}" update &&
                (cd "$dir/apt" && apt-get "${options[@]}" source \
                        --download-only --only-source qemu) || return
        mv "$dir"/apt/qemu_*.orig.tar.xz "$dir/qemu.tar.xz" &&
                rm -rf "$dir/apt"
}

# qemu_source_unpack DIR PATH
qemu_source_unpack() {
        local dir=$1 path=$2
        [ ! -e "$dir/$path" ] || return 0
        [ -e "$dir/qemu.tar.xz" ] || qemu_source_fetch "$dir" || return
        rm -rf "$dir/new"
        mkdir -p "$dir/new" "$dir/$(dirname "$path")" &&
                tar -xJf "$dir/qemu.tar.xz" -C "$dir/new" --wildcards \
                        --no-same-owner --strip-components=1 "*/$path" &&
                mv "$dir/new/$path" "$dir/$path" && rm -rf "$dir/new"
}

qemu_source() {
        local dir=${GUEST%/*}/qemu-source path
        mkdir -p "$dir"
        for path; do
                # Two tests may ask at once; what a failed fetch says belongs
                # to the test's log.
                (flock 9 && qemu_source_unpack "$dir" "$path") \
                        9< "$dir" >&2 || return
                echo "$dir/$path"
        done
}
