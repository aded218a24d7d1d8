# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# What QEMU says when it refuses a stream is understood: each refusal is
# provoked for real, by another command line or by a stream with one thing
# changed, and its words lead to the cause that was planted.
. "$SOURCE/tests/lib.sh" || exit 1

# One that every QEMU here has.
m=pc-i440fx-5.2
disk=(-blockdev null-co,node-name=d,size=1048576,read-zeroes=on
        -device virtio-blk-pci,drive=d,addr=4)
base=(-S -M $m -m 64 -device piix3-usb-uhci,addr=3)
machine=("${base[@]}" "${disk[@]}" -device virtio-rng-pci,addr=5
        -device e1000,addr=6)

# stream FILE ARG...: the stream of a VM that has never run.
stream() {
        local file=$1
        shift
        start src "$@"
        [ -z "${capability:-}" ] ||
                try "capability" qmp src migrate-set-capabilities \
                        "{\"capabilities\": [{\"capability\": \"$capability\",
                        \"state\": true}]}" > out
        try "migrate" qmp src migrate "{\"uri\": \"exec:cat > $PWD/$file\"}" > out
        within 30 sent || fail "not sent: $file"
        stop "$pid"
}

sent() {
        [ "$(qmp src query-migrate "" status)" = completed ]
}

# refused FILE ARG...: QEMU does not load it; its words are in `said`.
refused() {
        local file=$1
        shift
        emulator dst
        "${vm[@]}" -incoming "exec:cat $PWD/$file" "$@" \
                < /dev/null > said 2>&1 &
        pid=$!
        started+=($pid)
        within 30 settled || fail "$file: no end"
        gone "$pid" || { stop "$pid"; return 1; }
}

settled() {
        local state
        gone "$pid" && return
        state=$(run_state dst) && [ -n "$state" ] && [ "$state" != inmigrate ]
}

# load FILE ARG...: it must refuse it.
load() {
        refused "$@" || fail "$1 loads: $*"
}

# told CODE DEVICE CAUSE REMEDY: what is understood; the latter two in part.
told() {
        local code device cause remedy
        "$TOOLS/explain" < said > line || fail "not understood: $(cat said)"
        IFS=$'\t' read -r code device cause remedy \
                < <(sed 's/\t\t/\t-\t/' line)
        say "  $(tr '\t' '|' < line)"
        [ "$code" = "$1" ] || fail "code $code, not $1: $(cat said)"
        [ "$device" = "$2" ] || fail "device $device, not $2: $(cat said)"
        case $cause in *"$3"*) ;; *) fail "no '$3': $cause" ;; esac
        case $remedy in *"$4"*) ;; *) fail "no '$4': $remedy" ;; esac
}

