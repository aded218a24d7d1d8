# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# What -dump-vmstate tells is read as QEMU's own static checker reads it: the
# same findings, line by line, for the dumps it comes with and, both ways, for
# those of this QEMU's machine types.  And this QEMU's own streams load by this
# QEMU's own dump.
. "$SOURCE/tests/lib.sh" || exit 1
. "$SOURCE/tests/source.sh" || exit 1

checker=$(qemu_source scripts/vmstate-static-checker.py) || fail "no checker"
data=$(qemu_source tests/vmstate-static-checker-data) || fail "no dumps"

# The checker's lines in our words.  Where it is about to report a section's
# minimum version it prints only the beginning of the line.
in_our_words() {
        local n='"([^"]*)"' T=$'\t'
        sed -E -e "s/^(Section \"[^\"]*\" )+Section/Section/" \
                -e "s/^(Section $n) Description $n/\1, Description \"\3\"/" \
                -e "s/^(Section $n, Description $n) Field/\1, Field/" \
                -e "s/^(Section $n, Description $n),/\1:/" \
                -e "s/^Warning: [^:]*: $n, $n\$/other machine type${T}vmschkmachine$T-$T-$T\1$T\2/" \
                -e "s/^Section $n does not exist in dest\$/device type missing$T\1$T-$T-$T\1$T-/" \
                -e "s/^Section $n: Entry $n missing\$/description incomplete$T\1$T-$T-$T\2$T-/" \
                -e "s/^Section $n version error: (.*) > (.*)\$/version too new$T\1$T-$T-$T\2$T\3/" \
                -e "s/^Section $n: Description $n missing, got $n instead.*\$/other description$T\1$T\2$T-$T\2$T\3/" \
                -e "s/^Section $n, Description $n: /$T\1$T\2$T/" \
                -e "s/^($T.*$T)Entry $n missing\$/description incomplete\1-$T\2$T-/" \
                -e "s/^($T.*$T)version error: (.*) > (.*)\$/version too new\1-$T\2$T\3/" \
                -e "s/^($T.*$T)minimum version error: (.*) < (.*)\$/version too old\1-$T\2$T\3/" \
                -e "s/^($T.*$T)Subsection $n not found\$/subsection missing\1-$T\2$T-/" \
                -e "s/^($T.*$T)expected field $n, while .*\$/field missing\1\2$T\2$T-/" \
                -e "s/^($T.*$T)expected field $n, got $n; .*\$/other field\1\2$T\2$T\3/" \
                -e "s/^($T.*$T)Field $n size mismatch: (.*) , (.*)\$/other size\1\2$T\3$T\4/" \
                -e "s/^($T.*$T)Field $n: missing description\$/no structure\1\2$T-$T-/"
}

# What only we tell: versions of fields by the field's name, and what the
# structure is that is missing.
as_coarse() {
        awk -F '\t' -v OFS='\t' '$1 ~ /^version/ && $3 != "-" { $4 = "-" }
                $1 == "no structure" { $5 = "-" } { print }'
}

# Which of two subsections of one name is meant the checker cannot tell, and
# reports both; QEMU takes the first, and so do we.  (QEMU 11 has such.)
twice() {
        jq -r '[.. | objects | .Subsections? // empty | group_by(.name)[] |
                select(length > 1)[0].name] | unique[]' "$@"
}

without() {
        awk -F '\t' 'NR == FNR { drop[$0]; next } !($3 in drop)' "$1" -
}

# compare SRC DST: sets `count`.
compare() {
        twice "$1" "$2" > dropped
        echo '' >> dropped # never empty: awk tells the files by it
        python3 "$checker" -s "$1" -d "$2" > theirs.raw 2> err
        [ ! -s err ] || fail "the checker: $(cat err)"
        in_our_words < theirs.raw | without dropped | sort > theirs
        "$TOOLS/dumps" "$1" "$2" > ours.raw || fail "$1 is not understood"
        as_coarse < ours.raw | without dropped | sort > ours
        diff -u theirs ours || fail "${1##*/} to ${2##*/}: not the same"
        count=$(wc -l < ours)
}

say "its own examples"
compare "$data/dump1.json" "$data/dump2.json"
[ "$count" = 14 ] || fail "$count findings"
compare "$data/dump2.json" "$data/dump1.json"
[ "$count" = 7 ] || fail "$count findings"

# dump MACHINE FILE
dump() {
        # A QEMU that is not installed finds the modules of one that is, will
        # not have them, and then aborts.
        $QEMU -M "$1" -display none -dump-vmstate "$2" < /dev/null > err 2>&1 &&
                [ -s "$2" ]
}

say "this QEMU"
m=pc-i440fx-5.2
if ! dump $m old.json; then
        grep -q 'modules from the same build' err || fail "no dump: $(cat err)"
        say "(its dump cannot be had here: it finds another build's modules)"
        exit 0
fi
dump q35 new.json || fail "no dump: $(cat err)"
for pair in "old new" "new old" "old old"; do
        set -- $pair
        compare "$1.json" "$2.json"
        say "  $1 to $2: $count findings"
done
for example in dump1 dump2; do
        compare "$data/$example.json" old.json
        compare old.json "$data/$example.json"
        say "  against $example: $count findings"
done

say "its own stream"
start vm -S -M $m -m 64 -device virtio-rng-pci -device virtio-net-pci \
        -device e1000 -device e1000e -device rtl8139 -device pcnet \
        -device vmxnet3 -device VGA -device piix3-usb-uhci \
        -device nec-usb-xhci,id=x -device usb-tablet,bus=x.0 \
        -device virtio-scsi-pci -device lsi53c895a -device megasas \
        -device pvscsi -device ich9-ahci -device virtio-serial-pci \
        -device virtio-balloon-pci -device sdhci-pci -device i6300esb
try save "$STASIS" save --qmp vm.qmp vm.stasis 2> err
stop "$pid"
tar -xOf vm.stasis stasis/vmdesc.json > vmdesc.json
"$TOOLS/dumps" old.json vmdesc.json > ours || fail "vmdesc is not understood"
! grep -v ^unknown ours || fail "it would not load its own stream"
known=$(jq -r '.devices[].vmsd_name' vmdesc.json | wc -l)
unknown=$(wc -l < ours)
[ $((known - unknown)) -gt 20 ] || fail "$unknown of $known are not in the dump"
jq -c '(.devices[] | select(.vmsd_name == "e1000") | .version) = 99 |
        (.devices[] | select(.vmsd_name == "e1000e") | .subsections) =
                [{vmsd_name: "e1000e/new", version: 1}]' \
        vmdesc.json > planted.json
"$TOOLS/dumps" old.json planted.json | grep -v ^unknown > ours
printf 'version too new\te1000\te1000\t-\t99\t2\n%s\n' \
        $'subsection missing\te1000e\te1000e\t-\te1000e/new\t-' | sort > want
sort ours | diff -u want - || fail "what was planted is not told"
