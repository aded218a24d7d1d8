#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# growth.sh [MIB...]: what a snapshot costs per GiB of RAM, from 256 MiB to
# 16 GiB of content, and then a million chunks with a page of content each.
# Wall and CPU time, peak RSS (what is below some 14 MiB shows as that: it is
# the RSS of who measures), what index and manifest take.  Prints two Markdown
# tables.  Streams go through pipes; nothing of them is kept.

set -eu
: "${STASIS:?run by make bench-growth}" "${TOOLS:?}"
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/stasis-bench-XXXXXX")
trap 'rm -rf "$dir"' EXIT
cd "$dir"

# measure MIB WHAT COMMAND...: a row.
measure() {
        local mib=$1 what=$2
        shift 2
        python3 - "$mib" "$what" "$@" 3<&0 << 'PYTHON'
import os, resource, subprocess, sys, time

mib, what, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
begun = time.monotonic()
with open("out", "wb") as out, open("err", "wb") as err:
    # A sink of its own for what goes to standard output.
    sink = subprocess.Popen(["cat"], stdin=subprocess.PIPE,
                            stdout=subprocess.DEVNULL)
    run = subprocess.Popen(command, stdin=3, stdout=sink.stdin, stderr=err)
    _, status, used = os.wait4(run.pid, 0)
    wall = time.monotonic() - begun
    sink.stdin.close()
    sink.wait()
if status:
    sys.exit(f"{what}: " + open("err").read())
cpu = used.ru_utime + used.ru_stime
gib = mib / 1024
print(f"| {mib} | {what} | {wall:.2f} | {cpu:.2f} | {wall / gib:.4f}"
      f" | {cpu / gib:.4f} | {1e6 * cpu / mib:.0f}"
      f" | {used.ru_maxrss / 1024:.1f} |")
PYTHON
}

# stored MIB: what the file is made of.
stored() {
        python3 - "$1" << 'PYTHON'
import os, struct, subprocess, sys

size = os.path.getsize("x.stasis")
with open("x.stasis", "rb") as f:
    # The trailer stands before the archive's two blocks of zeros.
    f.seek(-64 * 1024, os.SEEK_END)
    end = f.read()
    at = end.rindex(b"stasis-trailer-1")
    _, _, index, members = struct.unpack_from("<QQQQ", end, at + 16)
manifest = len(subprocess.run(["tar", "-xOf", "x.stasis", "--occurrence=1",
    "stasis/manifest.json"], stdout=subprocess.PIPE, check=True).stdout)
print(f"| {sys.argv[1]} | {members} | {size} | {index} | {manifest}"
      f" | {index / members:.0f} | {size / members:.0f} |")
PYTHON
}

# all MIB CONTENT...: all that is measured, and a row for the second table.
all() {
        local mib=$1
        "$TOOLS/synth" "$@" | measure "$mib" import \
                "$STASIS" import --force - x.stasis
        measure "$mib" verify "$STASIS" verify x.stasis
        measure "$mib" "verify --quick" "$STASIS" verify --quick x.stasis
        measure "$mib" "restore --to" "$STASIS" restore --to - x.stasis
        measure "$mib" info "$STASIS" info x.stasis
        measure "$mib" "list --chunks" "$STASIS" list --chunks x.stasis
        stored "$mib" >> files
        rm -f x.stasis
}

echo "| RAM, MiB | what | s | CPU s | s/GiB | CPU s/GiB | CPU us/chunk | peak RSS, MiB |"
echo "|--:|---|--:|--:|--:|--:|--:|--:|"
for mib in ${*:-256 1024 4096 16384}; do
        all "$mib" counter 256 40
done
[ $# -gt 0 ] || all 1000000 fill 1
echo
echo "| RAM, MiB | members | file, bytes | index, bytes | manifest, bytes | index/member | file/member |"
echo "|--:|--:|--:|--:|--:|--:|--:|"
cat files
