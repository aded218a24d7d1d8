# SPDX-License-Identifier: LGPL-2.1-or-later
"""The VMs that are measured.  Each begins anew for every save, with the same
memory: filled from a file that QEMU loads, or restored from one snapshot."""

import json
import os
import re
import subprocess
import time

import vm

BOOT_LIMIT = 300  # seconds, without KVM
LOAD_ADDRESS = 0x10000000


def make_content(path, size):
    """SIZE bytes of what /usr holds: programs, libraries, data."""
    tar = subprocess.Popen(
        ["tar", "-C", "/", "-cf", "-", "usr/lib", "usr/share", "usr/bin"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with open(path, "wb") as f:
        while (left := size - f.tell()) > 0:
            part = tar.stdout.read(min(left, 1 << 20))
            if not part:
                raise RuntimeError(f"/usr has less than {size} bytes")
            f.write(part)
        f.flush()
        os.fsync(f.fileno())
    tar.stdout.close()
    tar.wait()


def guest(name, mib, boot, fill, touched, about):
    """BOOT: what it is started with, always; FILL: when its memory is not
    restored; TOUCHED: bytes, about, that an operation takes of the host's."""
    machine = ["-M", "pc", "-m", str(mib), "-nodefaults", "-display", "none",
               "-S"]
    return {"name": name, "mib": mib, "boot": boot, "fill": fill,
            "options": machine + boot, "touched": touched,
            "about": f"{mib / 1024:.3g} GiB of RAM, {about}"}


def filled(name, mib, size, scale):
    size = int(size * scale)
    path = os.path.abspath(f"content-{name}")
    make_content(path, size)
    loader = f"loader,file={path},addr={LOAD_ADDRESS:#x},force-raw=on"
    return guest(name, mib, [], ["-device", loader], 2 * size,
                 f"{size / 1e6:,.0f} MB of /usr in it")


def content(env):
    return filled("content", max(512, int(4096 * env["scale"])), 1_700_000_000,
                  env["scale"])


def empty(env):
    return filled("empty", max(512, int(16384 * env["scale"])), 256_000_000,
                  env["scale"])


def linux(env):
    mib = max(256, int(1024 * env["scale"]))
    boot = ["-kernel", f"{env['guest']}/cloud/vmlinuz",
            "-initrd", f"{env['guest']}/cloud/initrd",
            "-append", "console=ttyS0 quiet no_timer_check",
            "-serial", "file:" + os.path.abspath("serial")]
    return guest("linux", mib, boot, [], 3 << 30, "a Linux that booted")


MAKERS = {"content": content, "linux": linux, "empty": empty}


def wait_until_ready():
    deadline = time.monotonic() + BOOT_LIMIT
    while time.monotonic() < deadline:
        try:
            with open("serial", "rb") as f:
                if re.search(rb"^tick ", f.read(), re.M):
                    return
        except FileNotFoundError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the Linux guest did not boot")


def booted(env, guest, qemu):
    """The snapshot of the guest that was booted under QEMU, once."""
    path = f"base-{os.path.basename(qemu)}.stasis"
    if not os.path.exists(path):
        with vm.start([qemu, *guest["options"]]) as machine_:
            machine_.watch.command("cont")
            wait_until_ready()
            subprocess.run([env["stasis"], "save", "--qmp", "qmp", path],
                           check=True, stderr=subprocess.DEVNULL)
    return path


def restore_detached(env, path, argv):
    """Runs stasis restore; the QEMU that it left."""
    run = subprocess.run(
        [env["stasis"], "restore", "--paused", "--detach", "--json", path, "--",
         *argv, *vm.monitors()],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return vm.Vm(json.loads(run.stdout)["pid"])


def start(env, guest, qemu, extra=()):
    """The guest, paused, with its memory as it is measured."""
    argv = [qemu, *guest["options"], *extra]
    if guest["fill"]:
        return vm.start(argv + guest["fill"])
    machine_ = restore_detached(env, booted(env, guest, qemu), argv)
    try:
        return machine_.connect()
    except BaseException:
        machine_.end()
        raise