# at NAME: the offset in vm.stream behind a section's counted name.
at() {
        local offset
        offset=$(LC_ALL=C grep -abo -m 1 -P \
                "\\x$(printf %02x ${#1})\\Q$1\\E\\x00" vm.stream |
                head -n 1 | cut -d : -f 1)
        [ -n "$offset" ] || fail "no $1 in vm.stream"
        echo $((offset + 1 + ${#1}))
}

# edit OFFSET BYTES [COUNT]: vm.stream as edited.stream, COUNT bytes at OFFSET
# replaced (printf's escapes; default as many as there are).
edit() {
        local count=${3:-$(printf -- "$2" | wc -c)}
        { head -c "$1" vm.stream; printf "$2"
                tail -c +$(($1 + count + 1)) vm.stream; } > edited.stream
}

byte() {
        od -An -tx1 -j "$2" -N 1 "$1" | tr -d ' '
}

stream vm.stream "${machine[@]}"
refused vm.stream "${machine[@]}" &&
        fail "the stream does not load as it is: $(cat said)"

say "another command line"
load vm.stream -S -M q35 -m 64
told machine-type - "$m, the target is pc-q35" "-machine $m"
other=$($QEMU -M help | awk '{ print $1 }' | grep '^pc-i440fx-' | grep -v "^$m" |
        sort -rV | head -n 1)
load vm.stream -S -M "$other" -m 64
told machine-type - "the target is $other" "-machine $m"
load vm.stream "${machine[@]/64/128}"
told ram-size ram "pc.ram has 0x4000000 bytes (64.0 MiB)" "-m 64M"
load vm.stream "${base[@]}" "${disk[@]}" -device e1000,addr=6
told device-missing 0000:00:05.0/virtio-rng "no virtio-rng" "addr=05.0"
load vm.stream "${base[@]}" "${disk[@]}" -device virtio-rng-pci,addr=7 \
        -device e1000,addr=6
told device-missing 0000:00:05.0/virtio-rng "at another address" "addr=05.0"
load vm.stream "${base[@]}" "${disk[@]}" -device virtio-balloon-pci,addr=5 \
        -device e1000,addr=6
told device-missing 0000:00:05.0/virtio-rng "another device" "addr=05.0"
load vm.stream "${machine[@]/drive=d/num-queues=2,drive=d}"
told device-config 0000:00:04.0/virtio-blk "2 vectors there, 3 here" "-smp"
# Newer QEMUs stumble before, over what ACPI holds for each vCPU.
load vm.stream "${machine[@]}" -smp 2
if grep -q piix4_pm said; then
        told field-size 0000:00:01.3/piix4_pm "more or fewer bytes" "-smp"
else
        told device-config 0000:00:04.0/virtio-blk "2 vectors there, 3 here" "-smp"
fi
head -c 65536 /dev/zero > small.rom
load vm.stream "${base[@]}" "${disk[@]}" -device virtio-rng-pci,addr=5 \
        -device e1000,addr=6,romfile=small.rom
told rom-size ram "ROM 0000:00:06.0/e1000.rom" "romfile="
load vm.stream "${base[@]}" "${disk[@]}" -device virtio-rng-pci,addr=5
told ram-missing ram "RAMBlock 0000:00:06.0/e1000.rom" "PCI address"
load vm.stream "${machine[@]}" -global migration.send-configuration=off
told machine-type - "does not expect" "send-configuration=on"

say "a VM that was saved otherwise"
stream backend.stream -S -M "$m,memory-backend=other" -m 64 \
        -object memory-backend-ram,id=other,size=64M
load backend.stream -S -M $m -m 64
told ram-missing ram "no RAMBlock other" "id=other"
stream smp.stream -S -M $m -m 64 -smp 2
load smp.stream -S -M $m -m 64
told cpu-count "$(grep -o cpu_common said || echo apic)" "more vCPUs" "-smp"
capability=x-ignore-shared stream shared.stream -S -M $m -m 64
load shared.stream -S -M $m -m 64
told capability - "x-ignore-shared is on in the snapshot" "x-ignore-shared on"

say "a stream that has changed"
head -c 50000 vm.stream > edited.stream
load edited.stream "${machine[@]}"
told stream-damaged ram "the stream ends within" verify
# EOF, 06 and a length stand before the description.
json=$(LC_ALL=C grep -abo -m 1 -E '\{ *"(configuration|page_size)"' vm.stream |
        head -n 1 | cut -d : -f 1)
head -c $((json - 6)) vm.stream > edited.stream
load edited.stream "${machine[@]}"
told stream-damaged - "ends before its end mark" verify
printf 'QEV' > edited.stream
load edited.stream "${machine[@]}"
told stream-damaged - "does not begin" verify
edit 0 'WHAT'
load edited.stream "${machine[@]}"
told stream-damaged - "does not begin" verify
edit 7 '\2'
load edited.stream "${machine[@]}"
told stream-damaged - "version" verify
edit 7 '\11'
load edited.stream "${machine[@]}"
told stream-damaged - "version" verify

# 07, length, name: without it, as machine types before 2.4 send.
edit 8 '' $((5 + ${#m}))
load edited.stream "${machine[@]}"
told machine-type - "no machine type" "send-configuration=off"

# 04, section id, 05, "timer", instance, version, three 64-bit numbers, footer.
timer=$(at timer)
footer=$((timer + 8 + 24))
[ "$(byte vm.stream $((timer - 11)))" = 04 ] || fail "no section timer"
[ "$(byte vm.stream $footer)" = 7e ] || fail "no footer of timer"
edit $footer '\125'
load edited.stream "${machine[@]}"
told field-size timer "more or fewer bytes" version
edit $((footer + 1)) '\0\0\0\11'
load edited.stream "${machine[@]}"
told stream-damaged timer "section 0x9" verify
edit $footer '\5\11timer/new\0\0\0\1' 0
load edited.stream "${machine[@]}"
told subsection-unknown timer subsection new
edit $((timer + 4)) '\0\0\0\143'
load edited.stream "${machine[@]}"
told device-version timer "version 99 of it" new
edit $((timer - 1)) z
load edited.stream "${machine[@]}"
told device-missing timez "no such device" devices
edit $((timer - 11)) '\125'
load edited.stream "${machine[@]}"
told stream-damaged - "0x55" verify
edit $((timer - 11)) '\4\0\0\0\143\10kvmclock\0\0\0\0\0\0\0\1' 0
load edited.stream "${machine[@]}"
told accelerator kvmclock "made with KVM" "-accel kvm"
edit $((timer - 11)) '\2\0\0\0\143' 0
load edited.stream "${machine[@]}"
told stream-damaged - "section 99" verify

# A PCI device's part is 276 bytes; the number of ports stands behind it.
ports=$(($(at 0000:00:03.0/uhci) + 8 + 276))
[ "$(byte vm.stream $ports)" = 02 ] || fail "no ports of uhci"
edit $ports '\3'
load edited.stream "${machine[@]}"
told device-config 0000:00:03.0/uhci "is 0x3 in the snapshot and 0x2" properties
edit $((ports - 276 + 4 + 2)) '\1\1'
load edited.stream "${machine[@]}"
told device-config 0000:00:03.0/uhci "(device id)" "another model"

say "a QEMU that does not wait"
emulator dst
"${vm[@]}" -S -M $m -incoming foo:bar < /dev/null > said 2>&1
told refused - "-incoming foo:bar" unix:PATH
"${vm[@]}" -S -M $m -incoming unix:/nowhere/x.sock < /dev/null > said 2>&1
told refused - "cannot listen" address

say "restore says it"
start a "${machine[@]}"
try save "$STASIS" save --qmp a.qmp a.stasis 2> err
stop "$pid"
start b -incoming "unix:$PWD/in.sock" "${machine[@]/64/128}"
within 5 test -S in.sock || fail "QEMU does not listen"
expect 1 "$STASIS" restore --to "unix:$PWD/in.sock" a.stasis 2> err
within 10 gone "$pid" || fail "QEMU waits on"
cp b.err said
told ram-size ram "pc.ram has 0x4000000" "-m 64M"
# What no comparison beforehand can see: the stream itself was changed.
edit $ports '\3'
try import "$STASIS" import edited.stream b.stasis 2> err
emulator b
expect 1 "$STASIS" restore b.stasis -- "${vm[@]}" "${machine[@]}" \
        < /dev/null 2> err
grep -q '0000:00:03.0/uhci: .* is 0x3 in the snapshot and 0x2' err ||
        fail "restore does not explain: $(cat err)"
