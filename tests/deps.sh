#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# deps.sh [demo|versions|bench|ci]: installs what building and testing needs and the
# machine lacks (Debian and its kin).  Without the right to, prints the one
# command to run and fails.  With `demo`: less, what that takes; with
# `versions`: also what fetches other QEMU versions; with `bench`: also what
# stasis is measured beside; with `ci`: the other compiler.

set -u
build="gcc libc6-dev make pkg-config libarchive-dev libzstd-dev
        libjansson-dev libxxhash-dev zlib1g-dev libblkid-dev
        libnbd-dev libgnutls28-dev"
tests="libcmocka-dev qemu-system-x86 qemu-utils busybox-static cpio gzip
        xz-utils zstd xxhash tar binutils jq e2fsprogs fdisk mount
        gnutls-bin openssh-client openssh-server"
others="ovmf qemu-system-arm qemu-system-misc qemu-system-ppc python3 strace"
versions="mmdebstrap"
bench="lzop python3-matplotlib libvirt-daemon libvirt-clients
        libvirt-daemon-driver-qemu"
ci="clang"

want="$build $tests $others"
case ${1:-} in
demo) want="$build $tests" ;;
versions) want="$want $versions" ;;
bench) want="$want $bench" ;;
ci) want="$want $ci" ;;
esac
missing=
for package in $want; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
                grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
        root=sudo
        if ! command -v sudo > /dev/null || ! sudo -n true 2>/dev/null; then
                # With a terminal, sudo may ask.
                if ! command -v sudo > /dev/null || [ ! -t 0 ]; then
                        echo "These packages are missing; as root, run:" >&2
                        echo "  apt-get install --no-install-recommends" \
                             $missing >&2
                        exit 1
                fi
        fi
fi
echo "Installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $root apt-get -q update &&
       $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install \
                --no-install-recommends $missing; } > "$log" 2>&1 < /dev/null
then
        tail -n 20 "$log" >&2
        exit 1
fi
