#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# versions.sh fetch DIR: QEMU of other Debian suites, unpacked under DIR, with a
#       command DIR/qemu-VERSION for each.  Nothing is installed but mmdebstrap.
# versions.sh run DIR TEST...: the tests with each of them, one after another.
#
# SUITES: which ("bullseye trixie sid").  MIRROR: default, that of apt.

set -u
here=$(cd "$(dirname "$0")" && pwd)
SUITES=${SUITES:-bullseye trixie sid}
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
shift 2

mirror() {
        sed -n -E 's/^URIs: *([^ ]+).*/\1/p; s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' \
                /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
                grep '/debian/\?$' | head -n 1
}

fetch_one() {
        local suite=$1 root=$dir/$1
        [ ! -e "$root/done" ] || return 0
        rm -rf "$root"
        mmdebstrap --quiet --variant=extract --components=main \
                --include=qemu-system-x86,qemu-system-data,seabios,ipxe-qemu \
                --aptopt='APT::Install-Recommends "false"' \
                --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$root" \
                "deb [check-valid-until=no] $MIRROR $suite main" || return
        touch "$root/done"
}

# The unpacked QEMU with its own loader and libraries, without chroot.
wrap() {
        local root=$dir/$1 lib loader version
        lib=$root/usr/lib/x86_64-linux-gnu
        for loader in "$root/usr/lib64/ld-linux-x86-64.so.2" \
                        "$lib/ld-linux-x86-64.so.2" \
                        "$root/lib/x86_64-linux-gnu/"ld-2.*.so; do
                [ -e "$loader" ] && break
        done
        cat > "$root/qemu" <<END
#!/bin/sh
QEMU_MODULE_DIR=$lib/qemu exec $loader \\
        --library-path $lib:$root/lib/x86_64-linux-gnu:$lib/pulseaudio \\
        $root/usr/bin/qemu-system-x86_64 -L $root/usr/share/qemu \\
        -L $root/usr/share/seabios -L $root/usr/lib/ipxe/qemu "\$@"
END
        chmod +x "$root/qemu"
        version=$("$root/qemu" -version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p')
        [ -n "$version" ] || { echo "$root/qemu does not run" >&2; return 1; }
        ln -sf "$root/qemu" "$dir/qemu-$version"
}

fetch() {
        local suite
        "$here/deps.sh" versions || return
        MIRROR=${MIRROR:-$(mirror)}
        for suite in $SUITES; do
                fetch_one "$suite" && wrap "$suite" || return
        done
}

# A closing line of its own, over all versions.
run() {
        local qemu passed=0 failed=0 p f log
        log=$(mktemp)
        for qemu in "$dir"/qemu-*; do
                QEMU=$qemu TEST_PREFIX="${qemu##*/} " "$here/run.sh" "$@" |
                        tee "$log" | sed '/^[0-9]* passed, [0-9]* failed$/d'
                read -r p f < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
                passed=$((passed + p)) failed=$((failed + f))
        done
        rm -f "$log"
        echo "$passed passed, $failed failed"
        [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

case $action in
fetch) fetch ;;
run) run "$@" ;;
*) exit 2 ;;
esac
