# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an operation costs, the same for everybody: wall time, the CPU time of
the whole machine (so the kernel's and every helper's share is in it), peak RSS
of the helpers, growth of QEMU's own RSS, bytes read from the disk."""

import ctypes
import mmap
import os
import select
import signal
import time

POLL = 0.005  # seconds between looks at what is under way
TICKS = os.sysconf("SC_CLK_TCK")


def busy():
    """CPU seconds of the whole machine: user, nice, system, irq, softirq."""
    with open("/proc/stat") as f:
        v = [int(x) for x in f.readline().split()[1:8]]
    return (v[0] + v[1] + v[2] + v[5] + v[6]) / TICKS


def device_read(path):
    """Bytes that were ever read from the block device under PATH, or None."""
    dev = os.stat(path).st_dev
    try:
        with open(f"/sys/dev/block/{os.major(dev)}:{os.minor(dev)}/stat") as f:
            return int(f.read().split()[2]) * 512
    except OSError:
        return None


def status_kib(pid, key):
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def command(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return None


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                found += [int(x) for x in f.read().split()]
    except OSError:
        pass
    return found


def descendants(pid):
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found


def process_cpu(pid):
    """CPU seconds of a process with its threads, ended ones too, to the ns."""
    return time.clock_gettime((~pid << 3) | 2)


def adopt_orphans():
    """Processes whose parents end become our children, so none is lost."""
    PR_SET_CHILD_SUBREAPER = 36
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl")


def reap(pid):
    """Kills a child of ours, hard, and waits until it is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def end_children():
    while left := children(os.getpid()):
        for pid in left:
            reap(pid)


touched = 0  # bytes: what an operation on the guest takes


def touch_memory():
    """Free pages are touched and given back.  The host of a virtual machine
    may have taken free pages away (ballooning, free page reporting): then the
    first use of each costs many times its price, for whoever comes first."""
    with open("/proc/meminfo") as f:
        free = next(int(x.split()[1]) for x in f if x.startswith("MemFree"))
    size = min(touched, free * 1024 // 2)
    mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS |
              mmap.MAP_POPULATE).close()


class Meter:
    """From its making to stop(): see above.  tick() is to be called every POLL
    seconds; helpers() says which processes work for the operation."""

    def __init__(self, helpers, qemu=None):
        self.helpers = helpers
        self.qemu = qemu
        self.peaks = {}
        self.stood = None
        if qemu:
            with open(f"/proc/{qemu}/clear_refs", "w") as f:
                f.write("5")  # its peak RSS counts from now
            self.rss = self.top = status_kib(qemu, "VmRSS")
        touch_memory()
        self.read = device_read(".")
        self.cpu = busy()
        self.began = time.monotonic()

    def tick(self):
        # A peak that is a maximum since the process began; what it grows in
        # its last few milliseconds is not seen.
        if self.qemu:
            self.top = max(self.top, status_kib(self.qemu, "VmHWM"))
        for pid in self.helpers():
            peak = status_kib(pid, "VmHWM")
            self.peaks[pid] = max(peak, self.peaks.get(pid, 0))

    def stands(self):
        """The guest could go on from now."""
        if self.stood is None:
            self.stood = time.monotonic() - self.began

    def stop(self):
        wall = time.monotonic() - self.began
        cpu = busy() - self.cpu
        read = device_read(".")
        self.tick()
        self.stands()
        return {
            "wall": wall,
            "stands": self.stood,
            "cpu": cpu,
            "helper_rss": sum(self.peaks.values()) * 1024,
            "qemu_growth": self.qemu and (self.top - self.rss) * 1024,
            "read": None if read is None else read - self.read,
        }


def wait_for(process, meter, each=lambda: None):
    """Until it ends; returns its exit status."""
    fd = os.pidfd_open(process.pid)
    try:
        while not select.select([fd], [], [], POLL)[0]:
            meter.tick()
            each()
    finally:
        os.close(fd)
    return process.wait()


def sync_file(path):
    fd = os.open(path, os.O_RDWR)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def warm(path):
    """Into the page cache with it, but not with the zeros of its holes."""
    buffer = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as f:
        size = os.fstat(f.fileno()).st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # nothing but a hole is left
            end = os.lseek(f.fileno(), at, os.SEEK_HOLE)
            f.seek(at)
            while at < end:
                at += f.readinto(memoryview(buffer)[:end - at])


def resident(path):
    """Bytes of the file that the page cache holds."""
    size = os.stat(path).st_size
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), size) as m:
        pages = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
        at = ctypes.c_char.from_buffer(m)
        try:
            address = ctypes.c_void_p(ctypes.addressof(at))
            if libc.mincore(address, ctypes.c_size_t(size), pages) != 0:
                raise OSError(ctypes.get_errno(), "mincore")
        finally:
            del at
        return sum(p & 1 for p in pages) * mmap.PAGESIZE


def cool(path):
    """Drops the file from the page cache."""
    sync_file(path)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    left = resident(path)
    if left > os.stat(path).st_size // 100:
        raise RuntimeError(f"{left} bytes of {path} stay in the page cache")
