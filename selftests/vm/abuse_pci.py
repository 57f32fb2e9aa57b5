# SPDX-License-Identifier: GPL-2.0
"""Runs in a guest: what a guest can do to its NVMe function by config space while
its driver works.

    abuse_pci.py BDF flr DISK N           reset by the kernel, which the driver does know of
    abuse_pci.py BDF move DISK N [SEED]   BAR0 elsewhere, decode off, or both, and back
    abuse_pci.py BDF away | back          one move of BAR0, and stay
    abuse_pci.py BDF msix DISK N [SEED]   MSI-X masked, its table saved, wiped, restored

A driver does not know of moves: doorbells that it rings meanwhile go nowhere. So
after each move one block is read, and its doorbell carries the others with it.
"""
import ctypes
import mmap
import os
import random
import struct
import sys
import time

COMMAND, BAR0, CAPS = 0x04, 0x10, 0x34
MEMORY = 0x2
MSIX_MASKALL = 0x4000
# No answer for so long: the driver's own time-out is longer.
HANG = 20


class Function:
    """A PCI function by its files in sysfs."""

    def __init__(self, bdf):
        self.dir = "/sys/bus/pci/devices/" + bdf
        self.cfg = os.open(self.dir + "/config", os.O_RDWR)
        with open(self.dir + "/resource", encoding="ascii") as f:
            bars = [[int(x, 16) for x in line.split()] for line in f]
        self.bar0, end = bars[0][:2]
        self.size = end + 1 - self.bar0

    def get(self, off, fmt):
        return struct.unpack(fmt, os.pread(self.cfg, struct.calcsize(fmt), off))[0]

    def put(self, off, fmt, val):
        os.pwrite(self.cfg, struct.pack(fmt, val), off)

    def decode(self, on):
        cmd = self.get(COMMAND, "<H")
        self.put(COMMAND, "<H", cmd | MEMORY if on else cmd & ~MEMORY)

    def move(self, addr):
        low = self.get(BAR0, "<I") & 0xf
        self.put(BAR0, "<I", addr & 0xfffffff0 | low)
        if addr >> 32 != self.get(BAR0 + 4, "<I"):
            self.put(BAR0 + 4, "<I", addr >> 32)

    def holes(self):
        """Addresses for BAR0 where its root bus has room, in the same 4 GiB."""
        windows, used = [], []
        with open("/proc/iomem", encoding="ascii") as f:
            for line in f:
                span, name = line.strip().split(" : ", 1)
                start, end = (int(x, 16) for x in span.split("-"))
                if line[0] != " " and name.startswith("PCI Bus"):
                    windows.append((start, end))
                elif line[0] == " ":
                    used.append((start, end))
        found = []
        for start, end in windows:
            if start >> 32 != self.bar0 >> 32:
                continue
            addr = (start + self.size - 1) // self.size * self.size
            while addr + self.size - 1 <= end and len(found) < 64:
                last = addr + self.size - 1
                if not any(a <= last and addr <= b for a, b in used):
                    found.append(addr)
                addr += self.size
        if not found:
            sys.exit("no room for BAR0")
        return found

    def cap(self, want):
        pos = self.get(CAPS, "<B")
        while pos and self.get(pos, "<B") != want:
            pos = self.get(pos + 1, "<B")
        return pos


class Disk:
    """One block after another, past the page cache."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
        self.buf = mmap.mmap(-1, 4096)
        stat = "/sys/block/" + os.path.basename(path) + "/stat"
        self.stat = os.open(stat, os.O_RDONLY)

    def read(self, rng):
        start = time.monotonic()
        os.preadv(self.fd, [self.buf], rng.randrange(1024) * 4096)
        return time.monotonic() - start

    def ios(self):
        fields = os.pread(self.stat, 4096, 0).split()
        return int(fields[0]) + int(fields[4])

    def goes_on(self, before):
        """Nobody helps it: what was lost stops fio."""
        start = time.monotonic()
        while self.ios() <= before + 16:
            if time.monotonic() - start > HANG:
                sys.exit(f"no I/O in {HANG} s")
            time.sleep(0.005)


def flrs(fun, disk, total, _):
    """The kernel saves and restores what an FLR takes."""
    start = time.monotonic()
    for _ in range(total):
        before = disk.ios()
        with open(fun.dir + "/reset", "w", encoding="ascii") as f:
            f.write("1")
        disk.goes_on(before)
    print(f"{total} FLRs, {(time.monotonic() - start) / total:.2f} s each")


def moves(fun, disk, total, rng):
    """Each kind of absence in turn."""
    holes = fun.holes()
    slowest = 0
    for i in range(total):
        kind = i % 3
        if kind:
            fun.decode(False)
        if kind != 1:
            fun.move(rng.choice(holes))
        if kind == 2:
            fun.decode(True)
        time.sleep(rng.random() * 0.01)
        if kind == 2:
            fun.decode(False)
        if kind != 1:
            fun.move(fun.bar0)
        if kind:
            fun.decode(True)
        slowest = max(slowest, disk.read(rng))
        if slowest > HANG:
            sys.exit(f"move {i + 1}: a read took {slowest:.1f} s")
    print(f"{total} moves, {len(holes)} holes, slowest read after one {slowest * 1000:.0f} ms")


class Table:
    """The MSI-X table, in a page of BAR2. Nothing else in that page is used."""

    def __init__(self, fun, pos):
        where = fun.get(pos + 4, "<I")
        fd = os.open(f"{fun.dir}/resource{where & 7}", os.O_RDWR)
        self.map = mmap.mmap(fd, mmap.PAGESIZE, offset=where & ~(mmap.PAGESIZE - 1))
        words = 4 * ((fun.get(pos + 2, "<H") & 0x7ff) + 1)
        # Registers: four bytes at a time.
        self.word = (ctypes.c_uint32 * words).from_buffer(self.map, where & 0xff8)

    def save(self):
        return [self.word[i] for i in range(len(self.word))]

    def restore(self, saved):
        for i, val in enumerate(saved):
            self.word[i] = val


def msix(fun, disk, total, rng):
    """As a kernel does over a reset; what interrupts meanwhile is pending."""
    pos = fun.cap(0x11)
    table = Table(fun, pos)
    for i in range(total):
        flags = fun.get(pos + 2, "<H")
        fun.put(pos + 2, "<H", flags | MSIX_MASKALL)
        saved = table.save()
        if i % 2:
            # Each vector masked, and without an address.
            for k in range(0, len(saved), 4):
                table.word[k + 3] = 1
                table.word[k] = 0
        time.sleep(rng.random() * 0.02)
        if i % 2:
            table.restore(saved)
        if table.save() != saved:
            sys.exit(f"round {i + 1}: the table is {table.save()}, was {saved}")
        fun.put(pos + 2, "<H", flags)
        disk.goes_on(disk.ios())
    print(f"{total} times, {len(saved) // 4} vectors")


def main():
    fun = Function(sys.argv[1])
    what = sys.argv[2]
    if what == "away":
        fun.move(fun.holes()[-1])
    elif what == "back":
        fun.move(fun.bar0)
    else:
        rng = random.Random(sys.argv[5] if len(sys.argv) > 5 else 1)
        kinds = {"flr": flrs, "move": moves, "msix": msix}
        kinds[what](fun, Disk(sys.argv[3]), int(sys.argv[4]), rng)


main()
