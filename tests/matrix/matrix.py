#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What `stasis check` says of a snapshot and a target, beside what QEMU does.

matrix.py --stasis PROGRAM --edit TOOL --guest DIR --qemu VERSION=BINARY ...
          [--pairs N] [--table FILE] [--only CHANGE] [--machine TYPE ...]

Sources are made of each QEMU, machine type and state (booted, or stopped at
power-on); each is paired with targets that differ in one thing.  Which pairs
are taken is drawn from the cross product with a fixed seed.  The truth is
QEMU's own: the target is started and the stream sent to it.

Fails when a verdict is wrong, when a cause is not the one that was planted, or
when something is held against a target that is as the source was.
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

SEED = 20
MACHINES = {  # and the QEMUs that know them
    "pc-i440fx-5.2": ("5.2", "7.2", "10.0", "11.1"),
    "pc-q35-5.2": ("5.2", "7.2", "10.0", "11.1"),
    "pc-i440fx-7.2": ("7.2", "10.0", "11.1"),
    "pc-q35-7.2": ("7.2", "10.0", "11.1"),
    "pc-q35-4.0": ("5.2", "7.2", "10.0"),
    "pc-i440fx-3.1": ("5.2", "7.2", "10.0"),
}


def base(machine, boot):
    """What a VM is made of: each part is one thing that a change may touch."""
    other = machine == "pc-q35-7.2"
    return {
        "machine": machine,
        "ram": "192" if boot else "64",
        "cpu": "Nehalem" if other else "qemu64",
        "smp": "2" if other else "1",
        "vga": ["-vga", "std"],
        "net": {"driver": "virtio-net-pci", "netdev": "n0", "id": "net",
                "mac": "52:54:00:12:34:56", "addr": "0x10"},
        "netdev": ["-netdev", "user,id=n0"],
        "e1000": {"driver": "e1000", "id": "e1000", "addr": "0x11",
                  "mac": "52:54:00:12:34:57"},
        "rng": {"driver": "virtio-rng-pci", "id": "rng", "addr": "0x12"},
        "blk": {"driver": "virtio-blk-pci", "id": "blk", "drive": "d0",
                "addr": "0x13"},
        "disk": "16M",
        "serial": "null",
        "xhci": {"driver": "qemu-xhci", "id": "xhci", "addr": "0x14"},
        "tablet": {"driver": "usb-tablet", "bus": "xhci.0", "port": "1"},
        "more": [],
        "reversed": False,
    }


def command(qemu, vm, boot, guest):
    words = [qemu, "-accel", "tcg", "-nodefaults", "-no-user-config",
             "-display", "none", "-M", vm["machine"], "-m", vm["ram"],
             "-cpu", vm["cpu"], "-smp", vm["smp"]]
    if boot:
        words += ["-kernel", guest + "/cloud/vmlinuz", "-initrd",
                  guest + "/cloud/initrd", "-append",
                  "console=ttyS0 quiet no_timer_check"]
    words += ["-serial", vm["serial"]]
    parts = [vm["vga"], vm["netdev"]]
    if vm["disk"]:
        parts.append(["-drive", "driver=null-co,read-zeroes=on,if=none,id=d0,"
                      "size=" + vm["disk"]])
    for name in ("net", "e1000", "rng", "blk", "xhci", "tablet"):
        if vm[name]:
            device = dict(vm[name])
            driver = device.pop("driver")
            parts.append(["-device", ",".join(
                [driver] + [k + "=" + v for k, v in device.items()])])
    parts += vm["more"]
    if vm["reversed"]:
        # The backends and the controller must come before what stands on them.
        head, tail = parts[:3], parts[3:]
        tail = tail[-2:] + tail[:-2]
        parts = head[::-1] + tail
    for part in parts:
        words += part
    return words


def put(*path_value):
    """A change that sets vm[PATH...] = VALUE."""
    *path, value = path_value

    def change(vm, _):
        at = vm
        for key in path[:-1]:
            at = at[key]
        if value is None:
            at[path[-1]] = None
        else:
            at[path[-1]] = value
    return change


def remove_disk(vm, _):
    vm["blk"] = None
    vm["disk"] = None


def more(*words):
    def change(vm, _):
        vm["more"] = [list(words)]
    return change


def other_version(vm, _):
    board = "pc-q35-" if "q35" in vm["machine"] else "pc-i440fx-"
    vm["machine"] = board + ("5.1" if not vm["machine"].endswith("5.1")
                             else "5.0")


def other_board(vm, _):
    vm["machine"] = ("pc-i440fx-5.2" if "q35" in vm["machine"]
                     else "pc-q35-5.2")


