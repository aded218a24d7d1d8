#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""lazy.py [MIB...]: how soon a guest runs, and is heard of, when it is restored
lazily, beside QEMU's bare start and a whole restore; how long its requests
wait, and what a working set gains.  Prints two Markdown tables.

Environment: STASIS, TOOLS (the directory with `chunk`), GUEST, QEMU, ROUNDS."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

STASIS, TOOLS, GUEST = (os.environ[k] for k in ("STASIS", "TOOLS", "GUEST"))
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
PART = 512 << 20


def usr(size):
    """Real content: what lies in /usr."""
    find = "find /usr/lib /usr/bin -type f -size +16k | sort | xargs cat"
    return subprocess.run(f"{find} 2> find.err | head -c {size}", shell=True,
                          check=True, capture_output=True).stdout


def command(name, mib, content):
    """A Linux that counts in its first 256 MiB, and content above them."""
    boot = min(mib, 512) // 2
    data, devices, at = usr(min(content, PART)), [], boot << 20
    if mib > 3072:
        at = 1 << 32
    for i in range(-(-content // PART)):
        path = os.path.abspath(f"{name}-{i}.bin")
        with open(path, "wb") as f:
            part = data[:min(PART, content - i * PART)]
            f.write(part[i * 4096:] + part[:i * 4096])
        devices += ["-device", f"loader,file={path},addr={at:#x},force-raw=on"]
        at += PART
    return [QEMU, "-accel", "tcg", "-nodefaults", "-display", "none",
            "-no-user-config", "-chardev",
            f"file,id=serial0,path={os.path.abspath(name)}.serial,append=on",
            "-serial", "chardev:serial0", "-qmp",
            f"unix:{os.path.abspath(name)}.qmp,server=on,wait=off",
            "-M", "pc", "-m", str(mib), "-kernel", f"{GUEST}/cloud/vmlinuz",
            "-initrd", f"{GUEST}/cloud/initrd", "-append",
            f"console=ttyS0 quiet no_timer_check mem={boot}M", *devices]


def save(name, vm):
    run = subprocess.Popen(vm)
    while b"tick" not in read(name + ".serial"):
        time.sleep(0.1)
    subprocess.run([STASIS, "save", "--qmp", name + ".qmp", "--quit",
                    name + ".stasis"], check=True)
    run.wait()
    # QEMU is not to spend its start on reading them.
    for option in vm:
        if option.startswith("loader,file="):
            open(option.split(",")[1][5:], "wb").write(b"x")


def read(path):
    return open(path, "rb").read() if os.path.exists(path) else b""


def bare_start(name, vm):
    """From exec to a QEMU that says that it runs."""
    if os.path.exists(name + ".qmp"):
        os.unlink(name + ".qmp")
    begun = time.monotonic()
    run = subprocess.Popen(vm)
    while True:
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(name + ".qmp")
            break
        except OSError:
            time.sleep(0.0005)
    f = s.makefile("rw")
    f.readline()
    for ask in ("qmp_capabilities", "query-status"):
        f.write(json.dumps({"execute": ask}))
        f.flush()
        answer = json.loads(f.readline())
    took = time.monotonic() - begun
    assert answer["return"]["status"] == "running", answer
    run.kill()
    run.wait()
    return took


def first_output(name, size):
    while os.path.getsize(name + ".serial") <= size:
        time.sleep(0.001)
    return time.monotonic()


def restore(name, vm, *options):
    """Seconds to a guest that runs and to its first output; stasis' words."""
    size = os.path.getsize(name + ".serial")
    begun = time.monotonic()
    run = subprocess.Popen([STASIS, "restore", *options, "--detach", "--json",
                            name + ".stasis", "--", *vm],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    heard = first_output(name, size) - begun
    out, decoder = run.communicate()[0].decode(), json.JSONDecoder()
    told, end = decoder.raw_decode(out)
    if "--lazy" in options:
        told.update(decoder.raw_decode(out[end:].lstrip())[0])
    os.kill(told["pid"], 9)
    while os.path.exists(f"/proc/{told['pid']}"):
        time.sleep(0.01)
    return told["seconds"], heard, told


def median(values):
    return statistics.median(values)


def row(mib, name, vm):
    bare, lazy, whole = [], [], []
    restore(name, vm, "--lazy")
    for i in range(ROUNDS):
        bare.append(bare_start(name, vm))
        lazy.append(restore(name, vm, "--lazy"))
        if i < 3:
            whole.append(restore(name, vm))
    chunk = subprocess.run([TOOLS + "/chunk", name + ".stasis"], check=True,
                           capture_output=True, text=True).stdout.split()[0]
    p99 = median(x[2]["request_p99_us"] for x in lazy)
    print(f"| {mib} | {os.path.getsize(name + '.stasis') / 1e6:,.0f}"
          f" | {median(bare):.3f} | {median(x[0] for x in lazy):.3f}"
          f" | {median(x[0] / b for x, b in zip(lazy, bare)):.2f}"
          f" | {median(x[1] for x in lazy):.2f}"
          f" | {median(x[0] for x in whole):.2f}"
          f" | {median(x[1] for x in whole):.2f}"
          f" | {median(x[2]['resident_seconds'] for x in lazy):.2f}"
          f" | {median(x[2]['requests'] for x in lazy):.0f}"
          f" | {chunk} | {median(x[2]['request_p50_us'] for x in lazy):.0f}"
          f" | {p99:.0f} | {p99 / float(chunk):.2f} |", flush=True)


def working_set(name, vm):
    restore(name, vm, "--lazy", "--record-working-set")
    with_set, without = [], []
    for _ in range(ROUNDS):
        with_set.append(restore(name, vm, "--lazy"))
        os.rename(name + ".stasis.working-set", "away")
        without.append(restore(name, vm, "--lazy"))
        os.rename("away", name + ".stasis.working-set")
    os.unlink(name + ".stasis.working-set")
    for what, of in (("without", without), ("with", with_set)):
        print(f"| {what} | {median(x[2]['requests'] for x in of):.0f}"
              f" | {median(x[1] for x in of):.3f} |", flush=True)


def main():
    sizes = [int(a) for a in sys.argv[1:]] or [256, 8192]
    os.makedirs("run", mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = os.path.abspath("run")
    print("| RAM, MiB | file, MB | bare start, s | lazily: runs, s | / bare"
          " | first output, s | whole: runs, s | first output, s"
          " | resident, s | requests | idle chunk, us | request p50, us"
          " | p99, us | / idle |\n|" + "---:|" * 14)
    machines = []
    for mib in sizes:
        name = f"m{mib}"
        vm = command(name, mib, (mib // 2 - 64) << 20)
        save(name, vm)
        machines.append((mib, name, vm))
    for mib, name, vm in machines:
        row(mib, name, vm)
    print("\n| working set | requests | first output, s |\n|---|---:|---:|")
    working_set(machines[-1][1], machines[-1][2])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(
            prefix="stasis-bench-",
            dir=os.environ.get("TMPDIR", "/var/tmp")) as where:
        os.chdir(where)
        main()
