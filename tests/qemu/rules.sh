# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 300
#
# Values that no device can have are planted in the snapshot of a Linux guest:
# each is told with device, field and value, and stops what is strict.  And what
# its description does not account for is told by `verify --strict` only.
. "$SOURCE/tests/lib.sh" || exit 1

truncate -s 16M disk
linux cloud
start src -M q35 -m 256 "${guest[@]}" \
        -drive file=disk,format=raw,if=virtio -device virtio-rng-pci
wait_for src.serial '^tick 3' 120
try save "$STASIS" save --qmp src.qmp a.stasis 2> save.err
stop "$pid"

say "values of a device that worked"
"$STASIS" check --json --strict a.stasis > json || fail "check: $(cat json)"
[ "$(jq -c '[.fits, .reasons]' json)" = '[true,[]]' ] || fail "$(cat json)"

# plant DEVICE FIELD VALUE: makes b.stasis, which is sound.
plant() {
        "$TOOLS/edit" a.stasis b.stasis "$@" || fail "edit $*"
        "$STASIS" verify b.stasis > out 2>&1 || fail "verify: $(cat out)"
        ! cmp -s a.stasis b.stasis || fail "nothing planted: $*"
}

# broken DEVICE FIELD VALUE TEXT: one rule is; told as a warning, and strictly.
broken() {
        local line word
        expect 0 "$STASIS" check b.stasis "${rules[@]}" > out
        line=$(head -n 1 out)
        say "$line"
        for word in value "$1" "$2" "$3" "$4"; do
                [[ $line = *"$word"* ]] || fail "no '$word': $line"
        done
        expect 4 "$STASIS" check --strict --json b.stasis "${rules[@]}" \
                > json 2> told
        [ "$(jq -c '[.fits, (.reasons[] | .code, .severity, .section, .snapshot)]' \
                json)" = "[false,\"value\",\"wrong\",\"$1\",\"$3\"]" ] ||
                fail "$(cat json)"
}

# The path of the field of which this is the end: QEMUs differ before that.
path() {
        "$STASIS" show --json a.stasis "$1" |
                jq -r --arg tail "$2" '.devices[0].fields[] | .path |
                select(endswith($tail))' | head -n 1
}

disk=$("$STASIS" show --json a.stasis virtio-blk | jq -r '.devices[0].idstr')
ahci=$("$STASIS" show --json a.stasis ich9_ahci | jq -r '.devices[0].idstr')

say "rules that are built in"
echo '{"rules": []}' > none
rules=(--rules none)
timers=$(path hpet num_timers)
plant hpet "${timers:=num_timers_save}" 40
broken hpet "$timers" 40 "more than 32"
plant hpet 'timer[1].tn' 9
broken hpet 'timer[1].tn' 9 "not less than"
count=$(path ps2kbd queue.count)
plant ps2kbd "$count" 257
broken ps2kbd "$count" 257 "more than 256"
plant ps2kbd "$count" -1
broken ps2kbd "$count" -1 "less than 0"
plant "$disk" 'virtio.vq[0].vring.num' 4096
broken "$disk" 'virtio.vq[0].vring.num' 4096 "more than 1024"

say "a ring of PCI capabilities"
read -r config bytes < <("$STASIS" show --json a.stasis ich9_ahci |
        jq -r '.devices[0].fields[] | select(.type == "pci config") |
                "\(.path) \(.value)"')
at=$((16#${bytes:104:2} + 1)) # 0x34: the first one; behind its id, the next
plant "$ahci" "$config" "x${bytes:0:at * 2}${bytes:104:2}${bytes:at * 2 + 2}"
expect 0 "$STASIS" check "${rules[@]}" b.stasis > out 2> told
grep -q "value: $ahci.*ring" out || fail "$(cat out told)"
expect 4 "$STASIS" check --strict b.stasis > out 2> told

say "rules of one's own"
plant mc146818rtc 'cmos_index' 200
cat > mine << 'END'
{"rules": [
  {"device": "mc146818rtc", "field": "cmos_index", "max": 127},
  {"device": "hpet", "field": "timer[*].tn", "less_than": "num_timers"},
  {"device": "none", "field": "such", "equals": 1}
]}
END
rules=(--rules mine)
broken mc146818rtc cmos_index 200 "more than 127"
expect 0 "$STASIS" check --strict b.stasis > out 2>&1
expect 4 "$STASIS" check --strict --rules mine b.stasis > out 2> told
expect 0 "$STASIS" check --strict --rules mine --force=value b.stasis \
        > out 2> told

say "rules that are none"
# refused TEXT WORD...: the file of rules, and what is told of it.
refused() {
        local word
        printf '%s\n' "$1" > mine
        shift
        expect 2 "$STASIS" check --rules mine a.stasis > out 2> told
        for word in mine "$@"; do
                grep -qF -- "$word" told || fail "no '$word': $(cat told)"
        done
}
good='{"device": "d", "field": "f", "max": 1}'
refused 'not JSON'
refused '{"rules": 1}' rules
refused "{\"rules\": [$good, {\"device\": \"d\", \"field\": \"f\"}]}" 2
refused "{\"rules\": [$good, $good, {\"device\": \"d\", \"field\": \"f\",
        \"max\": \"1\"}]}" 3 max
refused "{\"rules\": [{\"device\": \"d\", \"field\": \"f\", \"most\": 1}]}" 1 most
expect 1 "$STASIS" check --rules no-such-file a.stasis > out 2> told
grep -q no-such-file told || fail "$(cat told)"

say "what the description does not account for"
# strange WORD...: strictly, b.stasis is not sound.
strange() {
        local word
        expect 3 "$STASIS" verify --strict b.stasis > out 2> told
        say "$(cat told)"
        for word; do
                grep -qF -- "$word" told || fail "no '$word': $(cat told)"
        done
}
"$STASIS" verify --strict a.stasis > out || fail "verify --strict: $(cat out)"
plant hpet @version 3
strange hpet "version 3"
sub=$(path hpet hpet/offset)
[ "$sub" = hpet/offset ] || fail "a guest that does not use its HPET"
plant hpet hpet/offset x050b"$(printf hpet/offsex | od -An -tx1 | tr -d ' \n')"00000001
strange hpet hpet/offset
plant hpet hpet/offset x050b"$(printf hpet/offset | od -An -tx1 | tr -d ' \n')"00000002
strange hpet hpet/offset "version 2"
plant hpet hpet/offset x000b"$(printf hpet/offset | od -An -tx1 | tr -d ' \n')"00000001
strange hpet hpet/offset
