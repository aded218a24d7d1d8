# SPDX-License-Identifier: LGPL-2.1-or-later
"""A libvirtd of our own, whose configuration and state are ours too: it sees
private /etc/libvirt, /run, ... in its own mount namespace, so that nothing of
the machine's is read or changed.  No systemd, no virtlogd."""

import os
import shutil
import subprocess
import sys
import time

import measure

START_LIMIT = 30  # seconds
PRIVATE = ("/etc/libvirt", "/run", "/var/lib/libvirt", "/var/cache/libvirt",
           "/var/log/libvirt")
SETUP = """
set -e
mount --make-rprivate /
for d in {private}; do mkdir -p $d "{home}$d"; mount --bind "{home}$d" $d; done
for f in passwd group; do mount --bind "{home}/$f" /etc/$f; done
mkdir -p /var/log/libvirt/qemu
PATH={home}/bin exec {libvirtd} -f "{home}/libvirtd.conf"
"""
QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
save_image_format = "{format}"
"""
LIBVIRTD_CONF = """
unix_sock_dir = "{home}"
auth_unix_rw = "none"
log_outputs = "3:stderr"
"""


def with_user(path, line, to):
    """A copy with the user or group that libvirt looks for when it starts."""
    with open(path) as f:
        text = f.read()
    with open(to, "w") as f:
        f.write(text if "libvirt-qemu:" in text else text + line + "\n")


def link_programs(home, names):
    """All that it finds: it would ask every QEMU of the machine, for a minute,
    what it can do."""
    os.mkdir(f"{home}/bin")
    for name in names:
        if not (path := shutil.which(name)):
            raise RuntimeError(f"no {name}")
        link = f"{home}/bin/{os.path.basename(name)}"
        os.symlink(os.path.abspath(path), link)


def write_files(home, save_format):
    for d in PRIVATE:
        os.makedirs(home + d)
    with_user("/etc/passwd", "libvirt-qemu:x:64055:64055::/:/bin/false",
              f"{home}/passwd")
    with_user("/etc/group", "libvirt-qemu:x:64055:", f"{home}/group")
    with open(f"{home}/etc/libvirt/qemu.conf", "w") as f:
        f.write(QEMU_CONF.format(format=save_format))
    with open(f"{home}/libvirtd.conf", "w") as f:
        f.write(LIBVIRTD_CONF.format(home=home))


class Libvirtd:
    """Images are saved in SAVE_FORMAT: raw, lzop, ..."""

    def __init__(self, save_format, programs):
        self.save_format = save_format
        self.home = os.path.abspath(f"libvirt-{save_format}")
        write_files(self.home, save_format)
        link_programs(self.home, programs)
        setup = SETUP.format(home=self.home, private=" ".join(PRIVATE),
                             libvirtd=shutil.which("libvirtd"))
        with open(f"{self.home}/log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-B", __file__, "unshare", "-m", "sh", "-c",
                 setup], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait()

    def argv(self, *words):
        uri = f"qemu:///system?socket={self.home}/libvirt-sock"
        return ["virsh", "-q", "-c", uri, *words]

    def start(self, *words):
        return subprocess.Popen(self.argv(*words), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def virsh(self, *words):
        run = subprocess.run(self.argv(*words), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"virsh {words[0]}: {run.stderr.strip()}")
        return run.stdout.strip()

    def wait(self):
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                self.virsh("version")
                return
            except RuntimeError as err:
                if (self.process.poll() is not None
                        or time.monotonic() > deadline):
                    raise RuntimeError(f"libvirtd: {err} {self.said()}")
            time.sleep(0.1)

    def said(self):
        with open(f"{self.home}/log", errors="replace") as f:
            return f.read()[-300:]

    def qemu_pid(self, domain):
        with open(f"{self.home}/run/libvirt/qemu/{domain}.pid") as f:
            return int(f.read())

    def helpers(self):
        """What works for a save or a restore; not what becomes a QEMU."""
        names = ("libvirtd", "libvirt_iohelpe", self.save_format)
        return [pid for pid in measure.descendants(self.process.pid)
                if measure.command(pid) in names]


def keep(argv):
    """libvirt waits until its QEMUs are gone: somebody has to collect them."""
    measure.adopt_orphans()
    process = subprocess.Popen(argv)
    while os.wait()[0] != process.pid:
        pass


if __name__ == "__main__":
    keep(sys.argv[1:])