def longer_name(vm, _):
    vm["machine"] = "pc-q35-4.0.1"


def grown_rom(vm, here):
    vm["e1000"]["romfile"] = here.rom


# Name, codes of which one must be told if QEMU refuses, codes of which one must
# be told if it loads it without a word although it is wrong, the change.
CHANGES = [
    ("nothing", [], [], lambda vm, _: None),
    ("nothing (again)", [], [], lambda vm, _: None),
    ("order of options", [], [], put("reversed", True)),
    ("id of the network back end", [], [],
     lambda vm, _: (put("net", "netdev", "other")(vm, _),
                    put("netdev", ["-netdev", "user,id=other"])(vm, _))),
    ("MAC address", [], [], put("net", "mac", "52:54:00:99:99:99")),
    ("a monitor, a port, a pid file", [], [],
     more("-monitor", "unix:mon.sock,server=on,wait=off", "-pidfile", "x.pid",
          "-gdb", "tcp::0")),
    ("what the serial port writes to", [], [],
     put("serial", "file:serial.out")),
    ("serial port added", ["device-extra"], ["device-extra"],
     more("-serial", "null")),
    ("more RAM", ["ram-size"], [], put("ram", "256")),
    ("less RAM", ["ram-size"], [], put("ram", "48")),
    ("rng removed", ["device-missing"], [], put("rng", None)),
    ("disk and its device removed", ["device-missing"], [], remove_disk),
    ("e1000 removed", ["device-missing", "ram-missing"], [],
     put("e1000", None)),
    ("tablet removed", ["device-missing"], [], put("tablet", None)),
    ("rng added", ["device-extra"], ["device-extra"],
     more("-device", "virtio-rng-pci,addr=0x18")),
    ("balloon added", ["device-extra"], ["device-extra"],
     more("-device", "virtio-balloon-pci,addr=0x18")),
    ("keyboard added", ["device-extra"], ["device-extra"],
     more("-device", "usb-kbd,bus=xhci.0,port=3")),
    ("network card added", ["device-extra", "ram-extra"],
     ["device-extra", "ram-extra"],
     more("-device", "rtl8139,addr=0x18")),
    ("rng in another slot", ["device-moved"], [],
     put("rng", "addr", "0x1a")),
    ("network card in another slot", ["device-moved"], [],
     put("net", "addr", "0x1a")),
    ("tablet in another port", ["device-moved"], [],
     put("tablet", "port", "2")),
    ("balloon in the place of rng", ["device-missing"], [],
     put("rng", "driver", "virtio-balloon-pci")),
    ("another graphics card", ["device-missing", "ram-missing"], [],
     put("vga", ["-vga", "cirrus"])),
    ("four queues of the disk", ["device-config"], ["device-config"],
     put("blk", "num-queues", "4")),
    ("more vectors of the disk", ["device-config"], ["device-config"],
     put("blk", "vectors", "5")),
    ("a feature less of the network card", ["device-config"], [],
     put("net", "mrg_rxbuf", "off")),
    ("a feature less of the disk", ["device-config"], [],
     put("blk", "event_idx", "off")),
    ("a larger disk", ["disk-size"], ["disk-size"], put("disk", "32M")),
    ("another version of the machine", ["machine-type"], ["machine-type"],
     other_version),
    ("another board", ["machine-type"], [], other_board),
    ("a machine of a longer name", ["machine-type"], ["machine-type"],
     longer_name),
    ("a feature less of the CPU", ["cpu-features"], ["cpu-features"],
     lambda vm, _: vm.update(cpu=vm["cpu"] + ",-sse3")),
    ("a CPU with more", ["cpu-model"], ["cpu-model"], put("cpu", "Westmere")),
    ("a CPU with less", ["cpu-model", "cpu-features"],
     ["cpu-model", "cpu-features"], put("cpu", "pentium3")),
    ("a CPU more", ["cpu-count"], ["cpu-count"],
     lambda vm, _: vm.update(smp=str(int(vm["smp"]) + 1))),
    ("a CPU fewer", ["cpu-count"], ["cpu-count"],
     lambda vm, _: vm.update(smp=str(int(vm["smp"]) - 1))),
    ("an option ROM that grew", ["rom-size"], [], grown_rom),
    ("no option ROM", ["ram-missing"], [], put("e1000", "romfile", "")),
    ("a section of a later version", ["device-version"], [], "version"),
    ("a subsection that nobody knows", ["subsection-unknown"], [],
     "subsection"),
]

# Changes that only sources of one machine type can have.
ONLY_OF = {"a machine of a longer name": "pc-q35-4.0",
           "a CPU fewer": "pc-q35-7.2"}


