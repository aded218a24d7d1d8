# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU with two monitors: `qmp` for whoever saves it, `watch` for us."""

import json
import os
import socket
import subprocess
import time

import measure

START_LIMIT = 120  # seconds for a QEMU to answer


class Qmp:
    def __init__(self, path, alive):
        deadline = time.monotonic() + START_LIMIT
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if not alive() or time.monotonic() > deadline:
                    raise RuntimeError("QEMU did not start: " + said())
                time.sleep(0.002)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name, arguments=None, fds=()):
        request = {"execute": name}
        if arguments:
            request["arguments"] = arguments
        data = json.dumps(request).encode()
        if fds:
            socket.send_fds(self.socket, [data], fds)
        else:
            self.socket.sendall(data)
        while True:
            line = self.lines.readline()
            if not line:
                raise RuntimeError(f"QEMU is gone ({name}): " + said())
            answer = json.loads(line)
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.lines.close()
        self.socket.close()


def said():
    """The end of what QEMU and its helpers said."""
    try:
        with open("stderr", errors="replace") as f:
            return f.read()[-500:].strip()
    except OSError:
        return ""


def monitors():
    for name in ("qmp", "watch"):
        if os.path.exists(name):
            os.unlink(name)
    return [x for name in ("qmp", "watch")
            for x in ("-qmp", f"unix:{name},server=on,wait=off")]


def spawn(argv):
    with open("stderr", "wb") as err:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                stdout=err, stderr=err)


class Vm:
    """A QEMU that runs as PID, a child of ours or adopted."""

    def __init__(self, pid):
        self.pid = pid
        self.watch = None

    def alive(self):
        try:
            return os.waitpid(self.pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:
            return True  # not ours yet: whoever started it still runs

    def connect(self):
        self.watch = Qmp("watch", self.alive)
        return self

    def end(self):
        if self.watch:
            self.watch.close()
        measure.reap(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def start(argv):
    vm = Vm(spawn(argv + monitors()).pid)
    try:
        return vm.connect()
    except BaseException:
        vm.end()
        raise
