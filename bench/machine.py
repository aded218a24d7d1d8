# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a run was made on."""

import datetime
import os
import platform
import re
import subprocess


def first_line(*argv):
    try:
        run = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.STDOUT)
        return run.stdout.splitlines()[0].strip(" *")
    except (OSError, IndexError):
        return "missing"


def field(path, key):
    with open(path) as f:
        return re.search(rf"^{key}\s*:\s*(.*)$", f.read(), re.M).group(1)


def describe(env):
    return {
        "date": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "ram": int(field("/proc/meminfo", "MemTotal").split()[0]) * 1024,
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
        "qemu": first_line(env["qemus"][""], "-version"),
        "qemu 10.0": first_line(env["qemus"]["10.0"], "-version"),
        "libvirt": first_line("libvirtd", "--version"),
        "zstd": first_line("zstd", "--version"),
        "lzop": first_line("lzop", "--version"),
        "stasis": first_line(env["stasis"], "--version"),
    }
