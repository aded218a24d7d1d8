# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What info and list tell of a snapshot in which everything is told.

export LC_ALL=C
vectors=$SOURCE/tests/vectors
bash "$vectors/assemble.sh" "$vectors/good-everything.vector" vm.stasis ||
        exit 1

# A snapshot's age, and what zstd makes of a chunk, are of no interest.
"$STASIS" info vm.stasis | sed 's/ ([0-9]* [a-z]* ago)//; s/, stored in.*//
        s/\(pc.ram.* KiB\).*/\1/; s/^file  .*,/file/'
echo "--- command"
"$STASIS" info --command vm.stasis
echo "--- command, secrets shown"
"$STASIS" info --command --show-secrets vm.stasis
echo "--- secrets in JSON"
"$STASIS" info --json vm.stasis | grep -c letmein
"$STASIS" info --json --show-secrets vm.stasis | grep -c letmein
echo "--- list"
"$STASIS" list vm.stasis | awk '{ print $1, $2, $3, $4, $NF }'
"$STASIS" list --chunks vm.stasis | awk '{ print $1, $3, $4, $5 }'
"$STASIS" list --chunks --json vm.stasis | wc -l
echo "--- not a file, not a snapshot"
cat vm.stasis | "$STASIS" info - 2>&1
echo $?
"$STASIS" info "$0" 2>&1 | sed 's|[^ ]*/info.sh|info.sh|'
"$STASIS" list nowhere.stasis 2>&1
echo $?
