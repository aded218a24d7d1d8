#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# build.sh DIR: makes the guests that tests boot, if they are not there:
#
#   DIR/cloud/{vmlinuz,initrd}  Debian's cloud kernel: virtio, IDE; boots fast
#   DIR/full/{vmlinuz,initrd}   Debian's usual kernel: e1000 and USB as well
#   DIR/pages.img               a boot sector that counts in every page
#   DIR/dots.img                the same, but it leaves pages alone
#
# The kernel is the machine's own if it has the package, else the package is
# downloaded and unpacked; nothing is installed.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)

# With what they depend on; a name that a kernel lacks is built in.
modules="virtio_pci virtio_blk virtio_scsi virtio_net virtio-rng sd_mod ata_piix
        ahci e1000 uhci-hcd ehci-pci xhci-pci usb-storage crc32c_generic ext4
        efivarfs"

# kernel_package META: the kernel that the package META stands for now.
kernel_package() {
        apt-cache depends "$1" 2>/dev/null |
                sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# find_kernel FLAVOUR: sets root and version.
find_kernel() {
        local meta=linux-image-$1-amd64 package
        [ "$1" != full ] || meta=linux-image-amd64
        package=$(kernel_package "$meta")
        if [ -z "$package" ]; then
                # A machine whose lists of packages were never fetched.
                apt-get -q update > /dev/null 2>&1 || true
                package=$(kernel_package "$meta")
        fi
        if [ -z "$package" ]; then
                echo "$0: apt does not know $meta; try apt-get update" >&2
                return 1
        fi
        version=${package#linux-image-}
        root=
        [ -r "/boot/vmlinuz-$version" ] && [ -d "/lib/modules/$version" ] &&
                return
        root=$tmp/root
        (cd "$tmp" && apt-get -q download "$package" > download.log 2>&1 || {
                cat download.log >&2; exit 1; })
        dpkg-deb -x "$tmp/$package"_*.deb "$root"
        rm -f "$tmp/$package"_*.deb
}

# add_module NAME: copies it behind all that it depends on, once.
add_module() {
        local name=${1//[-_]/_} found file need
        grep -qsx "$name" "$tree/modules/order" && return
        found=$(find "$root/lib/modules/$version/kernel" \
                -name "${1//[-_]/[-_]}.ko" -o \
                -name "${1//[-_]/[-_]}.ko.xz" | head -n 1)
        [ -n "$found" ] || return 0
        file=$tree/modules/$name.ko
        case $found in
        *.xz) xz -dc "$found" > "$file" ;;
        *) cp "$found" "$file" ;;
        esac
        for need in $(tr '\0' '\n' < "$file" | sed -n 's/^depends=//p' |
                        tr ',' ' '); do
                add_module "$need"
        done
        echo "$name" >> "$tree/modules/order"
}

build_linux() {
        local flavour=$1 out=$dir/$1
        # What this was made from, so that a changed guest is made again.
        local stamp
        stamp=$(cat "$here/init" "$here/build.sh" | cksum)
        [ "$(cat "$out/stamp" 2>/dev/null)" != "$stamp" ] || return 0
        tmp=$(mktemp -d "$dir/tmp-XXXXXX")
        trap 'rm -rf "$tmp"' EXIT
        tree=$tmp/tree
        find_kernel "$flavour"
        mkdir -p "$tree"/{bin,dev,proc,sys,run,tmp,modules}
        cp /bin/busybox "$tree/bin/busybox"
        cp "$here/init" "$tree/init"
        chmod 755 "$tree/init"
        for name in $modules; do
                add_module "$name"
        done
        mkdir -p "$out"
        (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet |
                gzip -1) > "$tmp/initrd"
        cp "$root/boot/vmlinuz-$version" "$out/vmlinuz"
        mv "$tmp/initrd" "$out/initrd"
        echo "$stamp" > "$out/stamp"
        rm -rf "$tmp"
        trap - EXIT
}

# build_boot_sector NAME [OPTION-OF-as...]
build_boot_sector() {
        local name=$1
        shift
        [ "$dir/$name.img" -nt "$here/pages.S" ] && return
        as --32 "$@" -o "$dir/$name.o" "$here/pages.S"
        ld -m elf_i386 -Ttext 0x7c00 --oformat binary -e _start \
                -o "$dir/$name.img" "$dir/$name.o"
        rm -f "$dir/$name.o"
}

exec 9> "$dir/lock"
flock 9
build_boot_sector pages
build_boot_sector dots --defsym QUIET=1
build_linux cloud
build_linux full
