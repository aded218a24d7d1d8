# SPDX-License-Identifier: LGPL-2.1-or-later
#
# RAM of 2 MiB pages is served by whole pages, byte for byte.  Asks the system
# for 80 of them.
. "$SOURCE/tests/lib.sh" || exit 1
export XDG_RUNTIME_DIR=$PWD/run
mkdir -m 700 run

pool=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
[ -w $pool ] || skip "cannot have pages of 2 MiB: $pool is not ours to write"
had=$(cat $pool)
give_back() {
        end_all
        echo "$had" > $pool
}
trap give_back EXIT
echo $((had + 80)) 2> echo.err > $pool || skip "$(cat echo.err)"
[ "$(cat $pool)" -ge $((had + 80)) ] || skip "the system has no 80 pages of 2 MiB left"

head -c 3000000 /dev/urandom > noise
{ head -c 33000000 noise; head -c 4194304 /dev/zero; cat noise noise; head -c 7000000 /dev/zero; cat noise; } > content
machine=(-M q35,memory-backend=pc.ram -m 128
        -object memory-backend-memfd,id=pc.ram,size=128M,hugetlb=on,hugetlbsize=2M
        -device "loader,file=content,addr=0x2000123,force-raw=on")
dump() {
        qmp vm pmemsave "{\"val\":1048576,\"size\":133169152,\"filename\":\"$PWD/$1\"}" > /dev/null
}

start vm "${machine[@]}"
sleep 0.3
qmp vm stop > /dev/null
dump truth
try save "$STASIS" save --qmp vm.qmp --quit vm.stasis 2> save.err
within 10 gone "$pid"

emulator vm
try restore "$STASIS" restore --lazy --detach --json vm.stasis -- "${vm[@]}" \
        "${machine[@]}" > json 2> lazy.err
pid=$(jq -s '.[0].pid' json)
started+=("$pid")
grep -q 'RAM follows' lazy.err || fail "$(cat lazy.err)"
dump is
cmp truth is || fail "RAM differs"
stop "$pid"

say "a guest that runs on it"
linux cloud
machine=(-M pc,memory-backend=pc.ram -m 128 "${guest[@]}"
        -object memory-backend-memfd,id=pc.ram,size=128M,hugetlb=on,hugetlbsize=2M)
start vm "${machine[@]}"
wait_for vm.serial '^ready' 90
try save "$STASIS" save --qmp vm.qmp --quit --force vm.stasis 2> save.err
within 10 gone "$pid"
emulator vm
try restore "$STASIS" restore --lazy --detach --json vm.stasis -- "${vm[@]}" \
        "${machine[@]}" > json 2> lazy.err
pid=$(jq -s '.[0].pid' json)
started+=("$pid")
grep -q 'RAM follows' lazy.err || fail "$(cat lazy.err)"
goes_on vm 30 || fail "the guest does not tick"
one_life vm.serial
