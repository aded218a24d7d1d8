# SPDX-License-Identifier: LGPL-2.1-or-later
"""virsh save and virsh restore --paused, as measured operations."""

import contextlib
import os
import shutil
import signal
import time
from xml.sax.saxutils import quoteattr

import guests
import libvirtd
import measure
import ways

DOMAIN = "bench"
XML = """\
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <uuid>6e5c1f0e-8f0b-4d4e-9d0c-0d4a3f1b2c5d</uuid>
  <memory unit='MiB'>{mib}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>{args}</qemu:commandline>
</domain>
"""


def write_xml(guest, qemu, options, path):
    args = "".join(f"<qemu:arg value={quoteattr(o)}/>" for o in options)
    with open(path, "w") as f:
        f.write(XML.format(name=DOMAIN, mib=guest["mib"], args=args,
                           emulator=shutil.which(qemu)))
    return os.path.abspath(path)


def daemon(env, qemu, save_format):
    """Started when it is first needed; ends with all we started."""
    started = env.setdefault("libvirt", {})
    if save_format not in started:
        with contextlib.chdir(env["work"]):
            started[save_format] = libvirtd.Libvirtd(
                save_format, [qemu, *({save_format} - {"raw"})])
    return started[save_format]


def destroy(lib):
    """Also what an operation that failed left."""
    if lib.virsh("list", "--name"):
        os.kill(lib.qemu_pid(DOMAIN), signal.SIGKILL)
    while lib.virsh("list", "--name"):
        time.sleep(0.02)


def run(lib, meter, pids, *words):
    process = lib.start(*words)
    pids.append(process.pid)
    if measure.wait_for(process, meter) != 0:
        raise RuntimeError(process.stderr.read().decode().strip())


def save_domain(lib, path):
    """A measured save; the domain is gone after it."""
    pid = lib.qemu_pid(DOMAIN)
    os.sync()
    pids = []
    meter = measure.Meter(lambda: pids + lib.helpers(), pid)
    run(lib, meter, pids, "save", DOMAIN, os.path.abspath(path))
    meter.stands()
    measure.sync_file(path)
    return ways.sized(meter.stop(), path)


def booted(guest, lib, qemu):
    """The image of the guest that was booted under libvirt, once."""
    path = f"base-{os.path.basename(lib.home)}"
    if not os.path.exists(path):
        if os.path.exists("serial"):
            os.unlink("serial")
        lib.virsh("create", write_xml(guest, qemu, guest["boot"], "boot.xml"))
        guests.wait_until_ready()
        save_domain(lib, path)
    return os.path.abspath(path)


def start(guest, lib, qemu):
    if guest["fill"]:
        options = guest["boot"] + guest["fill"]
        xml = write_xml(guest, qemu, options, "start.xml")
        lib.virsh("create", "--paused", xml)
    else:
        lib.virsh("restore", "--paused", booted(guest, lib, qemu))


def save(save_format):
    def save_in_format(env, guest, qemu, path):
        lib = daemon(env, qemu, save_format)
        destroy(lib)
        start(guest, lib, qemu)
        return save_domain(lib, path)
    return save_in_format


def restore(save_format):
    def restore_in_format(env, guest, qemu, path):
        lib = daemon(env, qemu, save_format)
        destroy(lib)
        xml = write_xml(guest, qemu, guest["boot"], "target.xml")
        pids = []
        meter = measure.Meter(lambda: pids + lib.helpers())
        run(lib, meter, pids, "restore", "--paused", "--xml", xml,
            os.path.abspath(path))
        result = ways.sized(meter.stop(), path)
        destroy(lib)
        return result
    return restore_in_format
