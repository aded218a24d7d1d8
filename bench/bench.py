#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bench.py: stasis beside what else saves and restores a QEMU VM.

On the same guests, in one run, pair by pair.  Environment: STASIS, GUEST (the
directory of the Linux guest), VERSIONS (of other QEMUs), MICRO (the program
that measures compression), QEMU, TMPDIR; BENCH_SCALE (default 1): the guests'
sizes, for a quick look."""

import sys

sys.dont_write_bytecode = True  # nothing is left in the source

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile

import floor
import guests
import machine
import measure
import peers
import report
import ways

FAILURES = (RuntimeError, OSError, subprocess.SubprocessError, ValueError)


def note(env, kind, guest, peer, who, number, result):
    row = {"what": kind, "guest": guest["name"], "peer": peer, "who": who,
           "round": number, **result}
    env["measurements"].append(row)
    print(f"{guest['name']:8} {kind:7} {number} {who:20} "
          f"{result['wall']:7.3f} s  cpu {result['cpu']:6.2f} s  "
          f"{result['bytes']:>12} bytes", flush=True)


def in_turn(ours, theirs, number):
    """The peer next to each of ours; the other way round every other round."""
    order = [ours[0], theirs, *ours[1:]]
    return order if number % 2 else order[::-1]


def ensure_saved(env, guest, qemu, mode):
    path = peers.stored(f"stasis {mode}", qemu)
    if not os.path.exists(path):
        ways.save_stasis(mode)(env, guest, qemu, path)
    return path


def save_pair(env, guest, name, peer, qemu, number):
    for who in in_turn(peer["ours"], name, number):
        if who == name:
            label, save = name, peer["save"]
        else:
            label, save = f"stasis {who}", ways.save_stasis(*who.split())
        path = peers.stored(label, qemu)
        if os.path.exists(path):
            os.unlink(path)
        result = save(env, guest, qemu, path)
        note(env, "save", guest, name, label, number, result)


def restore_pair(env, guest, name, peer, qemu, number, kind, prepare):
    for mode in peer["ours_back"]:
        ensure_saved(env, guest, qemu, mode)
    for who in in_turn(peer["ours_back"], name, number):
        if who == name:
            label, restore = name, peer["restore"]
        else:
            label, restore = f"stasis {who}", ways.restore_stasis
        path = peers.stored(label, qemu)
        prepare(path)
        result = restore(env, guest, qemu, path)
        note(env, kind, guest, name, label, number, result)


def one_round(env, guest, name, number):
    peer = peers.PEERS[name]
    if why := peers.why_missing(env, peer):
        raise RuntimeError(why)
    qemu = env["qemus"][peer.get("qemu", "")]
    save_pair(env, guest, name, peer, qemu, number)
    restore_pair(env, guest, name, peer, qemu, number, "restore", measure.warm)
    if peer.get("cold"):
        restore_pair(env, guest, name, peer, qemu, number, "cold", measure.cool)
    os.unlink(peers.stored(name, qemu))


def one_floor(env, guest, number):
    qemu = env["qemus"][""]
    snapshot = ensure_saved(env, guest, qemu, "none")
    for who, result in floor.floors(env, guest, qemu, snapshot):
        note(env, "floor", guest, "floor", who, number, result)


def one(env, guest, name, number):
    if name == "floor":
        one_floor(env, guest, number)
    else:
        one_round(env, guest, name, number)


def fail(env, guest, name, err):
    why = " ".join(str(err).split())[:300]
    env["missing"].append({"guest": guest, "peer": name, "why": why})
    print(f"{guest:8} missing: {name}: {why}", file=sys.stderr, flush=True)


def one_guest(env, name, options):
    os.mkdir(name)
    os.chdir(name)
    guest = guests.MAKERS[name](env)
    env["guests"][name] = guest["about"]
    measure.touched = guest["touched"]
    left = list(options.peer)
    for number in range(1, options.rounds + 1):
        for peer in list(left):
            try:
                one(env, guest, peer, number)
            except FAILURES as err:
                fail(env, name, peer, err)
                left.remove(peer)
    os.chdir("..")
    shutil.rmtree(name)


def measure_all(env, options):
    measure.adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    home = os.getcwd()
    work = tempfile.mkdtemp(prefix="stasis-bench-",
                            dir=os.environ.get("TMPDIR", "/var/tmp"))
    env["work"] = work
    os.chdir(work)
    try:
        for guest in options.guest:
            one_guest(env, guest, options)
    finally:
        measure.end_children()
        os.chdir(home)
        shutil.rmtree(work)


def arguments():
    p = argparse.ArgumentParser(
        description="stasis beside what else saves and restores a QEMU VM")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--guest", action="append", choices=guests.MAKERS)
    p.add_argument("--peer", action="append", choices=["floor", *peers.PEERS])
    p.add_argument("--out", default="build/bench")
    p.add_argument("--render", metavar="BENCH.JSON",
                   help="make the table and the plot of a run again")
    options = p.parse_args()
    options.guest = options.guest or list(guests.MAKERS)
    options.peer = options.peer or ["floor", *peers.PEERS]
    return options


def environment():
    there = os.environ.get
    qemu = there("QEMU", "qemu-system-x86_64")
    versions = os.path.abspath(there("VERSIONS", "build/cache/qemu-versions"))
    return {
        "stasis": os.path.abspath(there("STASIS", "build/stasis")),
        "guest": os.path.abspath(there("GUEST", "build/cache/guest")),
        "micro": os.path.abspath(there("MICRO", "build/bench/micro")),
        "qemus": {"": qemu, "10.0": f"{versions}/qemu-10.0"},
        "scale": float(there("BENCH_SCALE", "1")),
        "measurements": [], "missing": [], "guests": {},
    }


def run(options):
    env = environment()
    result = {"machine": machine.describe(env), "rounds": options.rounds}
    measure_all(env, options)
    for key in ("scale", "guests", "missing", "measurements"):
        result[key] = env[key]
    os.makedirs(options.out, exist_ok=True)
    with open(f"{options.out}/bench.json", "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    return result


def main():
    options = arguments()
    if options.render:
        options.out = os.path.dirname(options.render) or "."
        with open(options.render) as f:
            result = json.load(f)
    else:
        result = run(options)
    report.write(result, options.out)
    for m in result["missing"]:
        print(f"missing: {m['peer']} ({m['guest']}): {m['why']}",
              file=sys.stderr)
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
