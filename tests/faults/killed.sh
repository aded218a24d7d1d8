# SPDX-License-Identifier: LGPL-2.1-or-later
# timeout: 1200
#
# kill -9 of a save at any moment: no file, the VM runs on, the next save works.
. "$SOURCE/tests/faults/common.sh" || exit 1

start_boot_sector pages
begun=$(date +%s%N)
try save "$STASIS" save --qmp vm.qmp well.stasis
micros=$((($(date +%s%N) - begun) / 1000))
say "an undisturbed save takes $micros us"

kills=15 survived=0
[ -z "${LONG:-}" ] || kills=200
RANDOM=${SEED:-$$}
say "SEED=${SEED:-$$}"
for n in $(seq $kills); do
        # Every third one over an older file.
        older_name=
        options=()
        rm -f out/*
        if [ $((n % 3)) = 0 ]; then
                older_name=vm.stasis options=(--force)
                cp older out/vm.stasis
        fi
        "$STASIS" save --qmp vm.qmp ${options[@]+"${options[@]}"} \
                out/vm.stasis > /dev/null 2> message &
        saver=$!
        usleep=$(((RANDOM * 32768 + RANDOM) % micros))
        sleep "$(printf '%d.%06d' $((usleep / 1000000)) $((usleep % 1000000)))"
        kill -9 $saver 2>/dev/null
        wait $saver 2>/dev/null
        status=$?
        if [ $status = 0 ]; then
                # It was faster: then the file must be whole.
                survived=$((survived + 1))
                try "verify" "$STASIS" verify out/vm.stasis
                rm -f out/vm.stasis
                older_name=
        elif [ $status != 137 ]; then
                fail "kill $n after $usleep us: status $status: $(cat message)"
        elif [ -e out/vm.stasis ] && ! cmp -s older out/vm.stasis; then
                # Killed behind its publication.
                try "verify" "$STASIS" verify out/vm.stasis
                rm -f out/vm.stasis
                older_name=
        fi
        unharmed "kill $n after $usleep us"
done
say "$survived of $kills were done before"
[ $survived -lt $kills ] || fail "no save was ever killed"
saves_well
