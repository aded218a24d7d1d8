# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 600
#
# `stasis show --json` says of device state what QEMU's own analyze-migration.py
# says of it, field by field: machines of five architectures, with every kind of
# device that QEMU lets migrate.  No guest runs.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/source.sh" || exit 1

oracle=$(qemu_source scripts/analyze-migration.py) || fail "no oracle"
truncate -s 16M disk

# Each adds to `machine`.
drives() {
        local id
        for id; do
                machine+=(-drive
                        "file=disk,format=raw,if=none,id=$id,file.locking=off")
        done
}

# What this QEMU does not know is left out.
devices() {
        local device
        for device; do
                if "$vm_qemu" -M none -device "${device%%,*},help" \
                        > /dev/null 2>&1; then
                        machine+=(-device "$device")
                else
                        say "${device%%,*}: unknown to this QEMU"
                fi
        done
}

completed() {
        case $(qmp vm query-migrate "" status) in
        completed) return 0 ;;
        failed) fail "QEMU: migration failed: $(qmp vm query-migrate)" ;;
        *) return 1 ;;
        esac
}

vm_version() {
        "$vm_qemu" -version | sed -n 's/.*version \([0-9]*\.[0-9]*\).*/\1/p'
}

# begin EMULATOR ARG...
begin() {
        vm_qemu=$1
        shift
        machine=("$@")
}

compare() {
        python3 "$SOURCE/tests/qemu/show-compare.py" "$@" "$oracle" vm.stream \
                shown.json
}

# The script of 7.2 can read what that QEMU writes of some machines.
alone=()
[ "$QEMU" != qemu-system-x86_64 ] || alone=(--alone)

# told DEVICES FIELDS [--alone]: our machine is started, its stream is recorded
# and shown; at least so many of both are compared.
told() {
        local least_devices=$1 least_fields=$2 count rest
        shift 2
        QEMU=$vm_qemu start vm -S "${machine[@]}"
        qmp vm migrate-set-parameters '{"max-bandwidth":0}' > /dev/null
        try migrate qmp vm migrate "{\"uri\":\"exec:cat > $PWD/vm.stream\"}" \
                > /dev/null
        within 60 completed || fail "no end of the migration"
        stop "$pid"
        try import "$STASIS" import --force vm.stream vm.stasis
        try "verify --strict" "$STASIS" verify --strict vm.stasis > strict
        "$STASIS" show --json vm.stasis > shown.json || fail show
        compare "$@" > totals || fail "the oracle says something else"
        say "${machine[1]}: $(cat totals)"
        read -r count rest < totals
        [ "$count" -ge "$least_devices" ] || fail "only $count devices"
        count=$(sed -n 's/.* \([0-9]*\) fields,.*/\1/p' totals)
        [ "$count" -ge "$least_fields" ] || fail "only $count fields"
}

# edited JQ-FILTER: the comparison sees it.
edited() {
        cp shown.json kept.json
        jq "$1" kept.json > shown.json || fail "jq: $1"
        ! cmp -s <(jq . kept.json) shown.json || fail "nothing edited: $1"
        ! compare > totals 2> differs || fail "not seen: $1"
        say "seen: $(cat differs)"
        mv kept.json shown.json
}

usb=(usb-hub,bus=usb.0,port=1 usb-tablet,bus=usb.0,port=1.1
        usb-kbd,bus=usb.0,port=1.2 usb-mouse,bus=usb.0,port=1.3
        usb-storage,bus=usb.0,port=2,drive=usb)
nulls=(-chardev null,id=c0 -chardev null,id=c1 -chardev null,id=c2
        -chardev null,id=c3 -netdev user,id=n0 -audiodev none,id=a
        -object rng-random,id=rng0,filename=/dev/urandom)
shared=(-object "memory-backend-file,id=shm,size=1M,share=on,mem-path=$PWD/shm")