def contents(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


class Matrix:
    def __init__(self, args):
        self.args = args
        self.qemu = dict(q.split("=", 1) for q in args.qemu)
        self.dir = tempfile.mkdtemp(prefix="stasis-matrix-")
        self.rom = os.path.join(self.dir, "grown.rom")
        with open(self.rom, "wb") as f:
            f.write(b"\x55\xaa\x01" + bytes(600 * 1024 - 3))

    def run(self, words, timeout=120, cwd=None):
        return subprocess.run(words, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, cwd=cwd)

    # ---- sources -----------------------------------------------------------

    def source(self, version, machine, boot):
        name = "%s-%s-%s" % (version, machine, "booted" if boot else "stopped")
        path = os.path.join(self.dir, name)
        vm = base(machine, boot)
        serial = path + ".serial"
        if boot:
            vm["serial"] = "file:" + serial
        words = command(self.qemu[version], vm, boot, self.args.guest)
        words += ["-qmp", "unix:%s.qmp,server=on,wait=off" % path]
        if not boot:
            words += ["-S"]
        with open(path + ".err", "wb") as err:
            p = subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                 stdout=err, stderr=err)
        try:
            self.wait(lambda: os.path.exists(path + ".qmp") or
                      p.poll() is not None, 20)
            if boot:
                self.wait(lambda: "tick 3" in contents(serial) or
                          p.poll() is not None, 120)
            r = self.run([self.args.stasis, "save", "--qmp", path + ".qmp",
                          path + ".stasis"])
            if r.returncode != 0:
                raise RuntimeError("%s: %s%s" % (name, r.stderr.decode(),
                                                 contents(path + ".err")))
        finally:
            p.kill()
            p.wait()
        return path + ".stasis"

    @staticmethod
    def wait(done, seconds):
        end = time.time() + seconds
        while not done():
            if time.time() > end:
                raise RuntimeError("nothing came within %d s" % seconds)
            time.sleep(0.05)

    # ---- edits -------------------------------------------------------------

    def edited(self, file, what):
        out = file + "." + what
        if os.path.exists(out):
            return out
        if what == "version":
            device, field, value = "timer", "@version", "99"
        else:
            shown = json.loads(self.run([self.args.stasis, "show", "--json",
                                         file]).stdout)
            device, field, value = self.subsection(shown)
        r = self.run([self.args.edit, file, out, device, field, value])
        if r.returncode != 0:
            raise RuntimeError(r.stderr.decode())
        return out

    @staticmethod
    def subsection(shown):
        """One of a device's own; renamed, so that nobody knows it."""
        for d in shown["devices"]:
            for f in d.get("fields", []):
                if f["type"] == "subsection" and "." not in f["path"] and \
                        d["instance_id"] == 0:
                    name = f["path"].encode()
                    raw = bytes([5, len(name)]) + name[:-1] + b"~" + \
                        f["value"].to_bytes(4, "big")
                    return d["idstr"], f["path"], "x" + raw.hex()
        raise RuntimeError("no subsection")

    # ---- a pair ------------------------------------------------------------

    def truth(self, words, file, here):
        sock = os.path.join(here, "in.sock")
        with open(os.path.join(here, "err"), "wb") as err:
            p = subprocess.Popen(words + ["-S", "-incoming", "unix:" + sock],
                                 stdin=subprocess.DEVNULL, stdout=err,
                                 stderr=err, cwd=here)
        try:
            self.wait(lambda: os.path.exists(sock) or p.poll() is not None, 20)
            r = self.run([self.args.stasis, "restore", "--to", "unix:" + sock,
                          file])
            return r.returncode == 0
        finally:
            p.kill()
            p.wait()

    def pair(self, p):
        version, machine, boot, target, change = p
        name, refused, wrong, how = CHANGES[change]
        file = self.sources[version, machine, boot]
        vm = base(machine, boot)
        if callable(how):
            how(vm, self)
        else:  # the snapshot is what changes
            file = self.edited(file, how)
        words = command(self.qemu[target], vm, boot, self.args.guest)
        here = tempfile.mkdtemp(dir=self.dir)
        r = self.run([self.args.stasis, "check", "--json", file, "--"] + words,
                     cwd=here)
        try:
            said = json.loads(r.stdout)
        except ValueError:
            raise RuntimeError(" ".join(words) + ": " + r.stderr.decode())
        loads = self.truth(words, file, here)
        codes = [x["code"] for x in said["reasons"]]
        want = wrong if loads else refused
        result = {
            "pair": p, "change": name, "loads": loads, "says": said["loads"],
            "fits": said["fits"], "codes": codes,
            "right": said["loads"] == ("yes" if loads else "no"),
            "named": not want or any(c in codes for c in want),
            "command": words, "file": file, "reasons": said["reasons"],
            "qemu": contents(os.path.join(here, "err")),
        }
        # Nothing may be held against what is as it was.
        if loads and not want and not said["fits"]:
            result["named"] = False
        shutil.rmtree(here)
        return result

    # ---- all of them -------------------------------------------------------

    def possible(self):
        for machine in self.args.machine or MACHINES:
            known = [v for v in MACHINES[machine] if v in self.qemu]
            changes = [i for i, c in enumerate(CHANGES)
                       if ONLY_OF.get(c[0], machine) == machine and
                       self.args.only in (None, c[0])]
            for source, target, boot, change in itertools.product(
                    known, known, (False, True), changes):
                yield source, machine, boot, target, change

    def choose(self):
        """Each change as often as another, of booted guests as of others."""
        possible = list(self.possible())
        random.Random(SEED).shuffle(possible)
        kinds = {}
        for p in possible:
            kinds.setdefault((p[4], p[2]), []).append(p)
        order = sorted(kinds)
        random.Random(SEED).shuffle(order)
        chosen = []
        while len(chosen) < self.args.pairs and any(kinds.values()):
            for k in order:
                if kinds[k] and len(chosen) < self.args.pairs:
                    chosen.append(kinds[k].pop())
        return chosen

    def all(self):
        pairs = self.choose()
        kinds = sorted({p[:3] for p in pairs})
        self.sources = {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for kind, file in zip(kinds, pool.map(
                    lambda k: self.source(*k), kinds)):
                self.sources[kind] = file
            for p in pairs:
                if not callable(CHANGES[p[4]][3]):
                    self.edited(self.sources[p[:3]], CHANGES[p[4]][3])
            print("%d sources, %d pairs" % (len(kinds), len(pairs)),
                  flush=True)
            return list(pool.map(self.pair, pairs))


def table(results):
    lines = ["| change | pairs | QEMU loads | QEMU refuses | check right | "
             "false alarms | missed | told as |",
             "|---|---:|---:|---:|---:|---:|---:|---|"]
    for name in [c[0] for c in CHANGES] + ["all"]:
        rs = [r for r in results if name in (r["change"], "all")]
        if not rs:
            continue
        codes = sorted({x["code"] for r in rs for x in r["reasons"]})
        lines.append("| %s | %d | %d | %d | %d | %d | %d | %s |" % (
            name, len(rs), sum(r["loads"] for r in rs),
            sum(not r["loads"] for r in rs), sum(r["right"] for r in rs),
            sum(r["loads"] and r["says"] != "yes" for r in rs),
            sum(not r["loads"] and r["says"] != "no" for r in rs),
            ", ".join(codes) if name != "all" else ""))
    return "\n".join(lines) + "\n"


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--stasis", required=True)
    a.add_argument("--edit", required=True)
    a.add_argument("--guest", required=True)
    a.add_argument("--qemu", action="append", required=True)
    a.add_argument("--pairs", type=int, default=190)
    a.add_argument("--only", help="a change")
    a.add_argument("--machine", action="append",
                   help="these machine types only")
    a.add_argument("--table")
    args = a.parse_args()
    m = Matrix(args)
    try:
        results = m.all()
    finally:
        shutil.rmtree(m.dir, ignore_errors=True)
    bad = [r for r in results if not r["right"] or not r["named"]]
    for r in bad:
        print("BAD: %s: %s: QEMU %s, check says %s, fits %s: %s\n  %s\n  %s" % (
            r["pair"], r["change"], "loads" if r["loads"] else "refuses",
            r["says"], r["fits"],
            "; ".join(x["code"] + ": " + x["message"] for x in r["reasons"]),
            " ".join(r["command"]), r["qemu"].strip().replace("\n", "\n  ")))
    text = table(results)
    print(text)
    if args.table:
        with open(args.table, "w") as f:
            f.write(text)
    loads = sum(r["loads"] for r in results)
    booted = sum(r["pair"][2] for r in results)
    alarms = sum(r["loads"] and r["says"] != "yes" for r in results)
    missed = sum(not r["loads"] and r["says"] != "no" for r in results)
    print("%d pairs, %d from booted guests; QEMU loads %d, refuses %d; "
          "false alarms %d, missed %d, causes not named %d" % (
              len(results), booted, loads, len(results) - loads, alarms,
              missed, sum(not r["named"] for r in results)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
