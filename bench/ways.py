# SPDX-License-Identifier: LGPL-2.1-or-later
"""How QEMU and stasis save and restore a VM, each as one measured operation.

save(env, guest, qemu, path) and restore(env, guest, qemu, path) return what
measure.Meter.stop() does; a save's time includes the sync of its file."""

import json
import os
import subprocess
import time

import guests
import measure
import vm

UNDER_WAY = ("none", "setup", "active", "device", "pre-switchover",
             "wait-unplug")


def sized(result, path):
    s = os.stat(path)
    result["bytes"] = s.st_size
    result["allocated"] = s.st_blocks * 512
    return result


# ---- stasis ---------------------------------------------------------------

def run_stasis(meter, pids, argv):
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pids.append(process.pid)
    return process


def status(machine):
    return machine.watch.command("query-migrate").get("status", "none")


def watcher(machine, meter):
    """Tells when the guest could go on: QEMU has begun and is done, or is no
    more there to ask."""
    begun = False

    def look():
        nonlocal begun
        if meter.stood is not None:
            return
        try:
            now = status(machine)
        except (RuntimeError, OSError):
            now = "gone"
        if now in UNDER_WAY:
            begun = begun or now != "none"
        elif begun:
            meter.stands()
    return look


def save_stasis(mode, *options):
    def save(env, guest, qemu, path):
        with guests.start(env, guest, qemu) as machine:
            os.sync()
            pids = []
            meter = measure.Meter(lambda: pids, machine.pid)
            process = run_stasis(meter, pids, [
                env["stasis"], "save", "--qmp", "qmp", "--force", "--compress",
                mode, *options, path])

            ended = measure.wait_for(process, meter, watcher(machine, meter))
            result = meter.stop()
            if ended != 0:
                raise RuntimeError(process.stderr.read().decode().strip())
            return sized(result, path)
    return save


def restore_stasis(env, guest, qemu, path):
    pids = []
    argv = [env["stasis"], "restore", "--paused", "--detach", "--json", path,
            "--", qemu, *guest["options"], *vm.monitors()]
    meter = measure.Meter(lambda: pids)
    process = run_stasis(meter, pids, argv)
    ended = measure.wait_for(process, meter)
    result = meter.stop()
    if ended != 0:
        raise RuntimeError(process.stderr.read().decode().strip())
    vm.Vm(json.loads(process.stdout.read())["pid"]).end()
    return sized(result, path)


# ---- QEMU -----------------------------------------------------------------

def set_up(machine, capabilities, parameters):
    if capabilities:
        machine.watch.command("migrate-set-capabilities", {"capabilities": [
            {"capability": c, "state": True} for c in capabilities]})
    if parameters:
        machine.watch.command("migrate-set-parameters", parameters)


def wait_migrated(machine, meter):
    while (now := status(machine)) in UNDER_WAY:
        meter.tick()
        time.sleep(measure.POLL)
    meter.stands()
    if now != "completed":
        raise RuntimeError(f"migration {now}: {vm.said()}")


def save_migrate(uri, capabilities=(), parameters={}):
    """URI: {file} stands for where to."""
    def save(env, guest, qemu, path):
        with guests.start(env, guest, qemu) as machine:
            set_up(machine, capabilities, {"max-bandwidth": 0, **parameters})
            os.sync()
            helpers = lambda: measure.descendants(machine.pid)
            meter = measure.Meter(helpers, machine.pid)
            machine.watch.command("migrate", {"uri": uri.format(file=path)})
            wait_migrated(machine, meter)
            while helpers():  # a compressor that still writes
                meter.tick()
                time.sleep(measure.POLL)
            measure.sync_file(path)
            return sized(meter.stop(), path)
    return save


def wait_loaded(machine, meter):
    while machine.watch.command("query-status")["status"] == "inmigrate":
        meter.tick()
        time.sleep(measure.POLL)
    return meter.stop()


def begin(argv):
    """A QEMU, its monitors not yet asked; and the meter of its load."""
    argv = argv + vm.monitors()
    box = []
    meter = measure.Meter(lambda: measure.descendants(box[0]))
    machine = vm.Vm(vm.spawn(argv).pid)
    box.append(machine.pid)
    return machine, meter


def restore_incoming(uri):
    def restore(env, guest, qemu, path):
        machine, meter = begin([qemu, *guest["options"], "-incoming",
                                uri.format(file=path)])
        with machine:
            machine.connect()
            return sized(wait_loaded(machine, meter), path)
    return restore


def restore_deferred(uri, capabilities=(), parameters={}):
    def restore(env, guest, qemu, path):
        machine, meter = begin([qemu, *guest["options"], "-incoming", "defer"])
        with machine:
            machine.connect()
            set_up(machine, capabilities, parameters)
            machine.watch.command("migrate-incoming",
                                  {"uri": uri.format(file=path)})
            return sized(wait_loaded(machine, meter), path)
    return restore


def disk(path):
    return ["-drive", f"if=none,id=vm,format=qcow2,file={path}"]


def save_savevm(env, guest, qemu, path):
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"],
                   check=True)
    with guests.start(env, guest, qemu, disk(path)) as machine:
        os.sync()
        meter = measure.Meter(lambda: [], machine.pid)
        said = machine.watch.command("human-monitor-command",
                                     {"command-line": "savevm bench"})
        meter.stands()
        if said:
            raise RuntimeError(said.strip())
        measure.sync_file(path)
        return sized(meter.stop(), path)


def restore_loadvm(env, guest, qemu, path):
    machine, meter = begin([qemu, *guest["options"], *disk(path), "-loadvm",
                            "bench"])
    with machine:
        machine.connect()
        return sized(wait_loaded(machine, meter), path)