begin "$QEMU" -M pc -m 32 -smp 2 "${nulls[@]}" "${shared[@]}"
drives blk scsi hd cd fd lsi mega pv mpt am usb sd
devices cirrus-vga virtio-blk,drive=blk,num-queues=3 virtio-net,netdev=n0 \
        virtio-scsi,id=vs scsi-hd,drive=scsi,bus=vs.0 \
        virtio-rng,rng=rng0 virtio-balloon virtio-serial,id=ser \
        virtconsole,bus=ser.0,chardev=c0 \
        virtserialport,bus=ser.0,chardev=c1,name=port \
        e1000 rtl8139 ne2k_pci pcnet i82551 tulip \
        lsi,id=lsi scsi-hd,drive=lsi,bus=lsi.0 \
        megasas,id=mega scsi-hd,drive=mega,bus=mega.0 \
        pvscsi,id=pv scsi-hd,drive=pv,bus=pv.0 \
        mptsas1068,id=mpt scsi-hd,drive=mpt,bus=mpt.0 \
        am53c974,id=am scsi-hd,drive=am,bus=am.0 \
        piix3-usb-uhci,id=usb "${usb[@]}" usb-ehci pci-ohci \
        ide-hd,drive=hd ide-cd,drive=cd floppy,drive=fd \
        intel-hda hda-duplex,audiodev=a hda-micro,audiodev=a \
        AC97,audiodev=a ES1370,audiodev=a sb16,audiodev=a adlib,audiodev=a \
        cs4231a,audiodev=a gus,audiodev=a ib700 i6300esb \
        sdhci-pci,id=sdhci sd-card,drive=sd isa-serial,chardev=c2 \
        isa-parallel,chardev=c3 ivshmem-plain,memdev=shm,master=on pvpanic \
        isa-applesmc pci-serial vmgenid
told 80 40000 "${alone[@]}"

say "what the comparison sees"
edited '(.devices[] | select(.idstr == "i8254") | .fields[0].value) += 1'
edited 'del(.devices[] | select(.idstr == "i8254") | .fields[3])'
edited '(.devices[] | select(.idstr == "i8254") | .fields) += [
        {path: "more", type: "uint8", offset: 0, size: 0, value: ""}]'
edited '(.devices[] | select(.idstr == "i8254") | .fields[2].path) |= .[1:]'
edited '(.devices[] | select(.idstr == "i8254") | .fields[2].type) = "x"'
edited '(.devices[].fields[]? | select(.path | test("virtio.vq.0.*num$"))
        | .value) += 1'
edited '(.devices[].fields[]? | select(.type == "subsection") | .value) += 1'
edited 'del(.devices[2])'
edited '(.devices[] | select(.idstr == "slirp") | .value) |= "ff" + .[2:]'

begin "$QEMU" -M q35 -m 32,maxmem=1G,slots=4 -smp 3 "${nulls[@]}" \
        "${shared[@]}" -object memory-backend-ram,id=hot,size=128M \
        -object memory-backend-ram,id=dimm,size=128M \
        -object "memory-backend-file,id=erst,size=64K,share=on,mem-path=$PWD/erst"
drives blk ahci cd scsi mega
# A module, with libraries that an unpacked QEMU lacks.
[ "$QEMU" != qemu-system-x86_64 ] || devices qxl
devices intel-iommu VGA bochs-display secondary-vga \
        pcie-root-port,id=r0,chassis=1 pcie-root-port,id=r1,chassis=2 \
        pcie-root-port,id=r2,chassis=3 pcie-root-port,id=r3,chassis=4 \
        ioh3420,id=r4,chassis=5 ioh3420,id=r5,chassis=6 \
        pcie-pci-bridge,id=b0,bus=r4 \
        pci-bridge,id=b1,bus=b0,chassis_nr=9,addr=1 \
        x3130-upstream,id=up,bus=r5 xio3130-downstream,id=down,bus=up,chassis=10 \
        virtio-blk-pci,drive=blk,bus=r0 virtio-net-pci,netdev=n0,bus=r1,mq=on \
        virtio-gpu-pci,bus=r2 e1000e,bus=down vmxnet3,bus=r3 \
        ide-hd,drive=ahci,bus=ide.0 ide-cd,drive=cd,bus=ide.1 ahci,id=ahci2 \
        qemu-xhci,id=xhci nec-usb-xhci,id=nec usb-tablet,bus=xhci.0 \
        usb-ccid,bus=xhci.0 usb-kbd,bus=nec.0 \
        ich9-usb-ehci1,id=ehci,addr=1d.7,multifunction=on \
        ich9-usb-uhci1,masterbus=ehci.0,firstport=0,addr=1d.0,multifunction=on \
        ich9-usb-uhci2,masterbus=ehci.0,firstport=2,addr=1d.1,multifunction=on \
        ich9-usb-uhci3,masterbus=ehci.0,firstport=4,addr=1d.2,multifunction=on \
        ich9-intel-hda hda-output,audiodev=a \
        megasas-gen2,id=mega scsi-cd,drive=mega,bus=mega.0 \
        virtio-scsi-pci,id=vs scsi-hd,drive=scsi,bus=vs.0 \
        virtio-keyboard-pci,bus=b1,addr=1 virtio-mouse-pci,bus=b1,addr=2 \
        virtio-tablet-pci,bus=b1,addr=3 \
        virtio-mem-pci,memdev=hot,requested-size=16M,block-size=2M \
        pc-dimm,memdev=dimm pvpanic-pci acpi-erst,memdev=erst vmcoreinfo \
        ivshmem-plain,memdev=shm,master=on i6300esb
told 80 40000 "${alone[@]}"

begin "$QEMU" -M q35 -m 32 "${nulls[@]}"
devices vmware-svga
# 5.2 has it for machines with a device tree only.
[ "$(vm_version)" = 5.2 ] || devices virtio-iommu-pci
told 30 10000 "${alone[@]}"

# The others are those of the machine's own packages.
[ "$QEMU" = qemu-system-x86_64 ] || exit 0

pci=(virtio-blk-pci,drive=blk virtio-net-pci,netdev=n0 virtio-gpu-pci
        virtio-rng-pci,rng=rng0 virtio-balloon-pci virtio-serial-pci,id=ser
        virtconsole,bus=ser.0,chardev=c0 virtio-scsi-pci,id=vs
        scsi-hd,drive=scsi,bus=vs.0 virtio-keyboard-pci virtio-tablet-pci
        e1000 rtl8139 pci-ohci,id=usb "${usb[@]}"
        nec-usb-xhci i6300esb)

begin qemu-system-aarch64 -M virt,gic-version=3,iommu=smmuv3 -cpu max -m 128 \
        -smp 2 "${nulls[@]}"
drives blk scsi usb
devices "${pci[@]}" pcie-root-port,chassis=1,id=r0 ramfb \
        virtio-mouse-device virtio-rng-device
told 46 47000

begin qemu-system-riscv64 -M virt,aclint=on -m 128 -smp 2 "${nulls[@]}"
drives blk scsi usb
devices "${pci[@]}" pcie-root-port,chassis=1,id=r0 virtio-mouse-device
told 41 43000 --alone

begin qemu-system-s390x -M s390-ccw-virtio -m 128 -smp 2 "${nulls[@]}"
drives blk scsi
devices virtio-blk-ccw,drive=blk virtio-net-ccw,netdev=n0 virtio-gpu-ccw \
        virtio-rng-ccw,rng=rng0 virtio-balloon-ccw virtio-serial-ccw,id=ser \
        virtconsole,bus=ser.0,chardev=c0 virtio-scsi-ccw,id=vs \
        scsi-hd,drive=scsi,bus=vs.0 virtio-keyboard-ccw virtio-tablet-ccw \
        sclplmconsole,chardev=c1 diag288
told 29 12000

begin qemu-system-ppc64 -M pseries -m 256 -smp 2 "${nulls[@]}"
drives blk scsi usb vscsi
devices "${pci[@]}" spapr-vscsi,id=vsc scsi-hd,drive=vscsi,bus=vsc.0 \
        spapr-vlan spapr-vty,chardev=c1 spapr-rng,rng=rng0 \
        spapr-pci-host-bridge,index=1 VGA
told 56 700000
